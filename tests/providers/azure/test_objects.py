"""Keys, markers, attributes, tags, ranges and digests, judged by the vendor's own client."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from dataclasses import replace
from typing import Any

import pytest

from svstorage.errors import (
    ChecksumMismatch,
    KeyNotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ServiceError,
    UsageError,
)
from svstorage.model import Attributes, CommonPrefix, Entry, key_order
from svstorage.providers.azure import keys as azure_keys
from svstorage.providers.azure import listing, metadata, objects
from svstorage.providers.azure.account import Traits
from svstorage.providers.azure.store import AzureStore
from tests.providers.azure.conftest import Connect
from tests.servers.azure import AzureServer


def blob(azurite: AzureServer, bucket: str, key: str) -> Any:
    return azurite.client().get_blob_client(bucket, key)


# Keys

NEVER = [
    "",
    "a\0b",
    "a\x01",
    "\x1f",
    "x" * 1025,
    "😀" * 513,
    "\ud800",
    "a\udcff",
    "/".join("x" * 255),
]
NOT_ON_AZURE = [
    ".", "..", "./a", "a/./b", "a/../b", "../a", "a/..", "name.", "a./b", "a\tb", "a\nb", "a\x7f",
    "a\x85b",
]  # fmt: skip
BACKSLASH = ["a\\b", "a\\..\\b", "C:\\x"]


def attempts(store: AzureStore, bucket: str, key: str) -> list[Any]:
    entry = Entry(key, 1)
    good = Entry("good", 1)
    return [
        lambda: store.put(bucket, key, b"x", size=1),
        lambda: store.head(bucket, key),
        lambda: store.read(bucket, key),
        lambda: store.delete(bucket, key),
        lambda: store.copy(bucket, entry, bucket, "good"),
        lambda: store.copy(bucket, good, bucket, key),
        lambda: store.start_upload(bucket, key, size=1),
        lambda: store.put_part(
            bucket, key, "svs1" + "0" * 16, number=1, offset=0, size=1, body=b"x"
        ),
        lambda: store.list_parts(bucket, key, "svs1" + "0" * 16),
        lambda: store.complete_upload(bucket, key, "svs1" + "0" * 16, []),
        lambda: store.presign(bucket, key, expires=60),
    ]


@pytest.mark.parametrize("azure", [True, False], ids=["azure", "azurite"])
def test_what_cannot_be_held_is_refused_before_any_byte_is_sent(
    azurite, bucket, storage_of: Connect, fault_proxy, azure
):
    proxy = fault_proxy(azurite.endpoint.removesuffix(f"/{azurite.account}"))
    store = storage_of(azurite.at(proxy.endpoint)).store
    store._traits()
    if azure:  # what kind of account it is, only the service tells; here the test says it
        store._known = Traits(azurite=False)
    before = len(proxy.requests)
    refused = NEVER + BACKSLASH + (NOT_ON_AZURE if azure else ["a\ufffeb", "a\uffff"])
    for key in refused:
        for attempt in attempts(store, bucket, key):
            with pytest.raises(KeyNotSupported) as told:
                attempt()
            assert len(str(told.value)) < 4000
    assert len(proxy.requests) == before


def test_what_azurite_holds_it_keeps(azurite, bucket, store):
    for key in NOT_ON_AZURE:
        store.put(bucket, key, key.encode(), size=len(key.encode()))
        with store.read(bucket, key) as reader:
            assert reader.read() == key.encode()
    assert [e.key for e in store.list(bucket)] == sorted(NOT_ON_AZURE, key=key_order)
    assert dict(store.delete_many(bucket, NOT_ON_AZURE)) == dict.fromkeys(NOT_ON_AZURE)
    assert azurite.keys(bucket) == {}


def test_folders_of_a_hierarchical_namespace_have_no_empty_names(store, bucket):
    """Azurite has no such accounts."""
    store._known = Traits(folders=True)
    for key in ("/a", "a//b", "a/"):
        with pytest.raises(KeyNotSupported, match="hierarchical namespace"):
            store.put(bucket, key, b"x", size=1)
    capabilities = store.capabilities
    assert capabilities.listing_order == "unordered"
    assert not capabilities.holds_folder_markers
    assert not capabilities.holds_tags


def test_exact_keys_seen_by_the_vendors_client(azurite, bucket, store):
    wanted = [
        "/lead", "//", "a//b", "trail/", "a b", " both ", "a+b", "a%2Fb", "a%20b", "100%", "a?b=c",
        "a#b", "a&b", "*[x]?{y}", "-rf", "é", "e\u0301", "\U0001f600", "a\u202eb", "'\"`", "~",
        "x" * 1024, "<&>]]>",
    ]  # fmt: skip
    for key in wanted:
        store.put(bucket, key, key.encode(), size=len(key.encode()))
    assert azurite.keys(bucket) == {key: len(key.encode()) for key in wanted}
    assert [e.key for e in store.list(bucket)] == sorted(wanted, key=key_order)
    blob(azurite, bucket, "by another/%41").upload_blob(b"x")
    assert store.head(bucket, "by another/%41").entry.size == 1


@pytest.mark.parametrize("name", ["ab", "A-b", "a--b", "-ab", "ab-", "a_b", "x" * 64, "ü-b", "..."])
def test_container_names(store, name):
    assert not store.bucket_exists(name)
    with pytest.raises(UsageError, match="3 to 63"):
        store.create_bucket(name)
    with pytest.raises(ObjectError, match="is not the name of a container"):
        store.put(name, "o", b"x", size=1)


def test_azures_own_containers_are_names():
    for name in ("$root", "$web", "$logs", "abc", "a-b-c", "0" * 63):
        assert azure_keys.is_container_name(name)


# Markers


def test_folder_markers_and_their_payloads(azurite, bucket, store):
    """adlfs drops what lies behind such markers; here they are objects like others."""
    marked = {"hdi_isfolder": "true"}
    blob(azurite, bucket, "folder").upload_blob(b"", metadata=marked)
    blob(azurite, bucket, "payload").upload_blob(b"bytes", metadata=marked)
    blob(azurite, bucket, "slash/").upload_blob(b"")
    blob(azurite, bucket, "slash-payload/").upload_blob(b"more")
    blob(azurite, bucket, "folder/inner").upload_blob(b"x")
    entries = {e.key: e for e in store.list(bucket)}
    assert {key: e.size for key, e in entries.items()} == azurite.keys(bucket)
    assert [key for key, e in entries.items() if e.is_folder_marker] == ["slash/"]
    for key, data in (("payload", b"bytes"), ("slash-payload/", b"more"), ("folder", b"")):
        with store.read(bucket, key) as reader:
            assert reader.read() == data
    assert store.head(bucket, "payload").attributes.metadata == marked
    store.put(bucket, "ours/", b"", size=0)
    level = list(store.list_level(bucket))
    assert CommonPrefix("ours/") in level
    assert [row.key for row in level if isinstance(row, Entry)] == ["folder", "payload"]


# Attributes


@pytest.mark.parametrize(
    "name", ["plain", "a-b", "a.b", "1a", "ü", "with space", "svstorage_metadata", "class", "_x"]
)
def test_metadata_names_are_never_renamed(azurite, bucket, store, name):
    value = "value of " + name
    store.put(bucket, "o", b"x", size=1, attributes=Attributes(metadata={name: value, "b": "c"}))
    assert dict(store.head(bucket, "o").attributes.metadata) == {name: value, "b": "c"}
    seen = blob(azurite, bucket, "o").get_blob_properties().metadata
    assert seen["b"] == "c", "what fits stands as it is"
    assert (name in seen) == (name in ("plain", "class", "_x", "svstorage_metadata"))


def test_metadata_values_that_headers_lose(store, bucket):
    values = {"a": " both ends ", "b": "Zürich", "c": "line\nbreak", "d": "", "e": "tab\there"}
    store.put(bucket, "o", b"x", size=1, attributes=Attributes(metadata=values))
    assert dict(store.head(bucket, "o").attributes.metadata) == values


def test_a_carrier_that_is_not_ours(azurite, bucket, store):
    for held in ("no json", "[1]", '{"a":1}'):
        blob(azurite, bucket, "o").upload_blob(
            b"x", metadata={metadata.CARRIER: held}, overwrite=True
        )
        assert dict(store.head(bucket, "o").attributes.metadata) == {metadata.CARRIER: held}


def test_metadata_too_large_is_told_before_a_byte_is_sent(store, bucket):
    large = Attributes(metadata={"a": "x" * 8200})
    with pytest.raises(ObjectError, match="8201 bytes, and Azure takes 8192"):
        store.put(bucket, "o", b"x", size=1, attributes=large)
    with pytest.raises(ObjectError, match="8201 bytes"):
        store.start_upload(bucket, "o", size=1, attributes=large)


def test_headers_that_cannot_be_held(store, bucket):
    for value in ("a\r\nx-ms-evil: 1", "ü"):
        with pytest.raises(ObjectError, match="cannot hold its content-type"):
            store.put(bucket, "o", b"x", size=1, attributes=Attributes(content_type=value))
        with pytest.raises(ObjectError, match="cannot hold its cache-control"):
            store.put(bucket, "o", b"x", size=1, attributes=Attributes(cache_control=value))


def test_tags(azurite, bucket, store):
    tags = {"project": "moon shot", "a+b": "c=d:/.-_"}
    store.put(bucket, "o", b"x", size=1, attributes=Attributes(tags=tags))
    assert blob(azurite, bucket, "o").get_blob_tags() == tags
    assert store.head(bucket, "o").attributes.tags == tags
    store.put(bucket, "o", b"x", size=1)
    assert store.head(bucket, "o").attributes.tags is None


# Ranges


def test_ranges(bucket, store):
    data = os.urandom(100_000)
    etag = store.put(bucket, "o", data, size=len(data)).etag
    for start, length in ((0, None), (0, 1), (1, 99_998), (99_999, None), (50_000, 50_000), (7, 0)):
        with store.read(bucket, "o", start=start, length=length, if_match=etag) as reader:
            got = b"".join(iter(lambda: bytes(reader.read(30_000)), b""))
        assert got == data[start : None if length is None else start + length]
        assert reader.info.entry.size == 100_000
        assert reader.info.entry.etag == etag
        assert reader.info.entry.checksum is not None
        assert reader.info.entry.checksum.value == hashlib.md5(data).hexdigest()
    with store.read(bucket, "o", start=100_000) as reader:
        assert reader.read() == b""
    for start, length in ((100_001, None), (99_999, 2), (100_000, 1)):
        with pytest.raises(ServiceError):
            store.read(bucket, "o", start=start, length=length)


def test_ranges_of_another_version(bucket, store):
    etag = store.put(bucket, "o", b"old", size=3).etag
    store.put(bucket, "o", b"new", size=3)
    for more in ({}, {"start": 1}, {"start": 1, "length": 1}, {"length": 0}, {"start": 3}):
        with pytest.raises(ObjectChanged):
            store.read(bucket, "o", if_match=etag, **more)


def test_an_empty_object(bucket, store):
    store.put(bucket, "o", b"", size=0)
    for more in ({}, {"start": 0}, {"length": 0}):
        with store.read(bucket, "o", **more) as reader:
            assert reader.read() == b""
    assert store.head(bucket, "o").entry.size == 0


# Digests


def test_the_service_checks_and_stores_the_md5(azurite, bucket, store):
    data = os.urandom(10_000)
    md5 = hashlib.md5(data).digest()
    for key, sent in (("told", md5), ("untold", None)):
        stored = store.put(bucket, key, io.BytesIO(data), size=len(data), md5=sent)
        assert stored.checksum is not None
        assert stored.checksum.value == md5.hex()
        kept = blob(azurite, bucket, key).get_blob_properties().content_settings.content_md5
        assert bytes(kept) == md5
    (entry, _) = store.list(bucket)
    assert entry.checksum == stored.checksum
    with pytest.raises(ChecksumMismatch):
        store.put(bucket, "told", b"wrong", size=5, md5=md5)
    with pytest.raises(ChecksumMismatch):
        store.put(bucket, "new", b"wrong", size=5, md5=md5)
    assert store.head(bucket, "told").entry.checksum == stored.checksum
    assert sorted(azurite.keys(bucket)) == ["told", "untold"]


def test_if_none_match(bucket, store):
    store.put(bucket, "o", b"first", size=5, if_none_match=True)
    with pytest.raises(ObjectExists):
        store.put(bucket, "o", b"other", size=5, if_none_match=True)
    with store.read(bucket, "o") as reader:
        assert reader.read() == b"first"


def test_a_put_larger_than_one_request_takes(bucket, store, monkeypatch):
    monkeypatch.setattr(objects, "PART_LIMITS", replace(objects.PART_LIMITS, max_single_put=10))
    with pytest.raises(ObjectError, match="too many for one request"):
        store.put(bucket, "o", io.BytesIO(bytes(11)), size=11)
    store.put(bucket, "o", io.BytesIO(bytes(10)), size=10)


def test_an_object_with_a_snapshot_is_not_deleted_by_the_way(azurite, bucket, store):
    store.put(bucket, "o", b"x", size=1)
    blob(azurite, bucket, "o").create_snapshot()
    with pytest.raises(ObjectError, match="SnapshotsPresent"):
        store.delete(bucket, "o")
    with pytest.raises(ObjectError, match="is not empty"):
        store.delete_bucket(bucket)
    assert [e.key for e in store.list(bucket)] == ["o"], "a snapshot is not listed as an object"


def test_a_leased_object_is_told_so(azurite, bucket, store):
    store.put(bucket, "o", b"x", size=1)
    lease = blob(azurite, bucket, "o").acquire_lease()
    for attempt in (
        lambda: store.put(bucket, "o", b"y", size=1),
        lambda: store.delete(bucket, "o"),
    ):
        with pytest.raises(ObjectError, match="holds a lease"):
            attempt()
    lease.release()


# Listings


def test_one_order_for_two_ways_to_sort():
    """Azure's order may be by UTF-16 units; what comes out is by bytes, whichever it was."""
    import random

    draw = random.Random(3)
    letters = "a/é\ue000\uffee\U0001f600\U00010000"
    made = {"".join(draw.choices(letters, k=draw.randint(1, 5))) for _ in range(3000)}
    wanted = sorted(made, key=key_order)
    for order in (key_order, lambda key: key.encode("utf-16-be")):
        entries = [Entry(key, 1) for key in sorted(made, key=order)]
        assert [e.key for e in listing.in_byte_order(iter(entries))] == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<", b"<html/>", b"<EnumerationResults/>",
        b"<EnumerationResults><Blobs><Blob/></Blobs></EnumerationResults>",
        b"<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs></EnumerationResults>",
        b"<EnumerationResults><Blobs><Blob><Name>a</Name><Properties><Content-Length>x"
        b"</Content-Length><Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT</Last-Modified>"
        b"</Properties></Blob></Blobs></EnumerationResults>",
        b"<EnumerationResults><Blobs><Blob><Name Encoded='true'>%ff</Name><Properties/></Blob>"
        b"</Blobs></EnumerationResults>",
    ],
)  # fmt: skip
def test_listings_that_cannot_be_read(body):
    from svstorage.errors import ListingError

    with pytest.raises(ListingError, match="cannot be read"):
        listing.parse_blobs(body)


def test_names_that_come_encoded():
    """What XML cannot hold; Azurite refuses to list such names, so the answer is from the docs."""
    page = listing.parse_blobs(
        b"<EnumerationResults><Blobs><Blob><Name Encoded='true'>a%EF%BF%BFb%2F</Name><Properties>"
        b"<Content-Length>3</Content-Length><Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT"
        b'</Last-Modified><Etag>"0x1"</Etag><Content-MD5>'
        + base64.b64encode(bytes(16))
        + b"</Content-MD5></Properties></Blob></Blobs><NextMarker>m</NextMarker>"
        b"</EnumerationResults>"
    )
    (entry,) = page.items
    assert isinstance(entry, Entry)
    assert (entry.key, entry.size, entry.etag) == ("a\uffffb/", 3, "0x1")
    assert entry.modified_ns == 1_704_067_200 * 10**9
    assert entry.checksum is not None
    assert page.next_marker == "m"
