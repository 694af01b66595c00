"""Uploads made of blocks, and copies inside the service."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable
from typing import Any

import pytest

from svstorage.errors import (
    ChecksumMismatch,
    ObjectChanged,
    ObjectNotFound,
    ServiceError,
    UsageError,
)
from svstorage.model import Attributes, Checksum, Part
from svstorage.providers.azure import blocks, copying
from svstorage.providers.azure.store import AzureStore
from tests.providers.azure.conftest import Connect
from tests.servers.azure import AzureServer
from tests.servers.faultproxy import flip

PART = 70_000


def send(store: AzureStore, bucket: str, upload: str, number: int, data: bytes) -> Part:
    body = data[(number - 1) * PART : number * PART]
    return store.put_part(
        bucket, "o", upload,
        number=number, offset=(number - 1) * PART, size=len(body), body=io.BytesIO(body),
    )  # fmt: skip


@pytest.fixture
def seen(azurite: AzureServer, bucket: str) -> Callable[..., Any]:
    """What the vendor's client sees of ``o``."""

    def look(key: str = "o") -> Any:
        return azurite.client().get_blob_client(bucket, key).get_blob_properties()

    return look


def test_resumed_from_uncommitted_blocks(azurite, bucket, store, storage_of: Connect):
    data = os.urandom(3 * PART)
    attributes = Attributes(content_type="text/x", metadata={"a-b": "ü"}, tags={"t": "1"})
    upload = store.start_upload(bucket, "o", size=len(data), attributes=attributes)
    done = [send(store, bucket, upload, n, data) for n in (3, 1)]
    again = storage_of(azurite).store
    held = again.list_parts(bucket, "o", upload)
    assert held == sorted(done, key=lambda part: part.number)
    assert [part.checksum for part in held] == [
        Checksum("md5", hashlib.md5(data[n * PART : (n + 1) * PART]).hexdigest()) for n in (0, 2)
    ], "what the service checked is known after a crash, too"
    second = send(again, bucket, upload, 2, data)
    stored = again.complete_upload(bucket, "o", upload, [held[0], second, held[1]])
    digests = b"".join(hashlib.md5(data[n * PART : (n + 1) * PART]).digest() for n in range(3))
    assert stored.checksum == Checksum("etag-multipart", hashlib.md5(digests).hexdigest() + "-3")
    with store.read(bucket, "o", if_match=stored.etag) as reader:
        assert reader.read() == data
    kept = store.head(bucket, "o").attributes
    assert (kept.content_type, dict(kept.metadata), kept.tags) == (
        "text/x",
        {"a-b": "ü"},
        {"t": "1"},
    )


def test_two_writers_never_mix(bucket, store):
    one, two = os.urandom(2 * PART), os.urandom(2 * PART)
    uploads = [store.start_upload(bucket, "o", size=2 * PART) for _ in range(2)]
    assert len(set(uploads)) == 2
    ids = set()
    parts: list[list[Part]] = [[], []]
    for n in (1, 2):
        for who, data in enumerate((one, two)):
            parts[who].append(send(store, bucket, uploads[who], n, data))
            ids.add(parts[who][-1].etag)
    assert len(ids) == 4
    for who in (0, 1):
        assert store.list_parts(bucket, "o", uploads[who]) == parts[who]
    assert sorted(store.list_uploads(bucket)) == sorted(("o", upload) for upload in uploads)
    store.complete_upload(bucket, "o", uploads[0], parts[0])
    with store.read(bucket, "o") as reader:
        assert reader.read() == one
    # The service may have discarded the other's blocks; then it is told, and never half of it.
    try:
        store.complete_upload(bucket, "o", uploads[1], parts[1])
    except ObjectNotFound:
        expected = one
    else:
        expected = two
    with store.read(bucket, "o") as reader:
        assert reader.read() == expected


def test_blocks_of_other_programs_are_left_alone(azurite, bucket, store):
    client = azurite.client().get_blob_client(bucket, "o")
    client.stage_block(base64.b64encode(b"theirs").decode(), b"theirs")
    assert store.list_parts(bucket, "o", "svs1" + "0" * 16) == []
    assert list(store.list_uploads(bucket)) == []


def test_parts_the_service_has_forgotten(bucket, store):
    upload = store.start_upload(bucket, "o", size=PART)
    assert store.list_parts(bucket, "o", upload) == []
    lost = Part(1, PART, blocks.block_id(upload, 1, 0))
    with pytest.raises(ObjectNotFound, match="no longer has all parts"):
        store.complete_upload(bucket, "o", upload, [lost])
    with pytest.raises(ObjectNotFound):
        store.head(bucket, "o")


def test_parts_that_do_not_follow_one_another(bucket, store):
    data = os.urandom(2 * PART)
    upload = store.start_upload(bucket, "o", size=2 * PART)
    first, second = (send(store, bucket, upload, n, data) for n in (1, 2))
    for wrong in ([second, first], [first, first], [second]):
        with pytest.raises(UsageError, match="does not begin at byte"):
            store.complete_upload(bucket, "o", upload, wrong)


