"""An object is the old one or the whole new one, at every moment."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from svstorage.errors import ChecksumMismatch, ObjectChanged, ObjectExists
from svstorage.providers.local.keys import temporary_kind
from svstorage.providers.local.store import LocalStore
from tests.providers.local.conftest import BUCKET, get, keys, put, tree


@pytest.mark.parametrize("durability", ["file", "folder", "none"])
def test_a_name_only_for_bytes_on_disk(root: Path, durability, monkeypatch):
    """The order of the calls, seen while they are really made."""
    seen: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def name(fd: int) -> str:
        return os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))

    def noted_fsync(fd: int) -> None:
        seen.append(("fsync", name(fd)))
        fsync(fd)

    def noted_rename(source, target, *, src_dir_fd, dst_dir_fd) -> None:
        assert name(src_dir_fd) == name(dst_dir_fd) == "folder"
        seen.append((os.fsdecode(source), os.fsdecode(target)))
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    store = LocalStore(root, durability=durability)
    put(store, "folder/first")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    put(store, "folder/key", b"bytes")
    (draft,) = (first for first, second in seen if second == "key")
    assert temporary_kind(draft) == "tmp"
    synced = {
        "file": [("fsync", draft), (draft, "key"), ("fsync", "folder")],
        "folder": [("fsync", draft), (draft, "key")],
        "none": [(draft, "key")],
    }
    assert seen == synced[durability]
    seen.clear()
    store.flush()
    assert seen == ([("fsync", "folder")] if durability == "folder" else [])
    store.flush()
    assert len(seen) < 2, "a second time there is nothing to do"


def test_a_flush_minds_no_folder_that_is_gone(root: Path, base: Path):
    store = LocalStore(root)
    put(store, "a/b/c")
    put(store, "d/e")
    (base / "a").rename(root / "elsewhere")
    (base / "d" / "e").unlink()
    (base / "d").rmdir()
    (base / "d").symlink_to("/nonexistent")
    store.close()


def test_a_flush_through_a_root_that_is_a_link(tmp_path: Path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = LocalStore.for_folder(tmp_path / "link")
    store.put("", "key", b"x", size=1)
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    store.close()
    assert synced == [str(tmp_path / "real")]
    assert (tmp_path / "real" / "key").read_bytes() == b"x"


class Failing(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 1000:
            raise RuntimeError("broke")
        return super().read(min(size or 0, 700))


@pytest.mark.parametrize("key", ["old", "new", "deep/down/new"])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (Failing(bytes(2000)), RuntimeError),
        (io.BytesIO(b"short"), ObjectChanged),
        (io.BytesIO(bytes(2001)), ObjectChanged),
        (bytes(1999), ObjectChanged),
        (io.BytesIO(bytes(2000)), ChecksumMismatch),
    ],
    ids=["failing", "short", "long", "short-bytes", "wrong-bytes"],
)
def test_a_failed_put_leaves_nothing(store: LocalStore, base: Path, key, body, error):
    put(store, "old", b"as it was")
    (base / "empty").mkdir()
    body = io.BytesIO(body) if isinstance(body, bytes) else body
    body.seek(0)
    with pytest.raises(error):
        store.put(BUCKET, key, body, size=2000, md5=b"0" * 16)
    assert tree(base) == {b"old": b"as it was", b"empty": None}


def test_a_failed_put_keeps_a_folder_that_was_empty_before(store: LocalStore, base: Path):
    (base / "empty").mkdir()
    with pytest.raises(ObjectChanged):
        store.put(BUCKET, "empty/new/x", b"x", size=2)
    assert tree(base) == {b"empty": None}


def test_a_failed_put_keeps_folders_in_use(store: LocalStore, base: Path):
    class Meanwhile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            put(store, "a/b/other")
            return b""

    with pytest.raises(ObjectChanged):
        store.put(BUCKET, "a/b/c/d", Meanwhile(), size=1)
    assert tree(base) == {b"a": None, b"a/b": None, b"a/b/other": b"x"}


def test_if_none_match_has_one_winner(store: LocalStore, base: Path):
    outcomes: list[str] = []

    def one(number: int) -> None:
        try:
            store.put(BUCKET, "key", bytes([number]) * 10_000, size=10_000, if_none_match=True)
        except ObjectExists:
            outcomes.append("taken")
        else:
            outcomes.append("stored")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["stored"] + ["taken"] * 7
    assert list(tree(base)) == [b"key"]
    assert len(set(get(store, "key"))) == 1


WRITER = """
import sys
from svstorage.providers.local.store import LocalStore
store = LocalStore(sys.argv[1])
print("ready", flush=True)
n = 0
while True:
    n += 1
    store.put("bucket", "deep/key", bytes([n % 256]) * 3_000_000, size=3_000_000)
