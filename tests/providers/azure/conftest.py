"""Stores over Azurite, and configs as settings make them."""

from __future__ import annotations

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
