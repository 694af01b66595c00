"""`BaseProvider`, `BaseStore`: what of a provider and its store need not be written anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from svstorage.errors import NotSupported, StorageError
from svstorage.providers.base import ObjectStore, ProviderConfig
from svstorage.settings import variables

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from svstorage.credentials.base import CredentialSource
    from svstorage.settings import Settings, Variable


@dataclass(frozen=True, slots=True)
class PlainConfig:
    """The settings as they are, for a provider that has no config of its own."""

    provider: str
    settings: Settings

    @property
    def endpoint_is_vendors(self) -> bool:
        return False

    @property
    def location(self) -> str:
        port = self.settings.text("STORAGE_PORT")
        host = self.settings.text("STORAGE_ENDPOINT") or ""
        return f"{self.provider}://{host}{f':{port}' if port else ''}"

    @property
    def identity(self) -> str:
        """Another one for any other settings: what they mean is known to the provider alone."""
        known = {n: self.settings[n].value for n in self.settings if not variables.is_secret(n)}
        known["DATA_PATH"] = self.settings.text("DATA_PATH") or ""
        digest = hashlib.sha256(repr(sorted(known.items())).encode("utf-8", "surrogatepass"))
        return f"{self.location}#{digest.hexdigest()[:16]}"


class BaseProvider:
    """What a provider derives from that brings no more than an fsspec filesystem.

    A plugin is a module with an entry point in the group ``svstorage``, and this is all of one::

        from svstorage import hookimpl
        from svstorage.providers import BaseProvider


        class MemoryProvider(BaseProvider):
            name = "memory"

            def filesystem(self, config, credentials):
                from fsspec.implementations.memory import MemoryFileSystem

                return MemoryFileSystem()


        @hookimpl
        def svstorage_register_providers(registry):
            registry.add_provider(MemoryProvider())

    ``STORAGE_PROVIDER=memory`` then selects it, for every command and ``sv://``. ``filesystem``
    gives paths of the form ``bucket/key``, seen from its root (`DirFileSystem` sets another
    root), and is called anew for each connection.

    Override ``parse_config`` for settings of one's own (checked before anything is done), and
    ``connect`` for an `ObjectStore` that can do more than fsspec. ``credentials`` is None unless
    a resolver is registered for ``name``.
    """

    name: str
    other_names: tuple[str, ...] = ()
    summary: str = ""
    schemes: tuple[str, ...] = ()
    variables: tuple[Variable | str, ...] = ()
    credentials_mend: str = ""

    def parse_config(self, settings: Settings) -> Any:
        """A `ProviderConfig`. The default keeps the settings: ``config.settings.text(NAME)``."""
        return PlainConfig(self.name, settings)

    def needs_credentials(self, config: Any) -> bool:
        """Whether to ask the resolvers. Where none serves this provider, there are none."""
        return True

    def connect(self, config: Any, credentials: CredentialSource[Any] | None) -> ObjectStore:
        """An `ObjectStore`; by default made of ``filesystem``."""
        return store_of_filesystem(self, config, credentials)

    def filesystem(
        self, config: Any, credentials: CredentialSource[Any] | None
    ) -> AbstractFileSystem:
        """The fsspec filesystem. Give ``skip_instance_cache=True`` where its arguments are
        secrets or its state must not be shared."""
        raise NotSupported(f"the provider {self.name!r} has no fsspec filesystem")


class BaseStore:
    """What an `ObjectStore` may derive from: methods that follow from its others."""

    deletes_at_once = 1
    """Requests of one `delete_many` at the same time."""

    def delete(self, bucket: str, key: str) -> None:
        """See `ObjectStore.delete`."""
        raise NotImplementedError

    def delete_many(
        self, bucket: str, keys: Sequence[str]
    ) -> Iterable[tuple[str, Exception | None]]:
        """See `ObjectStore.delete_many`: one request for each."""
        from concurrent.futures import ThreadPoolExecutor

        def one(key: str) -> tuple[str, Exception | None]:
            try:
                self.delete(bucket, key)
            except StorageError as error:
                return key, error
            return key, None

        at_once = min(self.deletes_at_once, len(keys))
        if at_once < 2:
            yield from map(one, keys)
            return
        with ThreadPoolExecutor(at_once) as pool:
            yield from pool.map(one, keys)

    def presign(
        self, bucket: str, key: str, *, expires: int, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        """See `ObjectStore.presign`."""
        raise NotSupported("this storage has no presigned URLs")

    def close(self) -> None:
        """Nothing is held open."""


def connected(
    provider: Any, config: ProviderConfig, credentials: CredentialSource[Any] | None
) -> ObjectStore:
    """The provider's store; a provider without ``connect`` gets one made of its filesystem."""
    connect = getattr(provider, "connect", None)
    if connect is None:
        return store_of_filesystem(provider, config, credentials)
    store: ObjectStore = connect(config, credentials)
    return store


def store_of_filesystem(
    provider: Any, config: ProviderConfig, credentials: CredentialSource[Any] | None
) -> ObjectStore:
    """`FsspecStore` over ``provider.filesystem``."""
    from svstorage.providers.fsspec_store import FsspecStore
    from svstorage.providers.fsspec_store.failures import translated

    with translated("connect", config.location):  # some connect as soon as they are made
        fs = provider.filesystem(config, credentials)
    place = getattr(config, "identity", config.location)
    return FsspecStore(fs, identity=f"{provider.name} {place}")
