"""Uploads in parts on the local disk: what survives, what is refused, what is cleared away."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from svstorage.errors import BucketNotFound, ObjectChanged, ObjectError, ObjectNotFound
from svstorage.model import Attributes, Part
from svstorage.providers.local import uploads
from svstorage.providers.local.store import LocalStore
from tests.providers.local.conftest import BUCKET, get, keys, put, tree

KEY = "deep/big"
PART = 100_000


def send(store: LocalStore, upload: str, number: int, data: bytes) -> Part:
    body = data[(number - 1) * PART : number * PART]
    return store.put_part(
        BUCKET, KEY, upload,
        number=number, offset=(number - 1) * PART, size=len(body), body=io.BytesIO(body),
    )  # fmt: skip


def test_parts_survive_their_process(store: LocalStore, root: Path):
    """Killed after two parts and in the middle of a third."""
    data = os.urandom(3 * PART)
    code = """
import sys
from svstorage.providers.local import uploads
from svstorage.providers.local.store import LocalStore
store = LocalStore(sys.argv[1])
data = open(sys.argv[2], "rb").read()
upload = store.start_upload("bucket", "deep/big", size=300_000)
for n in (1, 2):
    store.put_part("bucket", "deep/big", upload, number=n, offset=(n - 1) * 100_000, size=100_000,
                   body=data[(n - 1) * 100_000 : n * 100_000])
print(upload, flush=True)

class Endless:
    def read(self, size=-1):
        import time
        time.sleep(0.01)
        return b"?" * 10

store.put_part("bucket", "deep/big", upload, number=3, offset=200_000, size=100_000, body=Endless())
"""
    (root.parent / "data").write_bytes(data)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(root.parent / "data")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert process.stdout is not None
    upload = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert keys(store) == [], "nothing of an upload is seen, nor removed, by a listing"
    assert list(store.list_uploads(BUCKET)) == [(KEY, upload)]
    held = store.list_parts(BUCKET, KEY, upload)
    assert [(part.number, part.offset, part.size) for part in held] == [
        (1, 0, PART), (2, PART, PART)
    ]  # fmt: skip
    held.append(send(store, upload, 3, data))
    store.complete_upload(BUCKET, KEY, upload, held)
    assert get(store, KEY) == data
    assert set(tree(root / BUCKET)) == {b"deep", b"deep/big"}
    assert list(store.list_uploads(BUCKET)) == []


def test_a_record_cut_short_by_a_crash(store: LocalStore, base: Path):
    """The line of a part that was never confirmed counts for nothing; the next one does."""
    data = os.urandom(2 * PART)
    upload = store.start_upload(BUCKET, KEY, size=2 * PART)
    first = send(store, upload, 1, data)
    record = base / "deep" / f".svstorage-list-{upload}~"
    whole = record.read_bytes()
    for cut in (2, 10, 30):
        record.write_bytes(whole[:-cut])
        assert store.list_parts(BUCKET, KEY, upload) == []
        second = send(store, upload, 2, data)
        assert store.list_parts(BUCKET, KEY, upload) == [second]
    with pytest.raises(ObjectChanged, match="part 1 is not the one that was written"):
        store.complete_upload(BUCKET, KEY, upload, [first, second])
    first = send(store, upload, 1, data)
    store.complete_upload(BUCKET, KEY, upload, [first, second])
    assert get(store, KEY) == data


@pytest.mark.parametrize("header", [b"", b"\n", b"no json\n", b"{}\n", b'{"key": "other"}\n'])
def test_a_record_without_its_head_is_no_upload(store: LocalStore, base: Path, header: bytes):
    upload = store.start_upload(BUCKET, KEY, size=1)
    (base / "deep" / f".svstorage-list-{upload}~").write_bytes(header)
    for attempt in (
        lambda: store.list_parts(BUCKET, KEY, upload),
        lambda: send(store, upload, 1, b"x"),
        lambda: store.complete_upload(BUCKET, KEY, upload, []),
    ):
        with pytest.raises(ObjectNotFound):
            attempt()
    assert list(store.list_uploads(BUCKET)) == []
    store.abort_upload(BUCKET, KEY, upload)
    assert not [name for name in tree(base) if b"svstorage" in name]


def test_parts_that_do_not_make_the_object(store: LocalStore):
    data = os.urandom(2 * PART)
    upload = store.start_upload(BUCKET, KEY, size=2 * PART)
    first, second = (send(store, upload, n, data) for n in (1, 2))
    for parts, why in (
        ([first], "have 100000 bytes of 200000"),
        ([second], "does not follow"),
        ([second, first], "does not follow"),
        ([first, Part(2, PART, "00000000", PART)], "not the one that was written"),
        ([first, second, Part(3, 1, "0", 2 * PART)], "not the one that was written"),
    ):
        with pytest.raises(ObjectError, match=why):
            store.complete_upload(BUCKET, KEY, upload, parts)
    assert keys(store) == []
    with pytest.raises(ObjectError, match="does not lie within"):
        store.put_part(BUCKET, KEY, upload, number=3, offset=PART, size=PART + 1, body=bytes(9))
    with pytest.raises(ObjectError, match="does not lie within"):
        store.put_part(BUCKET, KEY, upload, number=3, offset=-1, size=1, body=b"x")
    store.complete_upload(BUCKET, KEY, upload, [first, second])
    assert get(store, KEY) == data


def test_a_part_begun_again_is_shorter_than_what_was_there(store: LocalStore):
    """With parts of another size after a resume: the end of the file is cut to the object's."""
    upload = store.start_upload(BUCKET, KEY, size=None)
    store.put_part(BUCKET, KEY, upload, number=1, offset=0, size=500, body=b"old" + bytes(497))
    part = store.put_part(BUCKET, KEY, upload, number=1, offset=0, size=3, body=b"new")
    store.complete_upload(BUCKET, KEY, upload, [part])
    assert get(store, KEY) == b"new"


