"""Other disks mounted below the notebook folder: no file can be renamed from one to the other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svstorage.jupyter import mounts
from svstorage.jupyter.folder import Folder
from svstorage.jupyter.manifest import Manifest, Staged
from svstorage.jupyter.names import conflict_of
from svstorage.jupyter.versions import digest_of

from .conftest import Bay, Desk

Make = Callable[..., Desk]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """``mount(folder, kind)``; ``bind`` is a folder of the very same disk, as Docker has them."""
    mounted: list[Path] = []

    def make(folder: Path, kind: str = "tmpfs") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        other = tmp_path / f"other-{folder.name}"
        other.mkdir(exist_ok=True)
        how = ["--bind", str(other)] if kind == "bind" else ["-t", "tmpfs", "tmpfs"]
        done = subprocess.run(["mount", *how, str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip("no right to mount anything")
        mounted.append(folder)

    yield make
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_everything_goes_in_and_out(s3: Bay, desk: Make, mount: Callable, kind: str) -> None:
    anna = desk(s3, "anna")
    mount(anna.root / "my data", kind)
    anna.write("my data/deep/own", "own")
    s3.put("my data/new", b"new")
    anna.sync()
    both = {"my data/deep/own": b"own", "my data/new": b"new"}
    assert anna.held() == s3.held() == both

    s3.put("my data/new", b"newer")
    s3.delete("my data/deep/own")
    account = anna.sync()
    assert (account.pulled, account.deleted_local, account.problems) == (1, 1, {})
    assert anna.held() == s3.held() == {"my data/new": b"newer"}

    anna.write("my data/new", "by anna")
    s3.put("my data/new", b"by ben")
    anna.sync()
    (copy,) = [key for key in anna.held() if conflict_of(key)]
    assert anna.held() == s3.held() == {"my data/new": b"by ben", copy: b"by anna"}
    assert list((anna.root / "my data/.svstorage/stage").iterdir()) == []


def test_a_mount_that_is_gone_deletes_nothing(s3: Bay, desk: Make, mount: Callable) -> None:
    """The disk's folder is there, and empty: as if all of its files had been deleted."""
    anna = desk(s3, "anna")
    mount(anna.root / "data")
    anna.write("data/a", "a")
    anna.write("b", "b")
    anna.sync()
    subprocess.run(["umount", str(anna.root / "data")], check=True)
    s3.put("data/a", b"changed there")
    anna.write("b", "changed here")
    for quick in (True, False):
        account = anna.cycle.run(settle=0, quick=quick)
        assert "Mount it again" in account.problems["data"]
        assert account.deleted_remote == 0
    assert s3.held() == {"data/a": b"changed there", "b": b"changed here"}
    assert list((anna.root / "data").iterdir()) == []  # nothing is put under a mount to come

    mount(anna.root / "data")
    assert anna.sync().problems == {}
    assert anna.held() == s3.held()

    subprocess.run(["umount", str(anna.root / "data")], check=True)
    anna.sync()
    (anna.root / "data").rmdir()  # gone for good
    account = anna.sync()
    assert (account.deleted_remote, account.problems) == (1, {})
    assert s3.held() == {"b": b"changed here"}


def test_what_a_killed_pass_left_on_another_disk(disk: Bay, desk: Make, mount: Callable) -> None:
    anna = desk(disk, "anna")
    mount(anna.root / "data", "bind")
    anna.write("data/x", "x")
    anna.sync()
    folder = anna.cycle.folder
    (folder.stage_of("data/x") / "one").write_text("nowhere else")
    with Manifest(folder.own / "manifest.sqlite") as manifest:
        manifest.change(stage=[Staged("one", "data/x", digest_of(anna.root / "data/x"))])
    subprocess.run(["umount", str(anna.root / "data")], check=True)
    anna.sync()
    mount(anna.root / "data", "bind")
    anna.sync()
    (copy,) = [key for key in anna.held() if conflict_of(key)]
    assert disk.held() == {"data/x": b"x", copy: b"nowhere else"}


def test_a_mount_that_may_not_be_written(s3: Bay, desk: Make, mount: Callable) -> None:
    anna = desk(s3, "anna")
    mount(anna.root / "data")
    anna.write("data/own", "own")
    subprocess.run(["mount", "-o", "remount,ro", str(anna.root / "data")], check=True)
    s3.put("data/theirs", b"theirs")
    s3.put("z", b"z")
    account = anna.cycle.run(settle=0)
    assert "read-only" in account.problems["data/theirs"].lower()
    assert anna.held() == {"data/own": b"own", "z": b"z"}
    assert s3.held() == {"data/own": b"own", "data/theirs": b"theirs", "z": b"z"}


def test_mounts_are_found_under_any_name(tmp_path: Path, mount: Callable) -> None:
    root = tmp_path.resolve() / "here"
    for name in ("with space", "back\\slash", "é\n", "with space/inner"):
        mount(root / name)
    found = mounts.mounted_below(root)
    assert found[0] == "with space/inner"
    assert set(found) == {"with space", "back\\slash", "é\n", "with space/inner"}
    folder = Folder(root)
    folder.look_at_mounts([])
    assert folder.stage_of("with space/inner/x") == root / "with space/inner/.svstorage/stage"
    assert folder.stage_of("elsewhere/x") == folder.stage
