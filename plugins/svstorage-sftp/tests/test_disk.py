"""What only a disk has: links, pipes, drafts, modes, names that are not UTF-8."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from svstorage.errors import AccessRefused, ObjectError, ObjectNotFound
from svstorage.model import Entry, Problem
from svstorage_sftp import uploads
from svstorage_sftp.store import SftpStore


@pytest.fixture
def bucket(store: SftpStore, root: Path) -> Iterator[Path]:
    """The bucket ``b`` as the server's disk has it."""
    store.create_bucket("b")
    yield root / "b"
    shutil.rmtree(root / "b")


def keys(store: SftpStore) -> list[str]:
    return [row.key for row in store.list("b") if isinstance(row, Entry)]


def problems(store: SftpStore) -> dict[str, Problem]:
    return {row.key: row for row in store.list("b") if isinstance(row, Problem)}


def read(store: SftpStore, key: str) -> bytes:
    with store.read("b", key) as reader:
        return reader.read()


def test_links_within_are_followed_for_reading(store: SftpStore, bucket: Path) -> None:
    (bucket / "real").mkdir()
    (bucket / "real" / "file").write_bytes(b"data")
    (bucket / "folder").symlink_to("real")
    (bucket / "one").symlink_to("real/file")
    assert keys(store) == ["folder/file", "one", "real/file"]
    assert [row.key for row in store.list("b", "folder/")] == ["folder/file"]
    assert read(store, "folder/file") == read(store, "one") == b"data"
    assert store.head("b", "one").entry.size == 4


