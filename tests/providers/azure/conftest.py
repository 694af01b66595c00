"""Stores over Azurite, and configs as settings make them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from svstorage.providers.azure.store import AzureStore
from svstorage.storage import Storage
from svstorage.storage import connect as connect_storage
from tests.servers.azure import AzureServer

Connect = Callable[..., Storage]


@pytest.fixture
def storage_of() -> Iterator[Connect]:
    """``storage_of(server, **changes)``: connected as `svstorage.connect` does, resolvers and all.

    Changes are keywords of ``connect``; None leaves a setting of the server's out.
    """
    made: list[Storage] = []

    def make(server: AzureServer, **changes: Any) -> Storage:
        named = {k.removeprefix("STORAGE_").lower(): v for k, v in server.env().items()}
        named.update(changes)
        storage = connect_storage(**{k: v for k, v in named.items() if v is not None})
        made.append(storage)
        return storage

    yield make
    for storage in made:
        storage.close()


@pytest.fixture
def bucket(azurite: AzureServer) -> Iterator[str]:
    """A container of plain Azurite, as the oracle made it."""
    name = azurite.new_bucket()
    yield name
    azurite.drop_bucket(name)


@pytest.fixture
def tls_bucket(azurite_tls: AzureServer) -> Iterator[str]:
    """A container of Azurite over TLS."""
    name = azurite_tls.new_bucket()
    yield name
    azurite_tls.drop_bucket(name)


@pytest.fixture
def store(azurite: AzureServer, storage_of: Connect) -> AzureStore:
    """A store over plain Azurite by account key."""
    found = storage_of(azurite).store
    assert isinstance(found, AzureStore)
    return found


def works(storage, bucket: str) -> None:
    """Writes, lists, reads and deletes by store, by obstore and by adlfs."""
    import obstore

    store = storage.store
    store.put(bucket, "a b/ü", b"bytes", size=5)
    assert [row.key for row in store.list(bucket)] == ["a b/ü"]
    with store.read(bucket, "a b/ü") as reader:
        assert reader.read() == b"bytes"
    assert obstore.get(store.native(bucket), "a b/ü").bytes() == b"bytes"
    fs = storage.provider_fs()
    assert fs.cat(f"{bucket}/a b/ü") == b"bytes"
    fs.pipe(f"{bucket}/by-adlfs", b"more")
    assert sorted(fs.find(bucket)) == [f"{bucket}/a b/ü", f"{bucket}/by-adlfs"]
    with store.read(bucket, "by-adlfs") as reader:
        assert reader.read() == b"more"
    assert dict(store.delete_many(bucket, ["a b/ü", "by-adlfs"])) == {
        "a b/ü": None,
        "by-adlfs": None,
    }
    assert list(store.list(bucket)) == []


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture):
    """The logs at DEBUG of all libraries, too, hold no secret of `secrets`."""
    caplog.set_level(logging.DEBUG)
    secrets: list[str] = []
    yield secrets
    logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    for secret in secrets:
        assert secret not in logged
