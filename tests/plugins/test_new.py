"""``svstorage plugins new``: what it writes works as it is, or nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.plugins.conftest import Place

FILES = {
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/svstorage_top_shelf/__init__.py",
    "src/svstorage_top_shelf/py.typed",
    "tests/test_contract.py",
}


def written(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def skeleton(place: Place, tmp_path: Path) -> Path:
    """A new plugin, installed in ``place`` as pip would install its wheel."""
    folder = tmp_path / "made"
    done = place.svstorage("plugins", "new", "top-shelf", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    assert written(folder) == FILES
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("svstorage_top_shelf-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place.path)
    return folder


def test_it_passes_the_contract_as_it_is(place: Place, skeleton: Path) -> None:
    done = place.python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(skeleton))
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.split(" passed")[0].split()[-1])
    assert passed > 200
    assert "failed" not in done.stdout


def test_it_serves_the_commands(place: Place, skeleton: Path, tree: Path, tmp_path: Path) -> None:
    place.env["STORAGE_PROVIDER"] = "top-shelf"
    unset = place.svstorage("ls", "sv://")
    assert unset.returncode == 2
    assert "STORAGE_TOP_SHELF_FOLDER: it is not set" in unset.stderr
    place.env["STORAGE_TOP_SHELF_FOLDER"] = str(tmp_path / "there")
    place.rows("mb", "sv://books")
    place.rows("sync", str(tree), "sv://books/")
    assert place.svstorage("check", str(tree), "sv://books/").returncode == 0
    place.rows("cp", "-r", "sv://books/", str(tmp_path / "back"))
    assert (tmp_path / "back/sub/b.bin").read_bytes() == (tree / "sub/b.bin").read_bytes()
    # Jupyter's folder, too: what one machine pushes, another one gets.
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "n.ipynb").write_text("{}")
    where = ("--path", "books/notes")
    for words in (
        ("push", *where, str(tmp_path / "mine")),
        ("pull", *where, str(tmp_path / "other")),
    ):
        done = place.svstorage("jupyter", *words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "other" / "n.ipynb").read_text() == "{}"


def test_it_is_clean(skeleton: Path) -> None:
    """By the rules that most projects have, formatter and type checker included."""
    ruff = [sys.executable, "-m", "ruff"]
    for words in (
        [*ruff, "check", "--isolated", "--select", "E,F,W,I,B,UP", "--line-length", "100"],
        [*ruff, "format", "--isolated", "--check", "--line-length", "100"],
    ):
        done = subprocess.run([*words, str(skeleton)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_as_json(place: Place, tmp_path: Path) -> None:
    rows = place.rows("plugins", "new", "svstorage-top-shelf", "-o", str(tmp_path / "x"))
    assert {row["provider"] for row in rows} == {"top-shelf"}
    assert {str(Path(row["file"]).relative_to(tmp_path / "x")) for row in rows} == FILES


@pytest.mark.parametrize(
    "name", ["", "Shelf", "my_shelf", "a b", "../x", "-x", "x-", "a--b", "1st", "minio", "s3"]
)
def test_bad_names_write_nothing(place: Place, tmp_path: Path, name: str) -> None:
    done = place.svstorage("plugins", "new", "-o", str(tmp_path / "x"), "--", name)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_what_is_there_stays(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    done = place.svstorage("plugins", "new", "shelf", "-o", str(folder))
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert written(folder) == {"mine"}


def test_bare_it_still_lists(place: Place) -> None:
    assert "PROVIDERS" in place.svstorage("plugins").stdout
    rows = [json.loads(line) for line in place.svstorage("--json", "plugins").stdout.splitlines()]
    assert {row["kind"] for row in rows} >= {"plugin", "provider"}
    assert place.svstorage("plugins", "nwe").returncode == 2