def test_nothing_is_written_or_deleted_through_a_link(
    store: SftpStore, bucket: Path, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_bytes(b"safe")
    (bucket / "out").symlink_to(tmp_path)
    (bucket / "file").symlink_to(tmp_path / "victim")
    with pytest.raises(ObjectError, match="symbolic link"):
        store.put("b", "out/evil", b"x", size=1)
    with pytest.raises(ObjectError, match="symbolic link"):
        store.put("b", "out/deeper/evil", b"x", size=1)
    with pytest.raises(ObjectError, match="symbolic link"):
        store.delete("b", "out/victim")
    with pytest.raises(AccessRefused, match="leads out"):
        store.read("b", "out/victim")
    # The link itself is what has the object's name: it is replaced.
    store.put("b", "file", b"new", size=3)
    assert not (bucket / "file").is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"safe"
    assert sorted(os.listdir(tmp_path)) == ["victim"]


def test_what_cannot_be_listed_is_told(store: SftpStore, bucket: Path, tmp_path: Path) -> None:
    os.mkfifo(bucket / "pipe")
    (bucket / "dangling").symlink_to("nowhere")
    (bucket / "out").symlink_to(tmp_path)
    (bucket / "sub").mkdir()
    (bucket / "sub" / "loop").symlink_to("..")
    (bucket / "fine").write_bytes(b"")
    assert keys(store) == ["fine"]
    told = problems(store)
    assert {key: row.severity for key, row in told.items()} == {
        "pipe": "skipped",
        "dangling": "error",
        "out": "error",
        "sub/loop/": "error",
    }
    started = time.monotonic()
    with pytest.raises(ObjectError, match="no file"):
        store.read("b", "pipe")  # opening it would hang the server's process for ever
    assert time.monotonic() - started < 30
    assert read(store, "fine") == b""


def test_names_that_are_not_utf8(store: SftpStore, bucket: Path) -> None:
    raw = os.path.join(os.fsencode(bucket), b"caf\xe9\xff")
    with open(raw, "wb") as file:
        file.write(b"latin")
    (key,) = keys(store)
    assert os.fsencode(key) == b"caf\xe9\xff"
    assert read(store, key) == b"latin"
    store.put("b", key, b"again", size=5)
    with open(raw, "rb") as file:
        assert file.read() == b"again"
    store.delete("b", key)
    assert os.listdir(bucket) == []


def test_drafts_are_hidden_and_old_ones_go(store: SftpStore, bucket: Path) -> None:
    fresh = bucket / ".svstorage-tmp-0123456789abcdef~"
    old = bucket / ".svstorage-tmp-fedcba9876543210~"
    alike = bucket / ".svstorage-tmp-note"
    for path in (fresh, old, alike):
        path.write_bytes(b"x")
        path.touch()
    os.utime(old, (0, time.time() - 2 * 86400))
    os.utime(alike, (0, time.time() - 2 * 86400))
    assert keys(store) == [alike.name]
    assert fresh.exists()
    assert not old.exists()


def test_a_failed_put_leaves_nothing(store: SftpStore, bucket: Path) -> None:
    class Broken:
        def read(self, size: int = -1, /) -> bytes:
            raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        store.put("b", "new/folder/key", Broken(), size=10)
    assert os.listdir(bucket) == []


def test_times_and_modes(store: SftpStore, bucket: Path) -> None:
    stored = store.put("b", "k", b"x", size=1, modified_ns=1_234_567_890_999_999_999)
    assert (bucket / "k").stat().st_mtime == 1_234_567_890
    assert stored.modified_ns == 1_234_567_890 * 10**9
    assert stored.etag == store.head("b", "k").entry.etag
    # Before 1970 and after 2106 there is no place for a time: the object is stored all the same.
    for moment in (-1, 2**32 * 10**9):
        assert store.put("b", "k", b"x", size=1, modified_ns=moment).size == 1


def test_copies_within_the_server(store: SftpStore, bucket: Path) -> None:
    data = os.urandom(2_000_000)
    store.put("b", "k", data, size=len(data), modified_ns=1_000_000_000 * 10**9)
    source = store.head("b", "k").entry
    assert store.copy("b", source, "b", "deep/copy").size == len(data)
    assert (bucket / "deep" / "copy").read_bytes() == data
    assert (bucket / "deep" / "copy").stat().st_mtime == 1_000_000_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_permissions(store: SftpStore, bucket: Path) -> None:
    (bucket / "shut").mkdir()
    (bucket / "shut" / "k").write_bytes(b"x")
    (bucket / "open").write_bytes(b"x")
    (bucket / "shut").chmod(0)
    try:
        assert keys(store) == ["open"]
        assert problems(store)["shut/"].severity == "error"
        with pytest.raises(AccessRefused):
            store.put("b", "shut/new", b"x", size=1)
    finally:
        (bucket / "shut").chmod(0o700)


def test_a_bucket_that_is_a_link_is_none(store: SftpStore, root: Path, tmp_path: Path) -> None:
    (root / "linked").symlink_to(tmp_path)
    try:
        assert not store.bucket_exists("linked")
        assert "linked" not in [bucket.name for bucket in store.list_buckets()]
        with pytest.raises(ObjectNotFound):
            store.put("linked", "k", b"x", size=1)
        assert os.listdir(tmp_path) == []
    finally:
        (root / "linked").unlink()


@pytest.mark.parametrize("flushes", [True, False])
def test_a_part_that_no_flush_confirmed_counts_for_no_later_process(
    store: SftpStore, bucket: Path, monkeypatch: pytest.MonkeyPatch, flushes: bool
) -> None:
    if not flushes:  # OpenSSH always can: this is how asyncssh tells of a server that cannot

        async def refused(file: object) -> None:
            raise asyncssh.SFTPOpUnsupported("fsync not supported by server")

        monkeypatch.setattr(asyncssh.SFTPClientFile, "fsync", refused)
    upload = store.start_upload("b", "big", size=4)
    part = store.put_part("b", "big", upload, number=1, offset=0, size=2, body=b"ab")
    assert store.list_parts("b", "big", upload) == [part]
    uploads._process.cache_clear()  # as another process finds it
    assert store.list_parts("b", "big", upload) == ([part] if flushes else [])
    both = [
        store.put_part("b", "big", upload, number=n, offset=2 * n - 2, size=2, body=body)
        for n, body in ((1, b"ab"), (2, b"cd"))
    ]
    store.complete_upload("b", "big", upload, both)
    assert read(store, "big") == b"abcd"
