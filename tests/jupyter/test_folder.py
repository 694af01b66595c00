"""The folder's changes of place, with somebody saving in the very moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from svstorage.errors import ObjectChanged
from svstorage.jupyter import folder as module
from svstorage.jupyter.folder import Busy, Folder
from svstorage.jupyter.manifest import Manifest, Staged
from svstorage.jupyter.names import conflict_of
from svstorage.jupyter.versions import digest_of

from .conftest import Bay, Desk


@pytest.fixture
def here(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "notebooks")
    folder.root.mkdir()
    folder.prepare()
    return folder


def staged(folder: Folder, text: str, name: str = "staged") -> str:
    (folder.stage / name).write_text(text)
    return name


def test_replacing_what_was_expected(here: Folder) -> None:
    path = here.root / "x"
    path.write_text("old")
    kept = here.publish(staged(here, "new"), "x", here.entry("x"), digest_of(path))
    assert (path.read_text(), kept, list(here.stage.iterdir())) == ("new", [], [])


def test_a_save_before_is_noticed(here: Folder) -> None:
    path = here.root / "x"
    path.write_text("old")
    expected = here.entry("x")
    path.write_text("saved meanwhile")
    with pytest.raises(ObjectChanged):
        here.publish(staged(here, "new"), "x", expected, None)
    assert path.read_text() == "saved meanwhile"
    with pytest.raises(ObjectChanged):
        here.remove("x", expected, "out", "")
    with pytest.raises(ObjectChanged):
        here.publish(staged(here, "new"), "x", None, None)


@pytest.mark.parametrize("atomic", [True, False])
def test_a_save_in_the_very_moment_is_kept(
    here: Folder, monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    """Jupyter replaces the file between our last look at it and the exchange."""
    path = here.root / "x.ipynb"
    path.write_text("old")
    real = module.exchange

    def exchange(one: Path, other: Path) -> bool:
        if atomic:
            draft = path.with_name("draft")
            draft.write_text("saved in the moment")
            draft.rename(path)
        else:
            path.write_text("saved in the moment")
        return real(one, other)

    monkeypatch.setattr(module, "exchange", exchange)
    (kept,) = here.publish(staged(here, "new"), "x.ipynb", here.entry("x.ipynb"), digest_of(path))
    assert path.read_text() == "new"
    assert (here.root / kept).read_text() == "saved in the moment"
    assert conflict_of(kept).original == "x.ipynb"


def test_a_save_in_the_moment_of_removal_is_kept(
    here: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = here.root / "x"
    path.write_text("old")
    digest = digest_of(path)
    real = os.rename

    def rename(source: object, target: object) -> None:
        if source == path:
            path.write_text("saved in the moment")
        real(source, target)

    expected = here.entry("x")
    monkeypatch.setattr(os, "rename", rename)
    (kept,) = here.remove("x", expected, "out", digest)
    assert (here.root / kept).read_text() == "saved in the moment"


def test_without_exchange(here: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS, where renameat2 knows no RENAME_EXCHANGE: no such file system can be had here."""
    monkeypatch.setattr(module, "exchange", lambda one, other: False)
    path = here.root / "x"
    path.write_text("old")
    here.publish(staged(here, "new"), "x", here.entry("x"), digest_of(path))
    assert path.read_text() == "new"


def test_what_a_killed_pass_left_is_seen_to(disk: Bay, desk: Callable[..., Desk]) -> None:
    anna = desk(disk, "anna")
    anna.write("x.ipynb", "in step")
    anna.sync()
    folder = anna.cycle.folder
    staged(folder, "nowhere else", "one")
    staged(folder, "in step", "two")
    staged(folder, "half a download", "three")
    known = digest_of(anna.root / "x.ipynb")
    with Manifest(folder.own / "manifest.sqlite") as manifest:
        manifest.change(stage=[Staged("one", "x.ipynb", known), Staged("two", "x.ipynb", known)])
    account = anna.sync()
    (kept,) = account.new_conflicts
    assert anna.held() == disk.held() == {"x.ipynb": b"in step", kept: b"nowhere else"}
    assert list(folder.stage.iterdir()) == []


def test_one_at_a_time(here: Folder) -> None:
    with here.locked(), pytest.raises(Busy), Folder(here.root).locked(wait=0.1):
        pass
    with here.locked(wait=0.1):
        pass


def test_our_own_folder_is_private(here: Folder) -> None:
    assert here.own.stat().st_mode & 0o777 == 0o700
