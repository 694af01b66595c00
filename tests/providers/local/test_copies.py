"""Copies inside the disk, attributes, hard links, holes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from svstorage.errors import ObjectChanged
from svstorage.model import Attributes
from svstorage.providers.local import content
from svstorage.providers.local.store import LocalStore
from tests.providers.local.conftest import BUCKET, get, keys, put, tree

FULL = Attributes(
    content_type="text/x-test",
    content_encoding="gzip",
    content_language="de",
    content_disposition="attachment",
    cache_control="no-store",
    metadata={"owner": "Zoë", "note": ""},
    tags={"a": "b"},
)


@pytest.fixture(autouse=True)
def _has_attributes(store: LocalStore) -> None:
    if not store.capabilities.holds_metadata:
        pytest.skip("the file system of the temporary folder has no extended attributes")


def test_attributes_lie_in_one_extended_attribute(store: LocalStore, base: Path):
    store.put(BUCKET, "o", b"x", size=1, attributes=FULL)
    held = json.loads(os.getxattr(base / "o", "user.svstorage"))
    assert held["content_type"] == "text/x-test"
    assert store.head(BUCKET, "o").attributes == FULL
    assert list(tree(base)) == [b"o"], "no side file"
    put(store, "o", b"new")
    assert store.head(BUCKET, "o").attributes == Attributes()


@pytest.mark.parametrize("held", [b"", b"no json", b"[]", b'{"metadata": 1}', b'{"tags": [1]}'])
def test_attributes_of_somebody_else(store: LocalStore, base: Path, held: bytes, caplog):
    put(store, "o", b"bytes")
    os.setxattr(base / "o", "user.svstorage", held)
    assert store.head(BUCKET, "o").attributes == Attributes()
    assert get(store, "o") == b"bytes"
    assert held == b"[]" or "holds something else" in caplog.text


def test_attributes_too_large_are_told_and_the_bytes_kept(store: LocalStore, caplog):
    large = Attributes(metadata={"large": "x" * 100_000})
    store.put(BUCKET, "o", b"bytes", size=5, attributes=large)
    assert get(store, "o") == b"bytes"
    kept = store.head(BUCKET, "o").attributes
    assert kept == large or "headers and metadata are not kept" in caplog.text


def test_a_copy_keeps_all(store: LocalStore, base: Path):
    data = os.urandom(3_000_000)
    store.put(BUCKET, "o", data, size=len(data), attributes=FULL, modified_ns=10**18 + 7)
    source = store.head(BUCKET, "o").entry
    stored = store.copy(BUCKET, source, BUCKET, "deep/copy")
    copied = store.head(BUCKET, "deep/copy")
    assert get(store, "deep/copy") == data
    assert copied.attributes == FULL
    assert copied.entry.modified_ns == 10**18 + 7
    assert (stored.size, stored.etag) == (len(data), copied.entry.etag)
    assert (base / "o").stat().st_ino != (base / "deep" / "copy").stat().st_ino
    store.copy(BUCKET, source, BUCKET, "other", attributes=Attributes(metadata={"x": "y"}))
    assert store.head(BUCKET, "other").attributes == Attributes(metadata={"x": "y"})


def test_a_copy_onto_itself(store: LocalStore):
    put(store, "o", b"bytes")
    store.copy(BUCKET, store.head(BUCKET, "o").entry, BUCKET, "o", attributes=FULL)
    assert get(store, "o") == b"bytes"
    assert store.head(BUCKET, "o").attributes == FULL


def test_a_copy_of_an_empty_folder(store: LocalStore):
    store.put(BUCKET, "folder/", b"", size=0)
    store.copy(BUCKET, store.head(BUCKET, "folder/").entry, BUCKET, "second/folder/")
    assert keys(store) == ["folder/", "second/folder/"]


def test_a_copy_between_two_roots(store: LocalStore, tmp_path: Path):
    put(store, "o", b"bytes")
    other = LocalStore.for_folder(tmp_path / "elsewhere")
    other.copy_from(store, BUCKET, store.head(BUCKET, "o").entry, "", "a/o")
    assert (tmp_path / "elsewhere" / "a" / "o").read_bytes() == b"bytes"


@pytest.mark.parametrize("way", ["shared", "kernel", "memory"])
def test_each_way_to_copy(store: LocalStore, monkeypatch, way: str):
    """Shared blocks take Btrfs, XFS or the like: there that way is real, elsewhere the call is
    seen to be tried and to be refused."""
    asked: list[int] = []
    ioctl = fcntl.ioctl

    def noted(fd, request, argument):
        asked.append(request)
        return ioctl(fd, request, argument)

    if way == "shared":
        monkeypatch.setattr(fcntl, "ioctl", noted)
    else:
        monkeypatch.setattr(content, "_share", lambda source, target: False)
    if way == "memory":

        def refused(*_):
            raise OSError(errno.EXDEV, "not here")

        monkeypatch.setattr(os, "copy_file_range", refused)
    data = os.urandom(2_500_001)
    put(store, "o", data)
    store.copy(BUCKET, store.head(BUCKET, "o").entry, BUCKET, "copy")
    assert get(store, "copy") == data
    assert asked == ([0x40049409] if way == "shared" else [])


@pytest.mark.parametrize("way", ["kernel", "memory"])
@pytest.mark.parametrize("how", ["shrinks", "grows", "rewritten"])
def test_a_source_that_changes_while_it_is_copied(
    store: LocalStore, base: Path, monkeypatch, way: str, how: str
):
    put(store, "o", bytes(2_000_000))
    time.sleep(0.02)  # the clock that stamps files ticks in steps of some milliseconds
    real = content._copy_in_kernel

    def meanwhile(source, target, size):
        with (base / "o").open("r+b") as file:
            if how == "rewritten":
                file.write(b"other")
            else:
                file.truncate(1000 if how == "shrinks" else 3_000_000)
        return real(source, target, size) if way == "kernel" else 0

    monkeypatch.setattr(content, "_share", lambda source, target: False)
    monkeypatch.setattr(content, "_copy_in_kernel", meanwhile)
    with pytest.raises(ObjectChanged):
        store.copy(BUCKET, store.head(BUCKET, "o").entry, BUCKET, "deep/copy")
    assert keys(store) == ["o"]


def test_hard_links_keep_the_old_bytes(store: LocalStore, base: Path):
    put(store, "o", b"old")
    os.link(base / "o", base / "second")
    reader = store.read(BUCKET, "o")
    plain = (base / "o").open("rb")
    put(store, "o", b"new bytes")
    assert get(store, "second") == b"old"
    assert plain.read() == b"old"
    assert reader.read() == b"old"
    assert get(store, "o") == b"new bytes"
    plain.close()
    reader.close()
    assert keys(store) == ["o", "second"]


def test_sparse_files(store: LocalStore, base: Path):
    with (base / "sparse").open("wb") as file:
        file.seek(5_000_000)
        file.write(b"end")
    assert (base / "sparse").stat().st_blocks * 512 < 1_000_000
    entry = store.head(BUCKET, "sparse").entry
    assert entry.size == 5_000_003
    assert get(store, "sparse") == bytes(5_000_000) + b"end"
    store.copy(BUCKET, entry, BUCKET, "copy")
    assert get(store, "copy") == bytes(5_000_000) + b"end"


def test_modification_times_to_the_nanosecond(store: LocalStore):
    for moment in (0, 1, 10**18 + 123_456_789, -1_000_000_001):
        store.put(BUCKET, "o", b"x", size=1, modified_ns=moment)
        assert store.head(BUCKET, "o").entry.modified_ns == moment


def test_permissions_follow_the_umask(store: LocalStore, base: Path):
    old = os.umask(0o027)
    try:
        put(store, "folder/o")
    finally:
        os.umask(old)
    assert (base / "folder" / "o").stat().st_mode & 0o777 == 0o640
    assert (base / "folder").stat().st_mode & 0o777 == 0o750
