"""Listings that begin in the middle of a container."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svstorage.model import key_order
from svstorage.providers.azure import listing
from svstorage.providers.azure.store import AzureStore
from tests.providers.azure.conftest import Connect
from tests.servers.azure import AzureServer
from tests.servers.faultproxy import FaultProxy, status

_TEXT = st.text(st.sampled_from("-/a\u00e9\ud7ff\ue000\uffff\U00010000\U0010ffff"), max_size=6)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


@given(_TEXT, _TEXT)
def test_no_later_key_lies_before_the_start(after: str, key: str) -> None:
    if key_order(key) > key_order(after):
        start = listing.start(after)
        assert key_order(key) >= key_order(start)
        assert _utf16(key) >= _utf16(start)


@pytest.fixture
def proxy(azurite: AzureServer, fault_proxy) -> FaultProxy:
    return fault_proxy(azurite.endpoint.removesuffix(f"/{azurite.account}"))


@pytest.fixture
def behind(azurite: AzureServer, proxy: FaultProxy, bucket: str, storage_of: Connect) -> AzureStore:
    store = storage_of(azurite.at(proxy.endpoint)).store
    assert isinstance(store, AzureStore)
    store.page_size = 4
    client = azurite.client().get_container_client(bucket)
    for number in range(20):
        client.upload_blob(f"flat-{number:02}", b"x")
    return store


def _pages(proxy: FaultProxy) -> list[str]:
    return [seen.target for seen in proxy.requests if "comp=list" in seen.target]


def test_the_service_begins_at_the_start(
    behind: AzureStore, proxy: FaultProxy, bucket: str
) -> None:
    keys = [row.key for row in behind.list(bucket, start_after="flat-09")]
    assert keys == [f"flat-{number}" for number in range(10, 20)]
    assert len(_pages(proxy)) == 3  # flat-09 and the ten behind it


def test_a_service_that_knows_no_start_is_listed_from_its_first_key(
    behind: AzureStore, proxy: FaultProxy, bucket: str
) -> None:
    body = b"<Error><Code>InvalidHeaderValue</Code><Message>no such version</Message></Error>"
    proxy.rules[:] = [status(400, body=body, path="startFrom=")]
    for _ in range(2):
        keys = [row.key for row in behind.list(bucket, start_after="flat-15")]
        assert keys == [f"flat-{number}" for number in range(16, 20)]
    assert sum("startFrom" in page for page in _pages(proxy)) == 1  # asked for once


def test_an_account_that_does_not_tell_its_kind_is_listed_from_its_first_key(
    behind: AzureStore, proxy: FaultProxy, bucket: str
) -> None:
    proxy.rules[:] = [status(403, path="comp=properties")]
    keys = [row.key for row in behind.list(bucket, start_after="flat-17")]
    assert keys == ["flat-18", "flat-19"]
    assert not any("startFrom" in page for page in _pages(proxy))
