"""What must not be carried out twice is not sent twice, though a rested connection has broken."""

from __future__ import annotations

from typing import Any

import pytest

from svstorage.errors import ObjectExists, ServiceError
from tests.servers.faultproxy import cut

pytestmark = pytest.mark.faults


@pytest.fixture
def broken(rclone_s3: Any, fault_proxy: Any, new_bucket: Any, connect: Any) -> Any:
    """A store, a bucket in it and a proxy that loses the answer to the next writing request.

    The store has a connection at rest, and the service carries out what it is not asked twice.
    """
    bucket = new_bucket(rclone_s3)
    proxy = fault_proxy(rclone_s3.endpoint)
    store = connect(rclone_s3.at(proxy.endpoint))
    store.put(bucket, "before", b"x", size=1)
    return store, bucket, proxy


def asked(proxy: Any, method: str) -> int:
    return sum(request.method == method for request in proxy.requests)


def test_a_conditional_put_is_not_told_to_exist_by_its_own_echo(broken: Any) -> None:
    store, bucket, proxy = broken
    proxy.rules.append(cut("response-head", method="PUT", times=1))
    with pytest.raises(ServiceError, match="broke") as caught:  # what became of it is not known
        store.put(bucket, "new", b"ours", size=4, if_none_match=True)
    assert not isinstance(caught.value, ObjectExists)
    assert asked(proxy, "PUT") == 2  # with the one before
    with store.read(bucket, "new") as reader:
        assert reader.read() == b"ours"


def test_an_upload_is_begun_and_completed_once(broken: Any) -> None:
    store, bucket, proxy = broken
    proxy.rules.append(cut("response-head", method="POST", times=1))
    with pytest.raises(ServiceError, match="broke"):
        store.start_upload(bucket, "parts", size=4)
    assert asked(proxy, "POST") == 1  # no second upload that nobody knows of
    upload = store.start_upload(bucket, "parts", size=4)
    part = store.put_part(bucket, "parts", upload, number=1, offset=0, size=4, body=b"ours")
    proxy.rules.append(cut("response-head", method="POST", times=1))
    with pytest.raises(ServiceError, match="broke"):  # not: there is no such upload
        store.complete_upload(bucket, "parts", upload, [part])
    assert asked(proxy, "POST") == 3
    assert store.head(bucket, "parts").entry.size == 4


def test_a_bucket_is_not_told_to_be_missing_once_it_was_removed(broken: Any) -> None:
    store, bucket, proxy = broken
    store.delete(bucket, "before")
    proxy.rules.append(cut("response-head", method="DELETE", times=1))
    with pytest.raises(ServiceError, match="broke"):
        store.delete_bucket(bucket)
    assert not store.bucket_exists(bucket)
    store.create_bucket(bucket)  # for the fixture to drop


def test_what_may_be_repeated_is(broken: Any) -> None:
    store, bucket, proxy = broken
    for method in ("PUT", "DELETE", "POST"):
        proxy.rules.append(cut("response-head", method=method, times=1))
    store.put(bucket, "k", b"2", size=1)
    store.delete(bucket, "k")
    assert store.delete_many(bucket, ["before"]) == [("before", None)]
    assert len(proxy.faults()) == 3
