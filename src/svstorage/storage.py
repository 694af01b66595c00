"""A connected storage: settings, provider, credentials and store, held together."""

from __future__ import annotations

import os
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from svstorage.credentials.resolve import find_credentials
from svstorage.errors import SettingsError
from svstorage.plugins import Registry, plugins
from svstorage.providers.base import ObjectStore, Provider
from svstorage.providers.default import connected
from svstorage.settings import Settings, variables

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from svstorage.credentials.base import CredentialSource
    from svstorage.filesystem import SvFileSystem


class Storage:
    """One storage as the settings select it. Made by `connect`; cheap until first used."""

    def __init__(
        self,
        settings: Settings,
        provider: Provider[Any],
        config: Any,
        credentials: CredentialSource[Any] | None,
        resolver: str | None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.settings = settings
        self.provider = provider
        self.config = config
        self.credentials = credentials
        self.resolver = resolver
        # What a worker in another process needs to connect again; holds no resolved secret.
        self.options = options or {}

    def __repr__(self) -> str:
        return f"<Storage {self.provider.name} at {self.config.location}>"

    @cached_property
    def store(self) -> ObjectStore:
        """The connected store with exact keys, for the engine and for careful programs."""
        return connected(self.provider, self.config, self.credentials)

    @cached_property
    def fs(self) -> SvFileSystem:
        """An fsspec filesystem over ``bucket/key``, the same for every provider."""
        from svstorage.filesystem import SvFileSystem

        return SvFileSystem(storage=self)

    def provider_fs(self) -> AbstractFileSystem:
        """The vendor's own fsspec filesystem (s3fs, adlfs …), with the same credentials.

        For programs that need what only that library offers. It keeps that library's habits:
        see ``docs/reliability.md`` for what its bulk calls do on failure.
        """
        return self.provider.filesystem(self.config, self.credentials)

    def buckets(self) -> list[str]:
        """Names of all buckets that the credentials can list."""
        return [bucket.name for bucket in self.store.list_buckets()]

    @cached_property
    def prefix(self) -> str:
        """``<prefix>`` of the two platform buckets, from ``STORAGE_BUCKETS_PREFIX`` or found by
        listing. Raises `SettingsError` where it cannot be told."""
        given = self.settings.text("STORAGE_BUCKETS_PREFIX")
        if given:
            return given
        names = set(self.buckets())
        pairs = sorted(
            name.removesuffix("-public")
            for name in names
            if name.endswith("-public") and name.removesuffix("-public") + "-private" in names
        )
        if len(pairs) == 1:
            return pairs[0]
        if pairs:
            problem = f"not set, and there are several pairs of buckets: {', '.join(pairs[:5])}"
            mend = "Set it to one of these"
        else:
            problem = "not set, and there is no pair of buckets <prefix>-public, <prefix>-private"
            mend = "Set it to the <prefix> of your two buckets, or make them with: svstorage mb"
        raise SettingsError(problem, variable="STORAGE_BUCKETS_PREFIX", mend=mend)

    @property
    def public(self) -> str:
        """Name of the bucket ``<prefix>-public``."""
        return f"{self.prefix}-public"

    @property
    def private(self) -> str:
        """Name of the bucket ``<prefix>-private``."""
        return f"{self.prefix}-private"

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open ``bucket/key`` as a file. What is written is published when the file is closed:
        in a ``with`` block when it ends without error, and not at all where it raises."""
        return self.fs.open(path, mode, **options)

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def __enter__(self) -> Storage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def connect(
    *,
    env_file: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    registry: Registry | None = None,
    **keywords: Any,
) -> Storage:
    """Connect to the storage that the settings select.

    Keywords are the settings in lower case without ``STORAGE_`` (``provider="minio"``,
    ``endpoint=…``, ``data_path=…``) and win over every other source.

    Raises:
        SettingsError: a setting is missing, malformed or contradictory.
        CredentialsError: no credentials could be had.
        PluginError: no provider of that name is installed.

    Examples:
        >>> storage = connect(provider="http", data_path="/srv/data")  # doctest: +SKIP
        >>> storage.buckets()  # doctest: +SKIP
        ['acme-private', 'acme-public']
    """
    options = {"env_file": os.fspath(env_file) if env_file is not None else None, **keywords}
    # Providers first: which keywords there are is theirs to say.
    registry = plugins().registry if registry is None else registry
    if settings is None:
        overrides = variables.from_keywords(**keywords)
        settings = Settings.load(env_file=env_file, overrides=overrides)
    provider = registry.provider(settings.provider_name, settings.source("STORAGE_PROVIDER"))
    config = provider.parse_config(settings)
    credentials, resolver = (
        find_credentials(provider.name, config, settings, registry)
        if provider.needs_credentials(config)
        else (None, None)
    )
    return Storage(settings, provider, config, credentials, resolver, options)
