"""Every command and every code sample of the documentation runs, word for word, the README's too.

The ``sh`` and ``python`` blocks of a page are one session in an empty folder, in their order; a
command that fails fails the page. Three things are put in the place of what a reader has: the
wheel of this checkout stands in for the package index's ``svstorage``, free ports for the fixed
ones, and the servers that a page starts are ended afterwards. A block that cannot run anywhere
but in a cloud is fenced as ``console`` and is not run.
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
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PAGES = sorted((REPO / "docs").rglob("*.md"))
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>sh|python)\b[^\n]*\n(?P<code>.*?)^ *```$", re.M | re.S
)
_PORT = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=-port[ =])|(?<=-p )|(?<=Port ))\d{4,5}\b")
# Taken before the tests get a home of their own: what pip has fetched once it need not fetch again.
_PIP_CACHE = os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip")


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


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this checkout, for ``pip install svstorage``."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        ["uv", "build", "--quiet", "--wheel", "--out-dir", folder, REPO],
        check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    return folder


@pytest.fixture
def session_env(tmp_path: Path, wheels: Path) -> dict[str, str]:
    tools = Path(sys.executable).parent
    node = REPO / "tests/servers/node/node_modules/.bin"
    return {
        **os.environ,
        "PATH": f"{tools}:{node}:{os.environ['PATH']}",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_QUIET": "1",
        "PIP_CACHE_DIR": _PIP_CACHE,
        "HOME": str(tmp_path / "home"),
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page", [p for p in PAGES if runs(p)], ids=lambda p: str(p.relative_to(REPO))
)
def test_the_page_runs(page: Path, tmp_path: Path, session_env: dict[str, str]) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    run(script(page.read_text()), folder, session_env)


@pytest.mark.timeout(300)
def test_the_readme_leads_to_a_checked_copy(tmp_path: Path, session_env: dict[str, str]) -> None:
    """Its five minutes, by somebody who has just unpacked the sources."""
    text = (REPO / "README.md").read_text()
    section = text[text.index("## Five minutes") : text.index("## Every day")]
    folder = tmp_path / "sources"
    shutil.copytree(REPO / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, folder)
    said = run(script(section), folder, session_env)
    assert "Migration complete: 200 objects" in said
    assert "200 objects (3.8 MiB): 200 the same" in said
    assert "warning" not in said
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
