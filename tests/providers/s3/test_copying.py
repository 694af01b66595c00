"""Copies inside the service that take more than one request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svstorage.errors import StorageError
from svstorage.model import Attributes
from svstorage.providers.s3.limits import COPY_PART, GIB, LIMITS, MIB, SINGLE_COPY, copy_part_size
from svstorage.providers.s3.store import S3Store
from svstorage.testing import content, read_all
from tests.providers.s3.conftest import config_of, static

PART = 5 * MIB
FULL = Attributes(content_type="text/x-big", metadata={"name": "one"}, tags={"project": "x"})


@given(st.integers(SINGLE_COPY + 1, LIMITS.max_object))
def test_part_sizes_of_any_copy(size):
    part = copy_part_size(size)
    assert LIMITS.min_part <= COPY_PART <= part <= LIMITS.max_part
    assert part % MIB == 0
    assert -(-size // part) <= LIMITS.max_parts


@pytest.mark.parametrize(
    "size", [5 * GIB + 1, 10_000 * COPY_PART, 10_000 * COPY_PART + 1, LIMITS.max_object]
)
def test_part_sizes_at_the_borders(size):
    part = copy_part_size(size)
    assert part <= LIMITS.max_part
    assert -(-size // part) <= LIMITS.max_parts


@pytest.fixture
def store(moto_server, front):
    """A store whose CopyObject takes 5 MiB at most, and the log of what it sends."""
    before = front(moto_server.endpoint)
    made = S3Store(config_of(endpoint=before.endpoint), static(), single_copy=PART, copy_part=PART)
    yield made, before
    made.close()


@pytest.fixture
def bucket(moto_server):
    return moto_server.new_bucket()


@pytest.mark.parametrize("extra", [0, 1], ids=["limit", "limit+1"])
def test_the_border_between_one_request_and_parts(store, bucket, extra):
    store, front = store
    data = content("border", PART + extra)
    store.put(bucket, "from", data, size=len(data), attributes=FULL)
    source = store.head(bucket, "from").entry
    front.log.clear()
    stored = store.copy(bucket, source, bucket, "to")
    assert stored.size == len(data)
    in_parts = [sent for sent in front.log if "x-amz-copy-source-range" in sent.headers]
    assert len(in_parts) == (2 if extra else 0)
    assert read_all(store, bucket, "to") == data
    kept = store.head(bucket, "to").attributes
    assert kept.content_type == "text/x-big"
    assert dict(kept.metadata) == {"name": "one"}
    assert kept.tags == {"project": "x"}


def test_ranges_meet_and_the_source_is_held_to_its_version(store, bucket):
    store, front = store
    data = content("ranges", 3 * PART + 17)
    store.put(bucket, "a+b %2F ü", data, size=len(data))
    source = store.head(bucket, "a+b %2F ü").entry
    store.copy(bucket, source, bucket, "to", attributes=Attributes(metadata={"other": "two"}))
    ranges = sorted(
        tuple(map(int, sent.headers["x-amz-copy-source-range"].removeprefix("bytes=").split("-")))
        for sent in front.log
        if "x-amz-copy-source-range" in sent.headers
    )
    assert ranges[0][0] == 0
    assert [end + 1 for _, end in ranges[:-1]] == [start for start, _ in ranges[1:]]
    assert ranges[-1][1] == len(data) - 1
    conditions = {
        sent.headers.get("x-amz-copy-source-if-match")
        for sent in front.log
        if "x-amz-copy-source-range" in sent.headers
    }
    assert conditions == {f'"{source.etag}"'}
    assert read_all(store, bucket, "to") == data
    assert dict(store.head(bucket, "to").attributes.metadata) == {"other": "two"}


def test_a_part_that_fails_leaves_nothing_behind(store, bucket):
    store, front = store
    data = content("fails", 2 * PART + 1)
    store.put(bucket, "from", data, size=len(data))
    store.put(bucket, "to", b"the old one", size=11)
    source = store.head(bucket, "from").entry
    late = b"<Error><Code>InternalError</Code><Message>later</Message></Error>"
    front.answer = lambda handler: (200, {}, late) if "partNumber=2" in handler.path else None
    with pytest.raises(StorageError, match="InternalError"):
        store.copy(bucket, source, bucket, "to")
    front.answer = lambda handler: None
    assert read_all(store, bucket, "to") == b"the old one"
    assert list(store.list_uploads(bucket)) == []


def test_a_source_that_changes_meanwhile(store, bucket):
    store, _ = store
    data = content("changes", PART + 1)
    store.put(bucket, "from", data, size=len(data))
    source = store.head(bucket, "from").entry
    store.put(bucket, "from", data[::-1], size=len(data))
    with pytest.raises(StorageError):
        store.copy(bucket, source, bucket, "to")
    assert [row.key for row in store.list(bucket)] == ["from"]
    assert list(store.list_uploads(bucket)) == []
