"""Services that would store a key under another name, and what finding that out costs."""

from __future__ import annotations

import pytest

from svstorage.errors import KeyNotSupported, ObjectNotFound, ServiceError
from svstorage.providers.s3.exact import _folded
from tests.providers.s3.test_answers import as_aws


def test_usual_keys_cost_nothing(moto_server, front, connect, new_bucket):
    bucket = new_bucket(moto_server)
    before = front(moto_server.endpoint)
    store = connect(before.endpoint)
    for key in ("a", "a/b.txt", "a b+c%2F", "...", "a/..b", ".hidden/x."):
        store.put(bucket, key, b"x", size=1)
        store.head(bucket, key)
        store.read(bucket, key).close()
        store.delete(bucket, key)
    assert len(before.log) == 4 * 6


def test_an_unusual_kind_is_tried_out_once(moto_server, front, connect, new_bucket):
    bucket = new_bucket(moto_server)
    before = front(moto_server.endpoint)
    store = connect(before.endpoint)
    for number in range(5):
        store.put(bucket, f"a//{number}", b"x", size=1)
    assert moto_server.keys(bucket) == {f"a//{n}": 1 for n in range(5)}, "the probe was left"
    probing = [sent for sent in before.log if "svstorage-probe" in sent.path]
    assert [sent.method for sent in probing] == ["PUT", "GET", "GET", "DELETE"]
    assert len(before.log) == 5 + 4


def test_nothing_is_tried_out_on_aws(scripted):
    service = scripted(lambda got: (200, {"etag": f'"{"9dd4e461268c8034f5c8564e155c67a6"}"'}, b""))
    store = as_aws(service)
    store.put("bucket", "a//b", b"x", size=1)
    store.put("bucket", "folder/", b"x", size=1)
    assert [got.target for got in service.got] == ["/bucket/a//b", "/bucket/folder/"]
    store.close()


def test_what_stands_under_the_other_name_is_not_touched(seaweed_s3, connect):
    store = connect(seaweed_s3)
    bucket = seaweed_s3.new_bucket()
    store.put(bucket, "a/b", b"the real one", size=12)
    for key in ("a//b", "/a/b", "a\\b"):
        with pytest.raises(KeyNotSupported):
            store.put(bucket, key, b"another", size=7)
        with pytest.raises(ObjectNotFound):
            store.head(bucket, key)
        with pytest.raises(ObjectNotFound):
            store.read(bucket, key)
        store.delete(bucket, key)
        assert dict(store.delete_many(bucket, [key])) == {key: None}
    assert bytes(store.read(bucket, "a/b").read()) == b"the real one"
    assert [row.key for row in store.list(bucket)] == ["a/b"]
    store.delete(bucket, "a/b")
    seaweed_s3.drop_bucket(bucket)


def test_a_service_in_trouble_says_nothing_about_keys(moto_server, front, connect, new_bucket):
    bucket = new_bucket(moto_server)
    before = front(moto_server.endpoint)
    before.answer = lambda handler: (500, {}, b"") if handler.command == "PUT" else None
    store = connect(before.endpoint)
    with pytest.raises(ServiceError):
        store.put(bucket, "a//b", b"x", size=1)
    before.answer = lambda handler: None
    store.put(bucket, "a//b", b"x", size=1)
    assert moto_server.keys(bucket) == {"a//b": 1}


@pytest.mark.parametrize(
    ("key", "folded"),
    [("a//b", "a/b"), ("/a", "a"), ("a/", "a"), ("a/./b", "a/b"), ("a/../b", "b"), ("..", ""),
     ("a\\b", "a/b"), ("//", "")],
)  # fmt: skip
def test_folded(key, folded):
    assert _folded(key) == folded
