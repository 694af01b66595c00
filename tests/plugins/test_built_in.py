"""The built-in providers are plugins like others: each can go, and the rest works."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import pytest

import svstorage
from tests.plugins.conftest import Place, Warned
from tests.servers.s3 import S3Server

PACKAGE = Path(svstorage.__file__).parent


@pytest.fixture(autouse=True)
def _ours_alone(place: Place) -> None:
    """Our own plugins of plugins/ may be installed beside."""
    place.env["SVSTORAGE_PLUGINS"] = ""


@pytest.fixture
def copy(place: Place) -> Place:
    """A copy of the package with its metadata, found before the installed one."""
    shutil.copytree(PACKAGE, place.path / "svstorage", ignore=shutil.ignore_patterns("__pycache__"))
    own = importlib.metadata.distribution("svstorage")
    points = {p.name: p.value for p in own.entry_points if p.group == "svstorage"}
    place.add("svstorage", points)
    return place


def without_entry(place: Place, *names: str) -> None:
    (file,) = place.path.glob("svstorage-*/entry_points.txt")
    kept = [r for r in file.read_text().splitlines() if r.partition(" ")[0] not in names]
    file.write_text("\n".join(kept))


def providers(place: Place) -> set[str]:
    return {row["name"] for row in place.rows("plugins") if row["kind"] == "provider"}


def round_trip(place: Place, tree: Path, back: Path, **env: str) -> None:
    place.rows("mb", "sv://round-trip", **env)
    place.rows("cp", "-r", str(tree), "sv://round-trip/x/", **env)
    place.rows("cp", "-r", "sv://round-trip/x/", str(back), **env)
    assert (back / "a.txt").read_bytes() == (tree / "a.txt").read_bytes()
    assert (back / "sub/b.bin").read_bytes() == (tree / "sub/b.bin").read_bytes()
    place.rows("rm", "-r", "sv://round-trip", **env)


def test_azure_deleted(
    copy: Place, tree: Path, tmp_path: Path, rclone_s3: S3Server, warned: Warned
) -> None:
    shutil.rmtree(copy.path / "svstorage" / "providers" / "azure")
    without_entry(copy, "azure")
    told = copy.python("-c", "import svstorage; print(svstorage.__file__)")
    assert told.stdout.startswith(str(copy.path)), "the copy is not what runs"
    assert providers(copy) == {"http", "local", "minio", "s3"}
    round_trip(copy, tree, tmp_path / "one", DATA_PATH=str(tmp_path / "data"))
    round_trip(copy, tree, tmp_path / "two", **rclone_s3.env())
    gone = copy.svstorage("ls", "sv://", STORAGE_PROVIDER="azure")
    assert gone.returncode == 2
    assert "no provider is called 'azure' (from environment)" in gone.stderr
    assert "installed are: http, minio" in gone.stderr
    assert warned(gone) == []


def test_azure_deleted_but_not_its_entry(
    copy: Place, tree: Path, tmp_path: Path, warned: Warned
) -> None:
    shutil.rmtree(copy.path / "svstorage" / "providers" / "azure")
    done = copy.svstorage("ls", "sv://", DATA_PATH=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    (warning,) = warned(done)
    assert "plugin 'azure' of svstorage" in warning
    assert "does not load" in warning


@pytest.mark.parametrize("gone", ["http", "minio", "azure"])
def test_disabled(place: Place, tree: Path, tmp_path: Path, gone: str) -> None:
    place.env["SVSTORAGE_DISABLE_PLUGINS"] = gone
    names = {"http": {"http", "local"}, "minio": {"minio", "s3"}, "azure": {"azure"}}
    kept = set().union(*(names[name] for name in names if name != gone))
    assert providers(place) == kept
    # Local paths need no provider.
    place.rows("cp", "-r", str(tree), str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "a.txt").exists()
    refused = place.svstorage("ls", "sv://", STORAGE_PROVIDER=gone)
    assert refused.returncode == 2
    assert f"no provider is called '{gone}'" in refused.stderr
