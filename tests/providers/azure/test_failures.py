"""What the service refuses and what the network breaks, as the errors of this house."""

from __future__ import annotations

import io
import os
import time
from email.utils import formatdate

import pytest

from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    ChecksumMismatch,
    ConnectionFailed,
    CredentialsError,
    KeyNotSupported,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)
from svstorage.providers.azure.client import Client
from svstorage.providers.azure.store import AzureStore
from svstorage.providers.base import ObjectReader
from svstorage.providers.target import Target
from tests.providers.azure.conftest import Connect
from tests.servers.azure import AzureServer
from tests.servers.faultproxy import FaultProxy, cut, stall, status, truncate

pytestmark = pytest.mark.faults


def answer(code: str, message: str = "what it says", detail: str = "") -> bytes:
    """An error as "Status and error codes" has it."""
    more = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>" if detail else ""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code>'
        f"<Message>{message}\nRequestId:1\nTime:2</Message>{more}</Error>"
    ).encode()


@pytest.fixture
def proxy(azurite: AzureServer, fault_proxy) -> FaultProxy:
    return fault_proxy(azurite.endpoint.removesuffix(f"/{azurite.account}"))


@pytest.fixture
def behind(azurite: AzureServer, proxy: FaultProxy, storage_of: Connect) -> AzureStore:
    """A store whose requests pass the proxy."""
    store = storage_of(azurite.at(proxy.endpoint)).store
    assert isinstance(store, AzureStore)
    store._traits()
    return store


@pytest.mark.parametrize(
    ("http", "code", "kind"),
    [
        (404, "ContainerNotFound", BucketNotFound),
        (404, "BlobNotFound", ObjectNotFound),
        (404, "", ObjectNotFound),
        (403, "AuthenticationFailed", AccessRefused),
        (403, "AuthorizationPermissionMismatch", AccessRefused),
        (403, "InsufficientAccountPermissions", AccessRefused),
        (403, "", AccessRefused),
        (401, "InvalidAuthenticationInfo", AccessRefused),
        (401, "ExpiredAuthenticationToken", CredentialsError),
        (409, "BlobAlreadyExists", ObjectExists),
        (409, "ContainerBeingDeleted", ServiceError),
        (409, "SomethingElse", ObjectError),
        (412, "ConditionNotMet", ObjectChanged),
        (412, "LeaseIdMissing", ObjectError),
        (400, "Md5Mismatch", ChecksumMismatch),
        (400, "InvalidUri", KeyNotSupported),
        (400, "InvalidBlobOrBlock", ObjectError),
        (429, "", Throttled),
        (503, "ServerBusy", Throttled),
        (503, "", Throttled),
        (500, "OperationTimedOut", ServiceError),
        (500, "InternalError", ServiceError),
        (502, "", ServiceError),
        (501, "NotImplemented", NotSupported),
        (408, "", ServiceError),
        (302, "", ServiceError),
    ],
)
def test_each_refusal(behind, proxy, bucket, http, code, kind):
    proxy.rules.append(status(http, body=answer(code) if code else b"<html>gateway</html>"))
    before = len(proxy.requests)
    with pytest.raises(kind) as told:
        behind.put(bucket, "dir/key", b"x", size=1)
    assert type(told.value) is kind
    if kind is CredentialsError:  # an account key has no end, says the service what it will
        assert "cannot be renewed" in str(told.value)
        return
    assert f"{bucket}/dir/key" in str(told.value)
    assert str(http) in str(told.value)
    assert code in str(told.value)
    assert "RequestId" not in str(told.value)
    assert "gateway" not in str(told.value)
    assert len(proxy.requests) - before == 1, "the engine retries, a store does not"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "9" * 20}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(behind, proxy, bucket, headers, seconds):
    proxy.rules.append(status(503, body=answer("ServerBusy"), headers=headers))
    for attempt in (
        lambda: behind.put(bucket, "o", b"x", size=1),
        lambda: behind.read(bucket, "o"),
        lambda: list(behind.list(bucket)),
    ):
        with pytest.raises(Throttled) as told:
            attempt()
        assert told.value.retry_after == seconds


