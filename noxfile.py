"""Sessions of the project; ``./dev NAME`` runs one, ``./dev`` lists them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

HERE = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")
PLUGINS = sorted(path.parent for path in HERE.glob("plugins/*/pyproject.toml"))


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, name))


def _install(session: nox.Session, *groups: str, plugins: bool = False) -> None:
    """Installs the project with all extras, the groups, and where wanted our own plugins."""
    wanted = ["-e", ".[all]"]
    if plugins:
        for plugin in PLUGINS:
            wanted += ["-e", f"./{plugin.relative_to(HERE)}"]
    session.install(*wanted, *(one for group in groups for one in _group(group)))


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, against real servers on 127.0.0.1; arguments go to pytest.

    Three workers, each with servers of its own, since tests wait for servers much of the time.
    Where arguments choose some tests, one worker starts sooner.
    """
    session.run("sh", "tests/setup.sh", external=True)
    _install(session, "test", "lint", "docs", plugins=True)
    some = any(not arg.startswith("--") for arg in session.posargs)
    workers = [] if some else ["-n", "3", "--dist", "loadfile"]
    session.run("python", "-m", "pytest", *workers, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and format, and the import contracts."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Strict type check of src and the plugins."""
    _install(session, "types", plugins=True)
    session.run("mypy", *session.posargs)
    for plugin in PLUGINS:
        session.run("mypy", str(plugin.relative_to(HERE) / "src"))


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities in what we depend on; asks a public service, so not a default."""
    _install(session, "audit")
    session.run("pip-audit", "--skip-editable", "--progress-spinner=off")


@nox.session
def crash(session: nox.Session) -> None:
    """Ten times as many kills at random as an ordinary test run, and other examples."""
    _install(session, "test")
    factor = os.environ.get("SVSTORAGE_TEST_KILLS", "10")
    seed = os.environ.get("SVSTORAGE_TEST_SEED", str(secrets.randbelow(1 << 32)))
    session.log(f"SVSTORAGE_TEST_SEED={seed} repeats this run")
    session.run(
        "python", "-m", "pytest", "tests/faults/test_crash.py", "tests/properties",
        "--timeout=3600", *session.posargs,
        env={"SVSTORAGE_TEST_KILLS": factor, "SVSTORAGE_TEST_SEED": seed},
    )  # fmt: skip


@nox.session
def soak(session: nox.Session) -> None:
    """Syncs for 30 minutes under faults; memory, threads and open files must stay flat."""
    _install(session, "test")
    seconds = os.environ.get("SVSTORAGE_TEST_SOAK", "1800")
    session.run(
        "python", "-m", "pytest", "tests/faults/test_soak.py", *session.posargs,
        env={"SVSTORAGE_TEST_SOAK": seconds},
    )  # fmt: skip


@nox.session
def reliability(session: nox.Session) -> None:
    """Runs the fault matrix and writes the tables of docs/reliability.md from it."""
    _install(session, "test")
    session.run("python", "-m", "tests.faults.report", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the documentation; a broken link is an error."""
    _install(session, "docs")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session
def pictures(session: nox.Session) -> None:
    """Records the terminal as the pictures of the docs; look at them before you commit them."""
    _install(session, "test")
    session.run("python", "docs/_build/terminal.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Runs the main job on local disk: two buckets, a copy, a check, a listing."""
    session.install("-e", ".")
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measures us beside the tools people use today; results go to benchmarks/results."""
    if not (HERE / "benchmarks" / "run.py").exists():
        session.skip("there is no benchmarks/run.py yet")
    session.run("sh", "tests/setup.sh", external=True)
    session.run("sh", "benchmarks/setup.sh", external=True)
    _install(session, "test", "bench")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Builds all distributions and tries them on Python 3.10 to 3.13, away from the repository."""
    _install(session, "test")
    versions = ",".join(nox.project.python_versions(PROJECT))
    session.run(
        "python", "-m", "pytest", "tests/test_wheels.py", *session.posargs,
        env={"SVSTORAGE_TEST_PYTHONS": os.environ.get("SVSTORAGE_TEST_PYTHONS", versions)},
    )  # fmt: skip