@pytest.mark.parametrize("upload", ["", "x", "svs1", "svs1" + "0" * 15, "svs1" + "0" * 16 + ".??"])
def test_ids_that_are_none(bucket, store, upload):
    with pytest.raises(UsageError, match="not the id of an upload"):
        store.list_parts(bucket, "o", upload)


def test_ids_of_blocks():
    """All of one length, at most 64 bytes before base64 ("Put Block"), each saying where it is."""
    token = "svs1" + "f" * 16
    ids = {blocks.block_id(token, n, offset) for n in (1, 50_000) for offset in (0, 10**14)}
    assert len(ids) == 4
    assert {len(base64.b64decode(block)) for block in ids} == {59}
    for number in (0, 50_001):
        with pytest.raises(UsageError, match="50,000 parts"):
            blocks.block_id(token, number, 0)


@pytest.mark.faults
@pytest.mark.parametrize("after", [0, 1234, PART - 1])
def test_a_bit_that_flips_on_the_way_is_noticed(
    azurite, bucket, storage_of: Connect, fault_proxy, after
):
    proxy = fault_proxy(azurite.endpoint.removesuffix(f"/{azurite.account}"))
    store = storage_of(azurite.at(proxy.endpoint)).store
    data = os.urandom(PART)
    upload = store.start_upload(bucket, "o", size=PART)
    proxy.rules.append(flip("request-body", after=after, method="PUT", times=1))
    with pytest.raises(ChecksumMismatch):
        send(store, bucket, upload, 1, data)
    assert store.list_parts(bucket, "o", upload) == []
    part = send(store, bucket, upload, 1, data)
    store.complete_upload(bucket, "o", upload, [part])
    with store.read(bucket, "o") as reader:
        assert reader.read() == data
    # The same for a put of which the MD5 is told; where it is not, the answer tells it.
    proxy.rules[:] = [flip("request-body", after=after, method="PUT")]
    with pytest.raises(ChecksumMismatch):
        store.put(bucket, "told", data, size=PART, md5=hashlib.md5(data).digest())
    stored = store.put(bucket, "untold", data, size=PART)
    assert stored.checksum is not None
    assert stored.checksum.value != hashlib.md5(data).hexdigest()


def test_parts_too_large_to_be_held(bucket, store, monkeypatch):
    monkeypatch.setattr(blocks, "LARGEST_HELD", PART - 1)
    data = os.urandom(PART)
    upload = store.start_upload(bucket, "o", size=PART)

    class Pieces(io.BytesIO):
        asked: list[int] = []

        def read(self, size: int | None = -1, /) -> bytes:
            self.asked.append(size or 0)
            return super().read(size)

    for body in (data[:-1], data + b"x"):
        with pytest.raises(ObjectChanged):
            store.put_part(
                bucket, "o", upload, number=1, offset=0, size=PART, body=io.BytesIO(body)
            )
    assert store.list_parts(bucket, "o", upload) == []
    part = store.put_part(bucket, "o", upload, number=1, offset=0, size=PART, body=Pieces(data))
    assert part.checksum is None
    assert store.list_parts(bucket, "o", upload) == [part]
    assert store.complete_upload(bucket, "o", upload, [part]).checksum is None
    with store.read(bucket, "o") as reader:
        assert reader.read() == data