"""


@pytest.mark.faults
def test_kill_at_any_moment(store: LocalStore, root: Path, base: Path):
    seed = time.time_ns() % 1_000_000
    print(f"{seed=}")
    moments = random.Random(seed)
    put(store, "deep/key", b"\0" * 3_000_000)
    left = 0
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        data = get(store, "deep/key")
        assert len(data) == 3_000_000
        assert len(set(data)) == 1
        left += len(tree(base)) - 2
        # What the dead writer left is never listed, and goes with the next listing.
        assert keys(store) == ["deep/key"]
        assert set(tree(base)) == {b"deep", b"deep/key"}
    assert left, "no draft was ever caught in the making; make the waits longer"


def test_a_living_writers_draft_is_left_alone_and_not_seen(store: LocalStore, base: Path):
    seen: list[object] = []

    class Looking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not seen:
                seen.append(len(tree(base)))
                seen.append(keys(store))
                seen.append([str(row) for row in store.list_level(BUCKET)])
            return super().read(size)

    store.put(BUCKET, "folder/key", Looking(b"x"), size=1)
    assert seen == [2, [], ["CommonPrefix(prefix='folder/')"]]
    assert keys(store) == ["folder/key"]


def test_drafts_of_another_machine_wait_a_day(store: LocalStore, base: Path):
    strange = base / ".svstorage-tmp-ffffffffffffffff~"
    strange.write_bytes(b"x")
    assert keys(store) == []
    assert strange.exists()
    yesterday = time.time() - 86_500
    os.utime(strange, (yesterday, yesterday))
    assert keys(store) == []
    assert not strange.exists()


def test_what_only_looks_like_a_draft_is_an_object(store: LocalStore, base: Path):
    names = [".svstorage-tmp-x~", ".svstorage-tmp-0123456789ABCDEF~", ".svstorage-tmp-", "a~"]
    for name in names:
        put(store, name, name.encode())
    assert keys(store) == sorted(names)
    assert get(store, names[0]) == names[0].encode()


def test_deleting_and_writing_in_one_folder_at_once(store: LocalStore):
    """The folder goes with its last object while others are about to write into it."""
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(150):
                put(store, f"a/b/{number}", bytes([n]))
                store.delete(BUCKET, f"a/b/{number}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert keys(store) == []


def test_a_draft_that_took_a_free_name_is_no_leftover(root: Path, monkeypatch):
    """Between a sweep's look at a draft and its lock that one is published, and another process
    begins a draft under the same name."""
    from svstorage.providers.local import draft

    folder = os.open(root, os.O_RDONLY)
    with draft.Draft(folder) as first:
        path = root / os.fsdecode(first.name)
        flock = draft.fcntl.flock

        def meanwhile(fd: int, how: int) -> None:
            os.rename(path, root / "published")
            path.write_bytes(b"another's")
            monkeypatch.setattr(draft.fcntl, "flock", flock)

        monkeypatch.setattr(draft.fcntl, "flock", meanwhile)
        assert not draft.remove_leftover(str(path))
        assert path.read_bytes() == b"another's"


def test_forked_processes_give_their_drafts_other_names(root: Path):
    from svstorage.providers.local import draft

    def names(end: int) -> None:
        for _ in range(3):
            with draft.Draft(os.open(root, os.O_RDONLY)) as one:
                os.write(end, one.name + b"\n")

    told: list[bytes] = []
    for _ in range(2):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            names(writer)
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with open(reader, "rb") as file:
            told += file.read().split()
    assert len(told) == len(set(told)) == 6