def test_two_uploads_to_one_key_do_not_mix(store: LocalStore):
    one, two = os.urandom(2 * PART), os.urandom(2 * PART)
    uploads = [store.start_upload(BUCKET, KEY, size=2 * PART) for _ in range(2)]
    parts = [
        [send(store, upload, n, data) for n in (1, 2)]
        for upload, data in zip(uploads, (one, two), strict=True)
    ]
    assert sorted(store.list_uploads(BUCKET)) == sorted((KEY, upload) for upload in uploads)
    with pytest.raises(ObjectChanged):
        store.complete_upload(BUCKET, KEY, uploads[0], [parts[0][0], parts[1][1]])
    store.complete_upload(BUCKET, KEY, uploads[0], parts[0])
    assert get(store, KEY) == one
    store.complete_upload(BUCKET, KEY, uploads[1], parts[1])
    assert get(store, KEY) == two


def test_attributes_and_time_wait_in_the_record(store: LocalStore, root: Path):
    attributes = Attributes(content_type="text/x", metadata={"ü": "é"}, tags={"a": "b"})
    upload = store.start_upload(BUCKET, KEY, size=1, attributes=attributes, modified_ns=7)
    again = LocalStore(root)
    part = again.put_part(BUCKET, KEY, upload, number=1, offset=0, size=1, body=b"x")
    again.complete_upload(BUCKET, KEY, upload, [part])
    kept = store.head(BUCKET, KEY)
    assert kept.entry.modified_ns == 7
    assert kept.attributes == attributes or not store.capabilities.holds_metadata


def test_the_old_object_stays_until_the_end(store: LocalStore, base: Path):
    put(store, KEY, b"old")
    upload = store.start_upload(BUCKET, KEY, size=3)
    part = store.put_part(BUCKET, KEY, upload, number=1, offset=0, size=3, body=b"new")
    assert get(store, KEY) == b"old"
    (base / KEY).unlink()
    (base / KEY).mkdir()
    (base / KEY / "x").touch()
    with pytest.raises(ObjectError, match="a file and a folder of one name"):
        store.complete_upload(BUCKET, KEY, upload, [part])
    assert keys(store) == [f"{KEY}/x"]
    assert store.list_parts(BUCKET, KEY, upload) == [part], "it may be completed once that is gone"


@pytest.mark.parametrize("upload", ["", "x", "../../etc/passwd", "0" * 15, "0" * 17, "A" * 16])
def test_ids_that_are_none(store: LocalStore, upload: str):
    for attempt in (
        lambda: store.list_parts(BUCKET, KEY, upload),
        lambda: store.abort_upload(BUCKET, KEY, upload),
        lambda: store.complete_upload(BUCKET, KEY, upload, []),
        lambda: send(store, upload, 1, b"x"),
    ):
        with pytest.raises(ObjectNotFound):
            attempt()


def test_an_id_is_good_for_its_own_key(store: LocalStore):
    upload = store.start_upload(BUCKET, KEY, size=1)
    with pytest.raises(ObjectNotFound):
        store.put_part(BUCKET, "deep/other", upload, number=1, offset=0, size=1, body=b"x")
    with pytest.raises(ObjectNotFound):
        store.complete_upload(BUCKET, "deep/other", upload, [])
    assert list(store.list_uploads(BUCKET)) == [(KEY, upload)]


def test_uploads_are_found_by_prefix_and_only_where_they_belong(store: LocalStore, base: Path):
    one = store.start_upload(BUCKET, "a/b/c", size=1)
    two = store.start_upload(BUCKET, "a-d", size=1)
    assert sorted(store.list_uploads(BUCKET)) == [("a-d", two), ("a/b/c", one)]
    assert list(store.list_uploads(BUCKET, "a/")) == [("a/b/c", one)]
    os.rename(base / "a" / "b", base / "moved")
    assert list(store.list_uploads(BUCKET)) == [("a-d", two)]
    with pytest.raises(BucketNotFound):
        list(store.list_uploads("absent"))