def test_a_refused_signature_is_not_repeated_in_the_message(behind, proxy, bucket):
    detail = "The MAC signature found 'canary-1' is not any of 'canary-2'"
    proxy.rules.append(status(403, body=answer("AuthenticationFailed", "refused", detail)))
    with pytest.raises(AccessRefused) as told:
        behind.head(bucket, "o")
    with pytest.raises(AccessRefused, match="AuthenticationFailed refused") as told:
        behind.read(bucket, "o")
    assert "canary" not in str(told.value)


def test_a_clock_that_is_wrong(behind, proxy, bucket):
    date = formatdate(time.time() - 1800, usegmt=True)
    proxy.rules.append(status(403, body=answer("AuthenticationFailed"), headers={"Date": date}))
    with pytest.raises(AccessRefused, match=r"differs from the service's by \+1[78]\d\d s"):
        behind.read(bucket, "o")


def test_control_characters_of_the_service_do_not_reach_a_terminal(behind, proxy, bucket):
    faults = (
        status(400, body=answer("Evil\u009b31m", "a\u009b2J\u202eb\u0085c")),
        status(400, body=answer("Evil", "a &#27;[2J"), headers={"x-ms-error-code": "E\x1b[31m"}),
        status(400, body=b"<Error><Code>\x1b[31m</Code></Error>"),
    )
    for fault in faults:
        proxy.rules[:] = [fault]
        with pytest.raises(ObjectError) as told:
            behind.put(bucket, "o", b"x", size=1)
        assert str(told.value).isprintable()


def test_a_large_error_page_is_not_read_to_the_end(behind, proxy, bucket):
    proxy.rules.append(status(500, body=b"x" * 10_000_000))
    with pytest.raises(ServiceError):
        behind.put(bucket, "o", b"x", size=1)
    assert proxy.requests[-1].status == 500


def test_billion_laughs(behind, proxy, bucket):
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><x>&e12;</x>'.encode()
    proxy.rules.append(status(200, body=bomb))
    for attempt in (lambda: list(behind.list(bucket)), behind.list_buckets):
        with pytest.raises(StorageError, match="cannot be read"):
            attempt()
    proxy.rules[:] = [status(400, body=bomb)]
    with pytest.raises(ObjectError):
        behind.put(bucket, "o", b"x", size=1)


# Bodies that break off

SIZE = 200_000


@pytest.fixture
def held(bucket: str, store: AzureStore) -> bytes:
    data = os.urandom(SIZE)
    store.put(bucket, "o", data, size=SIZE)
    return data


def drained(reader: ObjectReader) -> bytes:
    with reader:
        return b"".join(iter(lambda: bytes(reader.read(50_000)), b""))


@pytest.mark.parametrize("after", [0, 1, 65_536, SIZE - 1])
@pytest.mark.parametrize("reset", [True, False])
def test_a_download_cut_short(behind, proxy, bucket, held, after, reset):
    proxy.rules.append(cut("response-body", after=after, reset=reset, method="GET", times=1))
    with pytest.raises(ServiceError, match=r"broke off|connection broke"):
        drained(behind.read(bucket, "o"))
    with behind.read(bucket, "o") as reader:
        assert reader.read() == held


@pytest.mark.parametrize("declare", ["original", "actual", "none"])
def test_a_download_that_is_shorter_than_the_object(behind, proxy, bucket, held, declare):
    """Also one whose Content-Length fits the short body: the range asked for is not what came."""
    proxy.rules.append(truncate(1000, declare=declare, method="GET"))
    with pytest.raises(ServiceError):
        drained(behind.read(bucket, "o", start=0, length=SIZE))


