"""The local disk as a provider: buckets are the folders of ``DATA_PATH/storage``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from svstorage.hookspecs import hookimpl

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from svstorage.credentials.base import CredentialSource
    from svstorage.plugins import Registry
    from svstorage.settings import Settings

    from .store import LocalStore

__all__ = ["LocalConfig", "LocalProvider", "svstorage_register_providers"]

_PATH = "STORAGE_PATH"
"""The field ``path`` of an entry of a links file."""


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """``root``: the folder whose folders are the buckets; with ``single_folder`` (an entry
    ``path:`` of a links file) it is itself the one bucket, named ``""``.
    """

    root: str
    single_folder: bool = False

    @property
    def endpoint_is_vendors(self) -> bool:
        return False

    @property
    def location(self) -> str:
        return self.root


class LocalProvider:
    """``STORAGE_PROVIDER=http``. Needs no credentials: the permissions of the files hold."""

    name = "http"
    other_names = ("local",)
    summary = "local disk: buckets are the folders of DATA_PATH/storage"
    schemes = ("fs",)
    variables = ("DATA_PATH",)
    credentials_mend = ""

    def parse_config(self, settings: Settings) -> LocalConfig:
        path = settings.path(_PATH)
        # A variable of the environment that happens to have this name is not ours.
        if path is not None and settings.source(_PATH).kind == "links":
            return LocalConfig(os.fspath(path), single_folder=True)
        root = settings.data_path
        if root.exists() and not root.is_dir():
            raise settings.error("DATA_PATH", "it is a file, not a folder", "Name a folder")
        return LocalConfig(os.fspath(root / "storage"))

    def connect(
        self, config: LocalConfig, credentials: CredentialSource[Any] | None = None
    ) -> LocalStore:
        from .store import LocalStore

        return LocalStore(config.root, single_folder=config.single_folder)

    def filesystem(
        self, config: LocalConfig, credentials: CredentialSource[Any] | None = None
    ) -> AbstractFileSystem:
        """The `DirFileSystem` of fsspec over the root, with files that appear all at once."""
        from .fsspec_local import folder_filesystem

        return folder_filesystem(config.root)

    def needs_credentials(self, config: LocalConfig) -> bool:
        return False


@hookimpl
def svstorage_register_providers(registry: Registry) -> None:
    """Registers the local disk."""
    registry.add_provider(LocalProvider())
