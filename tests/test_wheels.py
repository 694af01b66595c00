"""All distributions build, install without the repository, and work there.

Sdists are built first and the wheels from them, so that an sdist that lacks a file is noticed. An
ordinary run takes the interpreter of the tests; ``./dev wheels`` takes 3.10 to 3.13, as far as they
can be found here (``SVSTORAGE_TEST_PYTHONS`` names versions).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
DISTRIBUTIONS = [REPO, *sorted(path.parent for path in REPO.glob("plugins/*/pyproject.toml"))]
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = os.environ.get("SVSTORAGE_TEST_PYTHONS", OWN).split(",")
# Taken before the tests get a home of their own: what was fetched once need not be fetched again.
_CACHE = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
_PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")

_SMOKE = """
import sys, fsspec, svstorage
assert svstorage.__file__.startswith(sys.prefix), svstorage.__file__
assert "s3fs" not in sys.modules and "azure" not in sys.modules
with svstorage.connect() as storage:
    print(storage.buckets())
with fsspec.open("sv://acme-private/notes.txt", "wt") as file:
    file.write("hello")
report = svstorage.check("photos", "sv://acme-public/photos")
assert report.ok and report.counters.listed == 3, report
"""


def _run(*words: str | Path, cwd: Path, **env: str) -> str:
    uv = {"UV_CACHE_DIR": _CACHE, "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    away = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    kept = {name: value for name, value in os.environ.items() if name not in away}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env={**kept, **uv, **env}, text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _interpreter(version: str) -> Path:
    """A Python of that version: ours, one that uv finds, or one of pyenv's."""
    if version == OWN:
        return Path(sys.executable)
    found = subprocess.run(
        ["uv", "python", "find", "--no-project", version], text=True, capture_output=True,
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
    )  # fmt: skip
    if found.returncode == 0:
        return Path(found.stdout.strip())
    for path in sorted(_PYENV.glob(f"versions/{version}.*/bin/python"), reverse=True):
        return path
    pytest.skip(f"no Python {version} is installed here")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed (./dev puts it into .venv)")
    folder = tmp_path_factory.mktemp("wheels")
    for distribution in DISTRIBUTIONS:
        # With the hatchling of the tests' environment: nothing is fetched to build.
        _run("uv", "build", "--no-build-isolation", "--python", sys.executable,
             "--out-dir", folder, distribution, cwd=folder)  # fmt: skip
    return folder


def test_what_is_in_the_wheels(wheels: Path) -> None:
    assert (
        len(list(wheels.glob("*.whl"))) == len(list(wheels.glob("*.tar.gz"))) == len(DISTRIBUTIONS)
    )
    for wheel in wheels.glob("*.whl"):
        names = zipfile.ZipFile(wheel).namelist()
        package = wheel.name.split("-")[0]
        assert f"{package}/py.typed" in names, wheel.name
        assert any(name.endswith("licenses/LICENSE") for name in names), wheel.name
        assert any(name.endswith("dist-info/entry_points.txt") for name in names), wheel.name
        if package == "svstorage":
            assert any(
                name.endswith("labextensions/svstorage-status/package.json") for name in names
            )
        alien = [n for n in names if not n.startswith((f"{package}/", f"{package}-"))]
        assert not alien, wheel.name


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", PYTHONS)
def test_they_work_without_the_repository(version: str, wheels: Path, tmp_path: Path) -> None:
    python = _interpreter(version)
    venv, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    _run("uv", "venv", "--quiet", "--no-project", "--python", python, venv, cwd=work)
    _run("uv", "pip", "install", "--quiet", "--python", venv / "bin/python",
         *sorted(wheels.glob("*.whl")), cwd=work)  # fmt: skip
    program = venv / "bin/svstorage"
    settings = {"STORAGE_PROVIDER": "http", "DATA_PATH": str(work / "data")}

    said = _run(venv / "bin/python", "-VV", cwd=work)
    assert said.startswith(f"Python {version}.")
    assert "migrate" in _run(program, "--help", cwd=work)
    (work / "photos").mkdir()
    for number in range(3):
        (work / "photos" / f"{number}.jpg").write_bytes(os.urandom(1000))
    _run(program, "mb", "sv://acme-public", "sv://acme-private", cwd=work, **settings)
    _run(program, "cp", "-r", "photos", "public:", cwd=work, **settings)
    _run(program, "check", "photos", "public:photos", cwd=work, **settings)
    (work / "new.env").write_text(f"DATA_PATH={work / 'new'}\n")
    moved = _run(program, "migrate", "--to-env", "new.env", "--html-report", "moved.html",
                 cwd=work, **settings)  # fmt: skip
    assert "Migration complete: 3 objects" in moved
    assert "Migration complete" in (work / "moved.html").read_text()  # its style is a data file
    listed = _run(program, "ls", "public:photos", cwd=work, **settings)
    assert listed.split() == ["0.jpg", "1.jpg", "2.jpg"]
    said = _run(venv / "bin/python", "-c", _SMOKE, cwd=work, **settings)
    assert "acme-public" in said

    rows = map(json.loads, _run(program, "--json", "plugins", cwd=work).splitlines())
    active = {row["distribution"] for row in rows if row.get("status") == "active"}
    assert active == {path.name if path != REPO else "svstorage" for path in DISTRIBUTIONS}
