"""Uploads in parts: any order, resumed, repeated, published at once, forgotten on abort."""

from __future__ import annotations

import io

import pytest

from svstorage.errors import ObjectChanged, ObjectError, ObjectNotFound
from svstorage.model import Attributes, Part
from svstorage.providers.base import MultipartStore
from svstorage.testing.subject import Subject, content, read_all

KEY = "big/object"


def _put_part(
    store: MultipartStore, subject: Subject, upload: str, number: int, part: int, data: bytes
) -> Part:
    """Part ``number`` of ``data`` cut into parts of ``part`` bytes."""
    offset = (number - 1) * part
    body = data[offset : offset + part]
    return store.put_part(
        subject.bucket, KEY, upload,
        number=number, offset=offset, size=len(body), body=io.BytesIO(body),
    )  # fmt: skip


class UploadsContract:
    """What `MultipartStore` promises. Skipped for stores that claim no parts."""

    @pytest.mark.parametrize("extra", [-1, 0, 1], ids=["part-1", "part", "part+1"])
    def test_sizes_around_a_border(self, subject: Subject, extra: int) -> None:
        store, part = subject.multipart()
        data = content(extra, part + extra)
        upload = store.start_upload(subject.bucket, KEY, size=len(data))
        count = -(-len(data) // part)
        parts = [_put_part(store, subject, upload, n + 1, part, data) for n in range(count)]
        assert [(p.number, p.offset) for p in parts] == [(n + 1, n * part) for n in range(count)]
        assert sum(p.size for p in parts) == len(data)
        stored = store.complete_upload(subject.bucket, KEY, upload, parts)
        assert stored.size == len(data)
        head = subject.store.head(subject.bucket, KEY).entry
        assert head.size == len(data)
        assert subject.get(KEY) == data
        # The middle of a big object, over the border of its parts.
        start = max(0, part - 10)
        got = read_all(subject.store, subject.bucket, KEY, start=start, length=len(data) - start)
        assert got == data[start:]

    def test_what_the_end_tells_is_what_head_tells(self, subject: Subject) -> None:
        store, part = subject.multipart()
        data = content("etag", part + 1)
        upload = store.start_upload(subject.bucket, KEY, size=len(data))
        parts = [_put_part(store, subject, upload, n, part, data) for n in (1, 2)]
        stored = store.complete_upload(subject.bucket, KEY, upload, parts)
        head = subject.store.head(subject.bucket, KEY).entry
        if stored.etag is not None:
            assert stored.etag == head.etag
        if stored.checksum is not None and head.checksum is not None:
            assert stored.checksum == head.checksum

    def test_parts_in_any_order(self, subject: Subject) -> None:
        store, part = subject.multipart()
        data = content("order", 2 * part + 5)
        upload = store.start_upload(subject.bucket, KEY, size=len(data))
        parts = {n: _put_part(store, subject, upload, n, part, data) for n in (3, 1, 2)}
        store.complete_upload(subject.bucket, KEY, upload, [parts[n] for n in (1, 2, 3)])
        assert subject.get(KEY) == data

    def test_a_part_sent_again_replaces_the_first(self, subject: Subject) -> None:
        store, part = subject.multipart()
        data = content("again", part + 5)
        upload = store.start_upload(subject.bucket, KEY, size=len(data))
        _put_part(store, subject, upload, 1, part, content("thrown away", len(data)))
        second = _put_part(store, subject, upload, 2, part, data)
        first = _put_part(store, subject, upload, 1, part, data)
        store.complete_upload(subject.bucket, KEY, upload, [first, second])
        assert subject.get(KEY) == data

    def test_resumed_by_a_later_process(self, subject: Subject) -> None:
        store, part = subject.multipart()
        data = content("resume", 2 * part + 9)
        upload = store.start_upload(subject.bucket, KEY, size=len(data))
        done = [_put_part(store, subject, upload, n, part, data) for n in (1, 3)]
        again = subject.reconnect() if subject.reconnect else subject.store
        assert isinstance(again, MultipartStore)
        held = again.list_parts(subject.bucket, KEY, upload)
        assert [(p.number, p.size, p.etag) for p in held] == [
            (p.number, p.size, p.etag) for p in done
        ]
        second = _put_part(again, subject, upload, 2, part, data)
        parts = sorted([*held, second], key=lambda p: p.number)
        again.complete_upload(subject.bucket, KEY, upload, parts)
        assert subject.get(KEY) == data

    def test_nothing_is_seen_before_the_end(self, subject: Subject) -> None:
        store, part = subject.multipart()
        subject.put(KEY, b"the old one")
        data = content("hidden", part + 1)
        upload = store.start_upload(subject.bucket, KEY, size=len(data))
        parts = [_put_part(store, subject, upload, n, part, data) for n in (1, 2)]
        assert subject.get(KEY) == b"the old one"
        assert [(e.key, e.size) for e in subject.entries()] == [(KEY, 11)]
        assert list(store.list_uploads(subject.bucket)) == [(KEY, upload)]
        assert list(store.list_uploads(subject.bucket, "big/")) == [(KEY, upload)]
        assert list(store.list_uploads(subject.bucket, "other/")) == []
        store.complete_upload(subject.bucket, KEY, upload, parts)
        assert subject.get(KEY) == data
        assert list(store.list_uploads(subject.bucket)) == []

    def test_abort(self, subject: Subject) -> None:
        store, part = subject.multipart()
        data = content("abort", part + 1)
        upload = store.start_upload(subject.bucket, KEY, size=len(data))
        first = _put_part(store, subject, upload, 1, part, data)
        store.abort_upload(subject.bucket, KEY, upload)
        assert subject.keys() == []
        assert list(store.list_uploads(subject.bucket)) == []
        with pytest.raises(ObjectNotFound):
            store.list_parts(subject.bucket, KEY, upload)
        with pytest.raises(ObjectError):
            store.complete_upload(subject.bucket, KEY, upload, [first])
        assert subject.keys() == []
        store.abort_upload(subject.bucket, KEY, upload)  # a second time is no error

    def test_size_not_known_before(self, subject: Subject) -> None:
        store, part = subject.multipart()
        data = content("stream", part + 3)
        upload = store.start_upload(subject.bucket, KEY, size=None)
        parts = [_put_part(store, subject, upload, n, part, data) for n in (1, 2)]
        assert store.complete_upload(subject.bucket, KEY, upload, parts).size == len(data)
        assert subject.get(KEY) == data

    @pytest.mark.parametrize("off", [-1, 1], ids=["short", "long"])
    @pytest.mark.parametrize("form", ["file", "bytes"])
    def test_a_part_of_another_size_is_not_stored(
        self, subject: Subject, off: int, form: str
    ) -> None:
        store, part = subject.multipart()
        data = content("wrong", part + off)
        upload = store.start_upload(subject.bucket, KEY, size=2 * part)
        with pytest.raises(ObjectChanged):
            store.put_part(
                subject.bucket, KEY, upload, number=1, offset=0, size=part,
                body=io.BytesIO(data) if form == "file" else data,
            )  # fmt: skip
        assert store.list_parts(subject.bucket, KEY, upload) == []
        store.abort_upload(subject.bucket, KEY, upload)

    def test_attributes(self, subject: Subject) -> None:
        store, part = subject.multipart()
        capabilities = subject.store.capabilities
        data = content("attributes", part + 1)
        plain = Attributes(content_type="text/x-big", metadata={"name": "Z\u00fcrich"})
        moment = 1_234_567_890_000_000_001
        upload = store.start_upload(
            subject.bucket, KEY, size=len(data), attributes=plain, modified_ns=moment
        )
        parts = [_put_part(store, subject, upload, n, part, data) for n in (1, 2)]
        store.complete_upload(subject.bucket, KEY, upload, parts)
        kept = subject.store.head(subject.bucket, KEY)
        if capabilities.holds_metadata:
            assert kept.attributes.content_type == "text/x-big"
            assert dict(kept.attributes.metadata) == {"name": "Z\u00fcrich"}
        if capabilities.sets_modified:
            told = kept.entry.modified_ns
            assert told is not None
            assert abs(told - moment) <= subject.grain * 1e9

    def test_an_upload_that_never_was(self, subject: Subject) -> None:
        store, part = subject.multipart()
        upload = store.start_upload(subject.bucket, KEY, size=part)
        store.abort_upload(subject.bucket, KEY, upload)
        with pytest.raises(ObjectNotFound):
            _put_part(store, subject, upload, 1, part, content("never", part))
        assert subject.keys() == []

    def test_two_uploads_of_one_key(self, subject: Subject) -> None:
        store, part = subject.multipart()
        one, two = content("one", part + 1), content("two", part + 2)
        first = store.start_upload(subject.bucket, KEY, size=len(one))
        second = store.start_upload(subject.bucket, KEY, size=len(two))
        assert first != second
        parts = {
            upload: [_put_part(store, subject, upload, n, part, data) for n in (1, 2)]
            for upload, data in ((first, one), (second, two))
        }
        store.complete_upload(subject.bucket, KEY, first, parts[first])
        assert subject.get(KEY) == one
        try:
            store.complete_upload(subject.bucket, KEY, second, parts[second])
        except ObjectError:
            # Azure forgets all uncommitted blocks of a blob when one list is committed.
            assert subject.get(KEY) == one
        else:
            assert subject.get(KEY) == two

    def test_store_knows_its_limits(self, subject: Subject) -> None:
        limits = subject.store.capabilities.parts
        if limits is None:
            pytest.skip("this store has no uploads in parts")
        assert 1 <= limits.min_part <= limits.max_part
        assert limits.max_parts >= 1
        assert limits.max_object <= limits.max_part * limits.max_parts