def test_a_service_that_ignores_ranges(behind, proxy, bucket, held):
    body = held
    proxy.rules.append(
        status(200, body=body, headers={"Last-Modified": formatdate(0, usegmt=True)}, method="GET")
    )
    with pytest.raises(ServiceError, match="not the range"):
        behind.read(bucket, "o", start=10, length=20)
    with pytest.raises(ServiceError, match="not the range"):
        behind.read(bucket, "o", start=10)


def test_a_service_that_ignores_if_match(behind, proxy, bucket, held):
    headers = {"Last-Modified": formatdate(0, usegmt=True), "ETag": '"0xOTHER"'}
    proxy.rules.append(status(200, body=held, headers=headers, method="GET"))
    with pytest.raises(ObjectChanged, match="another version"):
        behind.read(bucket, "o", if_match="0xMINE")


@pytest.mark.parametrize("place", ["request-head", "request-body", "response-head"])
@pytest.mark.parametrize("reset", [True, False])
def test_an_upload_cut_short(azurite, behind, proxy, bucket, place, reset):
    proxy.rules.append(cut(place, after=1000 if place == "request-body" else 0, reset=reset,
                           method="PUT", times=1))  # fmt: skip
    data = os.urandom(SIZE)
    with pytest.raises((ServiceError, ConnectionFailed)) as told:
        behind.put(bucket, "o", io.BytesIO(data), size=SIZE)
    assert f"{bucket}/o" in str(told.value)
    # Cut before the answer, the service has it: it is the whole object or none.
    assert azurite.keys(bucket) == ({"o": SIZE} if place == "response-head" else {})
    behind.put(bucket, "o", io.BytesIO(data), size=SIZE)
    assert azurite.keys(bucket) == {"o": SIZE}


def test_a_source_that_fails_is_not_taken_for_the_network(azurite, behind, bucket):
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 100_000:
                raise OSError(5, "the disk broke")
            return super().read(min(size or 0, 30_000))

    with pytest.raises(OSError, match="the disk broke") as told:
        behind.put(bucket, "o", Failing(bytes(SIZE)), size=SIZE)
    assert not isinstance(told.value, StorageError)
    assert azurite.keys(bucket) == {}
    behind.put(bucket, "o", b"fine", size=4)


def test_a_service_that_falls_silent(azurite, proxy, bucket, behind, monkeypatch):
    monkeypatch.setattr(
        behind, "client", Client(behind.config, behind.credentials, read_timeout=0.5)
    )
    proxy.rules.append(stall("response-head", seconds=10))
    started = time.monotonic()
    with pytest.raises((ServiceError, ConnectionFailed)):
        behind.list_buckets()
    proxy.rules[:] = [stall("response-body", seconds=10)]
    with pytest.raises((ServiceError, ConnectionFailed)):
        list(behind.list(bucket))
    assert time.monotonic() - started < 8


def test_a_listing_that_goes_in_circles(behind, proxy, bucket):
    page = (
        b'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs></Blobs>'
        b"<NextMarker>again</NextMarker></EnumerationResults>"
    )
    proxy.rules.append(status(200, body=page))
    with pytest.raises(StorageError, match="goes in circles"):
        list(behind.list(bucket))
    assert len(proxy.faults()) == 2


def test_connections_are_used_again(behind, proxy, bucket, held):
    before = proxy.connections
    for n in range(10):
        behind.put(bucket, f"k{n}", b"x", size=1)
        behind.head(bucket, f"k{n}")
        assert drained(behind.read(bucket, "o")) == held
        with behind.read(bucket, "o"):
            pass  # left early: that connection cannot be used again
    assert proxy.connections - before <= 12


def test_targets_name_what_was_tried():
    assert str(Target("list buckets")) == "list buckets"
    assert str(Target("list", "a-b")) == "list a-b"
    assert str(Target("put", "a-b", "k\x1b\n")) == "put a-b/k\\x1b\\n"
