"""A provider, parser, resolver and strategy from another distribution, by its name alone."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.plugins.conftest import Place

SOURCE = Path(__file__).parent / "shelf"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution of ``shelf/``, built as its author would."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=SOURCE,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def shelf(place: Place, wheel: Path) -> Place:
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place.path)  # what installing a pure wheel is
    place.env["STORAGE_PROVIDER"] = "shelf"
    return place


def test_everything_by_its_name(shelf: Place, tree: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    shelf.rows("mb", "sv://books")
    shelf.rows("cp", "-r", "--report", str(report), str(tree), "sv://books/here/")
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    carried = {row["key"]: row for row in rows if row.get("status") == "done"}
    assert set(carried) == {"a.txt", "sub/b.bin"}
    assert {row["strategy"] for row in carried.values()} == {"by-hand"}

    listed = {row["key"] for row in shelf.rows("ls", "-R", "sv://books/") if "key" in row}
    # Into a folder that is not there yet: its contents.
    assert {"here/a.txt", "here/sub/b.bin"} <= listed
    assert shelf.svstorage("check", str(tree), "sv://books/here/").returncode == 0
    assert shelf.svstorage("cat", "sv://books/here/a.txt").stdout == "one"

    (tree / "a.txt").write_text("two two")
    differs = shelf.svstorage("check", str(tree), "sv://books/here/")
    assert differs.returncode == 1
    assert "a.txt" in differs.stdout + differs.stderr
    shelf.rows("sync", str(tree), "sv://books/here/")
    assert shelf.svstorage("cat", "sv://books/here/a.txt").stdout == "two two"

    back = tmp_path / "back"
    shelf.rows("cp", "-r", "sv://books/here", str(back))
    assert (back / "sub" / "b.bin").read_bytes() == (tree / "sub" / "b.bin").read_bytes()
    shelf.rows("rm", "-r", "sv://books/here/")
    assert [row for row in shelf.rows("ls", "-R", "sv://books/") if "key" in row] == []


def test_python_gets_it_too(shelf: Place) -> None:
    program = """
import fsspec, svstorage
storage = svstorage.connect()
print(storage, storage.resolver, storage.store)
storage.store.create_bucket("b")
with fsspec.open("sv://b/x.txt", "w") as file:
    file.write("words")
print(fsspec.open("sv://b/x.txt", "r").open().read(), storage.fs.ls("b", detail=False))
"""
    done = shelf.python("-c", program)
    assert done.returncode == 0, done.stderr
    assert "<Storage shelf at " in done.stdout
    assert "(top)> word <FsspecStore" in done.stdout
    assert "words ['b/x.txt']" in done.stdout


def test_other_name_settings_and_errors_are_its_own(shelf: Place) -> None:
    shelf.env["STORAGE_PROVIDER"] = "bookshelf"
    assert shelf.rows("ls", "sv://") == []
    wrong = shelf.svstorage("ls", "sv://", STORAGE_SHELF_LABEL="a/b")
    assert wrong.returncode == 2
    assert "STORAGE_SHELF_LABEL: it has a slash" in wrong.stderr
    shut = shelf.svstorage("ls", "sv://", STORAGE_SECRET_KEY="open-barley-word")
    assert shut.returncode == 3, shut.stderr
    assert "open-barley-word" not in shut.stdout + shut.stderr


def test_it_is_listed_and_brings_a_command(shelf: Place) -> None:
    rows = shelf.rows("plugins")
    ours = {(row["kind"], row["name"]) for row in rows if row["distribution"] == "svstorage-shelf"}
    assert ours == {
        ("plugin", "shelf"),
        ("provider", "shelf"),
        ("provider", "bookshelf"),
        ("resolver", "shelf/word"),
        ("strategy", "by-hand"),
        ("command", "dust"),
    }
    assert {row["version"] for row in rows if row["name"] == "shelf"} == {"1.2.3"}
    assert shelf.svstorage("dust").stdout == "dusted\n"


@pytest.mark.parametrize(
    "env",
    [
        {"SVSTORAGE_DISABLE_PLUGINS": "shelf"},
        {"SVSTORAGE_DISABLE_PLUGINS": "svstorage_shelf"},
        {"SVSTORAGE_DISABLE_PLUGINS": "*"},
        {"SVSTORAGE_PLUGINS": "other"},
        {"SVSTORAGE_PLUGINS": ""},
    ],
    ids=lambda env: "-".join(next(iter(env.items()))),
)
def test_held_off(shelf: Place, env: dict[str, str]) -> None:
    (shelf.path / "svstorage_shelf" / "__init__.py").write_text("raise SystemExit('was loaded')")
    done = shelf.svstorage("ls", "sv://", **env)
    assert done.returncode == 2
    assert "no provider is called 'shelf'" in done.stderr
    assert "was loaded" not in done.stderr


@pytest.mark.parametrize("allowed", ["shelf", "a, svstorage-shelf"])
def test_let_in(shelf: Place, allowed: str) -> None:
    assert shelf.rows("ls", "sv://", SVSTORAGE_PLUGINS=allowed) == []