def test_few_parts_are_held_at_once(bucket, store, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor
    from threading import BoundedSemaphore

    monkeypatch.setattr(blocks, "_HELD", BoundedSemaphore(2))
    held: list[int] = []
    most = 0

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal most
            if not self.tell():
                held.append(1)
                most = max(most, len(held))
            data = super().read(size)
            if not data:
                held.pop()
            return data

    upload = store.start_upload(bucket, "o", size=8 * PART)
    with ThreadPoolExecutor(8) as pool:
        parts = list(
            pool.map(
                lambda n: store.put_part(
                    bucket, "o", upload,
                    number=n, offset=(n - 1) * PART, size=PART, body=Watched(bytes([n]) * PART),
                ),
                range(1, 9),
            )
        )  # fmt: skip
    assert 1 <= most <= 2
    store.complete_upload(bucket, "o", upload, parts)
    with store.read(bucket, "o") as reader:
        assert reader.read() == b"".join(bytes([n]) * PART for n in range(1, 9))


# Copies inside the service

FULL = Attributes(
    content_type="text/x-test",
    content_encoding="gzip",
    content_language="de",
    content_disposition="attachment",
    cache_control="no-store",
    metadata={"a": "b", "c-d": "ü"},
)


@pytest.mark.parametrize("key", ["plain", "a b+c%2Fd?e#f", "//é", "a/../b", "x."])
def test_a_copy_keeps_all(azurite, bucket, store, seen, key):
    data = os.urandom(5000)
    store.put(bucket, key, data, size=5000, attributes=FULL)
    source = store.head(bucket, key).entry
    stored = store.copy(bucket, source, bucket, "o")
    assert stored.size == 5000
    assert stored.etag == store.head(bucket, "o").entry.etag
    assert stored.checksum == source.checksum
    with store.read(bucket, "o") as reader:
        assert reader.read() == data
    kept = store.head(bucket, "o").attributes
    assert (kept.content_type, dict(kept.metadata)) == ("text/x-test", {"a": "b", "c-d": "ü"})
    assert kept.cache_control == "no-store"
    assert seen().content_settings.content_md5 == hashlib.md5(data).digest()


def test_a_copy_between_containers_by_signature(azurite, bucket, storage_of: Connect):
    store = storage_of(azurite, secret_key=None, sas_token=azurite.sas()).store
    other = azurite.new_bucket()
    store.put(bucket, "o", b"bytes", size=5)
    store.copy(bucket, store.head(bucket, "o").entry, other, "o")
    assert azurite.keys(other) == {"o": 5}
    azurite.drop_bucket(other)


def test_a_copy_of_another_version(bucket, store):
    store.put(bucket, "o", b"old", size=3)
    source = store.head(bucket, "o").entry
    store.put(bucket, "o", b"new", size=3)
    for attributes in (None, Attributes()):
        with pytest.raises(ObjectChanged):
            store.copy(bucket, source, bucket, "copy", attributes=attributes)
    with pytest.raises(ObjectNotFound):
        store.head(bucket, "copy")


@pytest.mark.parametrize("attributes", [None, FULL])
@pytest.mark.parametrize("size", [0, 1, 9_999, 10_000, 10_001, 35_000])
def test_large_copies_by_blocks(bucket, store, monkeypatch, seen, size, attributes):
    """The limit of 256 MiB for one request, shrunk."""
    monkeypatch.setattr(copying, "MAX_SINGLE_COPY", 9_999)
    monkeypatch.setattr(copying, "MIN_BLOCK", 10_000)
    data = os.urandom(size)
    store.put(bucket, "source", data, size=size, attributes=Attributes(metadata={"x": "y"}))
    entry = store.head(bucket, "source").entry
    ranges: list[str] = []
    real = store.client.call

    def call(target, method, *, headers=None, **more):
        if headers and "x-ms-source-range" in headers:
            assert headers["x-ms-source-if-match"] == f'"{entry.etag}"'
            ranges.append(headers["x-ms-source-range"])
        return real(target, method, headers=headers, **more)

    monkeypatch.setattr(store.client, "call", call)
    stored = store.copy(bucket, entry, bucket, "o", attributes=attributes)
    assert stored.size == size
    with store.read(bucket, "o") as reader:
        assert reader.read() == data
    if attributes is None and size <= 9_999:
        assert ranges == []
        return
    assert len(ranges) == -(-size // 10_000)
    kept = store.head(bucket, "o").attributes
    assert kept.metadata == (FULL.metadata if attributes else {"x": "y"})
    assert bytes(seen().content_settings.content_md5) == hashlib.md5(data).digest()


@pytest.mark.parametrize("attributes", [None, FULL])
def test_a_large_source_that_changes_while_it_is_copied(bucket, store, monkeypatch, attributes):
    monkeypatch.setattr(copying, "MAX_SINGLE_COPY", 9_999)
    monkeypatch.setattr(copying, "MIN_BLOCK", 10_000)
    store.put(bucket, "source", bytes(30_000), size=30_000)
    entry = store.head(bucket, "source").entry
    real = store.client.call
    blocks_sent = 0

    def call(target, method, *, headers=None, **more):
        nonlocal blocks_sent
        if headers and "x-ms-source-range" in headers:
            blocks_sent += 1
            if blocks_sent == 2:
                store.put(bucket, "source", b"new" * 10_000, size=30_000)
        return real(target, method, headers=headers, **more)

    monkeypatch.setattr(store.client, "call", call)
    with pytest.raises(ObjectChanged):
        store.copy(bucket, entry, bucket, "o", attributes=attributes)
    assert blocks_sent == 2
    with pytest.raises(ObjectNotFound):
        store.head(bucket, "o")


def test_a_copy_that_the_service_has_not_finished(bucket, store, monkeypatch):
    store.put(bucket, "o", b"x", size=1)
    entry = store.head(bucket, "o").entry
    monkeypatch.setattr(
        store.client, "call", lambda *_, **__: ({"x-ms-copy-status": "pending"}, b"")
    )
    with pytest.raises(ServiceError, match="the copy is pending"):
        store.copy(bucket, entry, bucket, "copy")


def _fetch(url: str) -> bytes:
    """A URL as somebody without credentials sees it."""
    from urllib.request import ProxyHandler, build_opener

    with build_opener(ProxyHandler({})).open(url, timeout=30) as answer:
        return bytes(answer.read())


def test_presigned(bucket, store):
    store.put(bucket, "a b/ü", b"bytes", size=5)
    assert _fetch(store.presign(bucket, "a b/ü", expires=60)) == b"bytes"
    for expires in (0, -1, 7 * 86400 + 1):
        with pytest.raises(UsageError, match="1 second to 7 days"):
            store.presign(bucket, "o", expires=expires)
