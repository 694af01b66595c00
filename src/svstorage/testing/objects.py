"""Single objects: put, read, ranges, conditions, head, delete, copies, presigned URLs."""

from __future__ import annotations

import hashlib
import io
import time
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from svstorage.errors import (
    ChecksumMismatch,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
)
from svstorage.model import Attributes, Entry
from svstorage.testing.subject import Subject, content, read_all

SIZES = (0, 1, 255, 65_535, 65_536, 65_537, 1_048_576, 5 * 1_048_576 + 1)


class _Pipe:
    """Gives less than it is asked for, and cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(min(size, 7777) if size >= 0 else 7777)


class ObjectsContract:
    """What the methods of `ObjectStore` for one object promise."""

    @pytest.mark.parametrize("size", SIZES)
    def test_round_trip(self, subject: Subject, size: int) -> None:
        data = content(size, size)
        stored = subject.put("o", data)
        head = subject.store.head(subject.bucket, "o")
        assert (stored.size, head.entry.size, head.entry.key) == (size, size, "o")
        assert subject.get("o") == data
        if stored.etag is not None:
            assert stored.etag == head.entry.etag
        for checksum in (stored.checksum, head.entry.checksum):
            if checksum is not None and checksum.algorithm == "md5":
                assert checksum.value == hashlib.md5(data, usedforsecurity=False).hexdigest()

    def test_reader_tells_what_it_reads(self, subject: Subject) -> None:
        subject.put("o", b"12345")
        with subject.store.read(subject.bucket, "o") as reader:
            assert reader.info.entry == subject.store.head(subject.bucket, "o").entry
            assert bytes(reader.read(0)) == b""
            assert bytes(reader.read()) == b"12345"
            assert bytes(reader.read()) == b""

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_body_of_bytes(self, subject: Subject, kind: type) -> None:
        body = kind(b"some bytes")
        subject.store.put(subject.bucket, "o", body, size=10)
        assert subject.get("o") == b"some bytes"

    def test_body_from_where_it_stands(self, subject: Subject) -> None:
        body = io.BytesIO(b"before|after")
        body.seek(7)
        subject.store.put(subject.bucket, "o", body, size=5)
        assert subject.get("o") == b"after"

    def test_body_that_reads_by_drops(self, subject: Subject) -> None:
        """A pipe may give less than it is asked for, and cannot seek."""
        data = content("drops", 50_000)
        subject.store.put(subject.bucket, "o", _Pipe(data), size=50_000)
        assert subject.get("o") == data

    def test_overwrite(self, subject: Subject) -> None:
        first = subject.put("o", b"first version, longer")
        second = subject.put("o", b"second")
        assert subject.get("o") == b"second"
        assert [entry.size for entry in subject.entries()] == [6]
        if first.etag is not None:
            assert first.etag != second.etag

    @pytest.mark.parametrize(
        ("start", "length"), [(0, 1), (0, 100), (50, 10), (99, 1), (99, None), (1, None), (0, None),
                              (10, 0), (0, 0)],
    )  # fmt: skip
    def test_ranges(self, subject: Subject, start: int, length: int | None) -> None:
        data = content("ranges", 100)
        subject.put("o", data)
        end = None if length is None else start + length
        got = read_all(subject.store, subject.bucket, "o", start=start, length=length, chunk=7)
        assert got == data[start:end]
        with subject.store.read(subject.bucket, "o", start=start, length=length) as reader:
            assert reader.info.entry.size == 100, "the info is that of the whole object"

    @pytest.mark.parametrize(("start", "length"), [(101, None), (99, 2), (100, 1), (0, 101)])
    def test_a_range_that_is_not_there(
        self, subject: Subject, start: int, length: int | None
    ) -> None:
        """Fewer bytes than were asked for must not pass as the whole range."""
        subject.put("o", content("ranges", 100))
        with pytest.raises(ObjectError):
            read_all(subject.store, subject.bucket, "o", start=start, length=length)

    def test_closed_early(self, subject: Subject) -> None:
        data = content("early", 3_000_000)
        subject.put("o", data)
        for _ in range(5):
            with subject.store.read(subject.bucket, "o") as reader:
                assert bytes(reader.read(10)) == data[:10]
        assert subject.get("o") == data

    def test_if_match(self, subject: Subject) -> None:
        subject.put("o", b"first")
        etag = subject.store.head(subject.bucket, "o").entry.etag
        if etag is None:
            pytest.skip("this store tells no versions")
        assert read_all(subject.store, subject.bucket, "o", if_match=etag) == b"first"
        time.sleep(subject.grain)
        subject.put("o", b"other")
        for start, length in ((0, None), (1, 2), (0, 0)):
            with pytest.raises(ObjectChanged):
                read_all(
                    subject.store, subject.bucket, "o", start=start, length=length, if_match=etag
                )

    def test_if_none_match(self, subject: Subject) -> None:
        assert subject.put("o", b"first", if_none_match=True).size == 5
        with pytest.raises(ObjectExists):
            subject.put("o", b"second", if_none_match=True)
        assert subject.get("o") == b"first"

    def test_md5_is_checked(self, subject: Subject) -> None:
        right = hashlib.md5(b"right", usedforsecurity=False).digest()
        subject.put("o", b"right", md5=right)
        with pytest.raises(ChecksumMismatch):
            subject.put("o", b"wrong", md5=right)
        assert subject.get("o") == b"right"
        with pytest.raises(ChecksumMismatch):
            subject.put("new", b"wrong", md5=right)
        assert subject.keys() == ["o"]

    @pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
    @pytest.mark.parametrize("off", [-1, 1, 100_000], ids=["short", "long", "much-longer"])
    @pytest.mark.parametrize("form", ["file", "pipe", "bytes"])
    def test_a_body_of_another_size_stores_nothing(
        self, subject: Subject, size: int, off: int, form: str
    ) -> None:
        if size + off < 0:
            pytest.skip("no body is shorter than nothing")
        data = content("wrong", size + off)
        subject.put("old", b"as it was")

        for key in ("old", "new"):
            body = {"file": io.BytesIO, "pipe": _Pipe, "bytes": bytes}[form](data)
            with pytest.raises(ObjectChanged):
                subject.store.put(subject.bucket, key, body, size=size)
        assert subject.keys() == ["old"]
        assert subject.get("old") == b"as it was"

    def test_a_body_that_fails_stores_nothing(self, subject: Subject) -> None:
        class Failing:
            left = 3

            def read(self, size: int = -1, /) -> bytes:
                self.left -= 1
                if not self.left:
                    raise RuntimeError("the disk broke")
                return b"x" * min(size, 10_000) if size >= 0 else b"x" * 10_000

        subject.put("old", b"as it was")
        for key in ("old", "new"):
            with pytest.raises(RuntimeError, match="the disk broke"):
                subject.store.put(subject.bucket, key, Failing(), size=1_000_000)
        assert subject.keys() == ["old"]
        assert subject.get("old") == b"as it was"
        subject.put("after", b"the store still works")

    def test_times(self, subject: Subject) -> None:
        before = time.time_ns()
        subject.put("o")
        after = time.time_ns()
        told = subject.store.head(subject.bucket, "o").entry.modified_ns
        assert told is not None
        # Whole seconds, cut off, on most services; and the clock that stamps files is coarse.
        assert before - 1_100_000_000 <= told <= after + 1_100_000_000

    def test_modification_time_is_set_where_claimed(self, subject: Subject) -> None:
        if not subject.store.capabilities.sets_modified:
            pytest.skip("this store sets no modification times")
        for moment in (0, 1_234_567_890_123_456_789, 4_102_444_800_000_000_000):
            subject.put("o", b"x", modified_ns=moment)
            told = subject.store.head(subject.bucket, "o").entry.modified_ns
            assert told is not None
            assert abs(told - moment) <= subject.grain * 1e9
            assert [entry.modified_ns for entry in subject.entries()] == [told]

    def test_delete(self, subject: Subject) -> None:
        subject.put_all(["one", "two"])
        subject.store.delete(subject.bucket, "one")
        assert subject.keys() == ["two"]
        with pytest.raises(ObjectNotFound):
            subject.store.head(subject.bucket, "one")
        subject.store.delete(subject.bucket, "one")
        subject.store.delete(subject.bucket, "never/was/there")

    def test_delete_leaves_what_is_below(self, subject: Subject) -> None:
        subject.put_all(["folder/one", "folder/two"])
        subject.store.delete(subject.bucket, "folder")
        subject.store.delete(subject.bucket, "folder/")
        assert subject.keys() == ["folder/one", "folder/two"]

    def test_delete_many(self, subject: Subject) -> None:
        keys = [f"d/{n}" for n in range(25)]
        subject.put_all(keys)
        outcomes = list(subject.store.delete_many(subject.bucket, [*keys[:20], "d/absent"]))
        assert sorted(outcomes) == sorted((key, None) for key in [*keys[:20], "d/absent"])
        assert sorted(subject.keys()) == sorted(keys[20:])
        assert list(subject.store.delete_many(subject.bucket, [])) == []

    def test_delete_many_names_a_bad_key_and_does_the_rest(self, subject: Subject) -> None:
        subject.put("good")
        outcomes = dict(subject.store.delete_many(subject.bucket, ["x" * 100_000, "good"]))
        assert isinstance(outcomes["x" * 100_000], ObjectError)
        assert outcomes["good"] is None
        assert subject.keys() == []

    def test_copy(self, subject: Subject) -> None:
        source = self._copy_source(subject, b"the bytes")
        stored = subject.store.copy(subject.bucket, source, subject.bucket, "copy")
        assert stored.size == 9
        assert subject.get("copy") == b"the bytes"
        assert subject.get("o") == b"the bytes"
        kept = subject.store.head(subject.bucket, "copy").attributes
        if subject.store.capabilities.holds_metadata:
            assert (kept.content_type, kept.metadata["name"]) == ("text/x-contract", "one")

    def test_copy_with_other_attributes(self, subject: Subject) -> None:
        if not subject.store.capabilities.holds_metadata:
            pytest.skip("this store holds no metadata")
        source = self._copy_source(subject, b"the bytes")
        other = Attributes(content_type="text/x-other", metadata={"other": "two"})
        subject.store.copy(subject.bucket, source, subject.bucket, "copy", attributes=other)
        kept = subject.store.head(subject.bucket, "copy").attributes
        assert (kept.content_type, dict(kept.metadata)) == ("text/x-other", {"other": "two"})
        assert subject.get("copy") == b"the bytes"

    def test_copy_notices_another_version(self, subject: Subject) -> None:
        source = self._copy_source(subject, b"first")
        if source.etag is None:
            pytest.skip("this store tells no versions")
        time.sleep(subject.grain)
        subject.put("o", b"other")
        with pytest.raises(ObjectChanged):
            subject.store.copy(subject.bucket, source, subject.bucket, "copy")

    def test_copy_of_what_is_gone(self, subject: Subject) -> None:
        source = self._copy_source(subject, b"first")
        subject.store.delete(subject.bucket, "o")
        with pytest.raises(ObjectNotFound):
            subject.store.copy(subject.bucket, source, subject.bucket, "copy")
        assert subject.keys() == []

    def _copy_source(self, subject: Subject, data: bytes) -> Entry:
        if not subject.store.capabilities.server_side_copy:
            pytest.skip("this store has no server-side copy")
        plain = Attributes(content_type="text/x-contract", metadata={"name": "one"})
        subject.put("o", data, plain)
        return subject.store.head(subject.bucket, "o").entry

    def test_presigned_urls(self, subject: Subject) -> None:
        store = subject.store
        if not store.capabilities.presign:
            with pytest.raises(NotSupported):
                store.presign(subject.bucket, "o", expires=60)
            return
        key = "folder/with space+plus%2F\u00fc"
        subject.require_key(key)
        subject.put(key, b"for everybody")
        opener = build_opener(ProxyHandler({}))
        url = store.presign(subject.bucket, key, expires=60)
        with opener.open(url, timeout=30) as answer:
            assert answer.read() == b"for everybody"
        url = store.presign(subject.bucket, key, expires=60, method="PUT")
        request = Request(url, data=b"sent by URL", method="PUT")  # noqa: S310
        request.add_header("Content-Type", "application/octet-stream")
        request.add_header("x-ms-blob-type", "BlockBlob")  # Azure asks for it; others do not mind
        with opener.open(request, timeout=30) as answer:
            assert answer.status in (200, 201)
        assert subject.get(key) == b"sent by URL"