def test_abort_leaves_what_was_there(store: LocalStore, base: Path):
    (base / "mine").mkdir()
    upload = store.start_upload(BUCKET, "mine/new/deep/o", size=1)
    store.abort_upload(BUCKET, "mine/new/deep/o", upload)
    assert tree(base) == {b"mine": None}


def test_a_bucket_with_an_unfinished_upload_is_not_empty(store: LocalStore, base: Path):
    upload = store.start_upload(BUCKET, "o", size=1)
    with pytest.raises(ObjectError, match="something is being written to it"):
        store.delete_bucket(BUCKET)
    assert list(store.list_uploads(BUCKET)) == [("o", upload)]
    store.abort_upload(BUCKET, "o", upload)
    store.delete_bucket(BUCKET)
    assert not base.exists()


def test_after_a_loss_of_power_only_what_was_flushed_is_trusted(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
):
    """No machine can be switched off here: another start of it is told by its boot id."""
    monkeypatch.setattr(uploads, "_SYNC_EVERY", 2)
    data = os.urandom(3 * PART)
    upload = store.start_upload(BUCKET, KEY, size=len(data))
    parts = [send(store, upload, number, data) for number in (1, 2, 3)]
    assert store.list_parts(BUCKET, KEY, upload) == parts
    monkeypatch.setattr(uploads, "_boot", lambda: "another start")
    assert store.list_parts(BUCKET, KEY, upload) == parts[:2]
    with pytest.raises(ObjectChanged, match="part 3"):
        store.complete_upload(BUCKET, KEY, upload, parts)
    parts[2] = send(store, upload, 3, data)
    store.complete_upload(BUCKET, KEY, upload, parts)
    assert get(store, KEY) == data


def test_an_unfinished_upload_can_be_read(store: LocalStore):
    data = os.urandom(2 * PART)
    upload = store.start_upload(BUCKET, KEY, size=len(data))
    send(store, upload, 2, data)
    with store.open_upload(BUCKET, KEY, upload) as file:
        file.seek(PART)
        assert file.read() == data[PART:]
    with pytest.raises(ObjectNotFound):
        store.open_upload(BUCKET, KEY, "0" * 16)


def test_abort_clears_what_a_crash_left_of_a_complete_upload(store: LocalStore, base: Path):
    """Killed between the rename of the file and the end of its record."""
    upload = store.start_upload(BUCKET, KEY, size=PART)
    record = next(p for p in (base / "deep").iterdir() if "-list-" in p.name)
    held = record.read_bytes()
    part = send(store, upload, 1, b"x" * PART)
    store.complete_upload(BUCKET, KEY, upload, [part])
    record.write_bytes(held)
    with pytest.raises(ObjectNotFound):
        store.list_parts(BUCKET, KEY, upload)
    store.abort_upload(BUCKET, KEY, upload)
    assert sorted(p.name for p in (base / "deep").iterdir()) == ["big"]


def test_a_crash_while_an_upload_is_begun_leaves_nothing_that_stays(root: Path, base: Path):
    """Killed before each call of the system in turn: a listing and an abort clear it all away."""
    calls = ("open", "write", "pwrite", "fsync", "rename", "close", "mkdir")
    died = 0
    for moment in range(1, 60):
        child = os.fork()
        if not child:
            left_to_do = itertools.count(moment - 1, -1)

            def counted(function, left=left_to_do):
                def call(*args, **options):
                    if next(left) == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return function(*args, **options)

                return call

            mine = LocalStore(root)
            for name in calls:
                setattr(os, name, counted(getattr(os, name)))
            mine.start_upload(BUCKET, "f/big", size=PART)
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        died += killed
        store = LocalStore(root)
        for key, upload in list(store.list_uploads(BUCKET)):
            store.abort_upload(BUCKET, key, upload)
        list(store.list(BUCKET))
        left = [p.name for p in base.rglob("*") if p.is_file()]
        assert left == [], f"killed before call {moment}"
        if not killed:
            break
    assert 5 < died < 50


def test_an_upload_that_cannot_be_begun_leaves_nothing(
    store: LocalStore, base: Path, monkeypatch: pytest.MonkeyPatch
):
    """The disk is full when its second file is made."""
    before = os.open

    def full(path, *args, **options):
        if "-part-" in os.fsdecode(path):
            raise OSError(28, "No space left on device")
        return before(path, *args, **options)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(ObjectError, match="full"):
        store.start_upload(BUCKET, KEY, size=PART)
    monkeypatch.undo()
    assert [p for p in base.rglob("*") if p.is_file()] == []


def test_an_upload_begins_again_where_its_folder_was_just_removed(
    store: LocalStore, base: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another write that came to nothing takes the folder along that it had made."""
    before, removed = LocalStore._write_record, []

    def write(self, folder, *args):
        if not removed:
            removed.append((base / "deep").rmdir())
        return before(self, folder, *args)

    monkeypatch.setattr(LocalStore, "_write_record", write)
    upload = store.start_upload(BUCKET, KEY, size=PART)
    assert removed
    store.complete_upload(BUCKET, KEY, upload, [send(store, upload, 1, b"x" * PART)])
    assert get(store, KEY) == b"x" * PART
