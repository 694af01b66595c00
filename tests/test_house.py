"""The rules of the house that a program can check: floors, sizes, prints, packaging."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")  # Python 3.11+; the rules need checking only once

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "svstorage"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_imports_go_down_the_floors() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    if not linter.exists():
        pytest.skip("import-linter is not installed here; ./dev lint has it")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < MOST_LINES


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_the_library_does_not_print(path: Path) -> None:
    prints = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not prints, f"print at line {prints}: use logging, or click.echo in cli"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_modules_say_what_they_are_for(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body


def test_plain_install_has_what_the_card_names(project: dict) -> None:
    required = {one.split(">")[0].lower() for one in project["dependencies"]}
    assert {"fsspec", "s3fs", "adlfs", "pluggy", "python-dotenv", "obstore"} <= required
    assert set(project["optional-dependencies"]) == {"s3", "azure", "jupyter", "all"}
    assert (PACKAGE / "py.typed").is_file()


def test_installed_metadata_is_that_of_pyproject(project: dict) -> None:
    installed = metadata.distribution("svstorage")
    assert installed.version == project["version"]
    assert installed.metadata["Requires-Python"] == project["requires-python"]
    named = {(e.group, e.name, e.value) for e in installed.entry_points}
    expected = {
        (group, name, value)
        for group, entries in project["entry-points"].items()
        for name, value in entries.items()
    }
    expected |= {("console_scripts", name, v) for name, v in project["scripts"].items()}
    assert named == expected, "install again: uv pip install -e ."


@pytest.mark.parametrize(
    "entry",
    list(metadata.distribution("svstorage").entry_points),
    ids=lambda e: f"{e.group}-{e.name}",
)
def test_entry_points_lead_somewhere(entry: metadata.EntryPoint) -> None:
    assert entry.load() is not None


def test_version_is_said_once(project: dict) -> None:
    assert import_module("svstorage").__version__ == project["version"]


def test_lock_file_names_no_download_addresses() -> None:
    lock = json.loads((ROOT / "tests/servers/node/package-lock.json").read_text())
    assert [name for name, one in lock["packages"].items() if "resolved" in one] == []
    missing = [name for name, one in lock["packages"].items() if name and not one.get("integrity")]
    assert missing == []
