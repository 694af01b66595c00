"""One version of an object is deleted, and no other that came to lie there."""

from __future__ import annotations

import pytest

from svstorage.errors import ObjectChanged
from svstorage.providers.deleting import DeletesVersions, delete_version
from svstorage.storage import connect
from tests.providers.s3.conftest import connect as connect_s3  # noqa: F401 - fixtures
from tests.providers.s3.conftest import scripted  # noqa: F401


def test_azure_compares(azurite):
    named = {k.removeprefix("STORAGE_").lower(): v for k, v in azurite.env().items()}
    bucket = azurite.new_bucket()
    with connect(**named) as storage:
        store = storage.store
        old = store.put(bucket, "k", b"old", size=3)
        new = store.put(bucket, "k", b"new", size=3)
        with pytest.raises(ObjectChanged):
            delete_version(store, bucket, "k", old.etag)
        assert [entry.key for entry in store.list(bucket)] == ["k"]
        delete_version(store, bucket, "k", new.etag)
        delete_version(store, bucket, "k", new.etag)  # as `delete`: nothing there is no error
        assert list(store.list(bucket)) == []
    azurite.drop_bucket(bucket)


def test_s3_is_asked_as_aws_understands(scripted, connect_s3):  # noqa: F811
    """None of the servers here compares the ETag of a DELETE, as AWS does: the answers are
    scripted as its documentation has them."""
    answers = [(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"), (204, {}, b"")]
    service = scripted(lambda got: answers[len(service.got) - 1])
    store = connect_s3(service.endpoint)
    assert isinstance(store, DeletesVersions)
    with pytest.raises(ObjectChanged):
        store.delete_version("bucket", "k", "abc")
    store.delete_version("bucket", "k", "abc")
    assert [got.headers["if-match"] for got in service.got] == ['"abc"'] * 2
    assert "if-match" in service.got[0].headers["authorization"]


def test_a_service_that_refuses_the_condition(scripted, connect_s3):  # noqa: F811
    def answer(got):
        return (501 if "if-match" in got.headers else 204), {}, b""

    service = scripted(answer)
    connect_s3(service.endpoint).delete_version("bucket", "k", "abc")
    assert [("if-match" in got.headers) for got in service.got] == [True, False]


def test_other_s3_servers_delete(rclone_s3, seaweed_s3, moto_server, connect_s3):  # noqa: F811
    for server in (rclone_s3, seaweed_s3, moto_server):
        bucket = server.new_bucket()
        store = connect_s3(server)
        stored = store.put(bucket, "k", b"x", size=1)
        delete_version(store, bucket, "k", stored.etag)
        assert list(store.list(bucket)) == []
        server.drop_bucket(bucket)
