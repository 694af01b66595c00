"""``sv://`` for fsspec: one filesystem over the `ObjectStore` of every provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from svstorage.errors import UsageError
from svstorage.filesystem import paths
from svstorage.filesystem.connection import Connection, check_same
from svstorage.filesystem.moving import Moving
from svstorage.filesystem.places import Places

if TYPE_CHECKING:
    from svstorage.storage import Storage


class SvFileSystem(Moving):
    """An fsspec filesystem over ``bucket/key`` of the storage that the settings select.

    Args:
        env_file: the settings file, as for `svstorage.connect`.
        storage: a connected `svstorage.Storage`, in place of all settings.
        options: settings in lower case without ``STORAGE_`` (``provider=``, ``endpoint=`` …).

    What sets it apart from other fsspec filesystems:

    * Keys are exact: ``a//b``, ``../c``, ``d/`` are read, written and deleted under these names.
    * Nothing is cached: a listing shows what the service holds now.
    * A file that is written appears, whole, when it was closed without an error (`ObjectWriter`).
    * Bulk calls (``get``, ``put``, ``cp``, ``rm``, ``mv``) do all they can, then raise what
      failed: that one error, or `ManyFailed` with all of them.
    * Secrets given as arguments are never shown, saved or pickled.

    Folders are what keys have in common. ``mkdir`` makes buckets only, and a folder vanishes with
    its last object. Methods raise `FileNotFoundError`, `PermissionError`, `FileExistsError`,
    `IsADirectoryError`, and `svstorage.StorageError` for the rest. All are safe to call from many
    threads, also after a fork.
    """

    protocol = paths.SCHEME
    root_marker = ""
    # An instance in fsspec's cache would outlive a change of the environment or the file that it
    # was made from; equal settings share their connection instead (`connection`).
    cachable = False

    def __init__(
        self,
        *,
        env_file: str | os.PathLike[str] | None = None,
        storage: Storage | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        # fsspec's own words about itself, no settings of ours.
        for name in ("asynchronous", "loop", "use_listings_cache", "listings_expiry_time",
                     "max_paths"):  # fmt: skip
            options.pop(name, None)
        if storage is not None and (env_file is not None or options):
            raise UsageError("give either storage= or settings, not both")
        file = os.fspath(env_file) if env_file is not None else None
        self._connection = Connection(storage, file, options)
        self._places = Places(self._connection)

    # Identity, without secrets

    @property
    def storage(self) -> Storage:
        """The connected storage behind this filesystem."""
        return self._connection.storage

    @property
    def storage_options(self) -> dict[str, Any]:
        """The keywords it was made with; secrets are `svstorage.settings.Secret`, shown as
        ``***``."""
        return self._connection.options

    @storage_options.setter
    def storage_options(self, value: Mapping[str, Any]) -> None:
        """fsspec hands over the raw keywords; they are not kept."""

    @property
    def storage_args(self) -> tuple[Any, ...]:
        return ()

    @storage_args.setter
    def storage_args(self, value: tuple[Any, ...]) -> None:
        if value:
            raise TypeError("SvFileSystem takes keywords only")

    @property
    def _fs_token(self) -> str:
        return self._connection.digest()

    @property
    def fsid(self) -> str:
        return f"sv_{sha256(self._connection.location.encode()).hexdigest()[:32]}"

    def __repr__(self) -> str:
        return f"<SvFileSystem {self._connection.location}>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._connection.reference(), self._connection.location)

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """A reference to the settings, never a secret. Raises `StorageError` where that is not
        enough to find the storage again."""
        cls = f"{type(self).__module__}:{type(self).__name__}"
        return {
            "cls": cls,
            "protocol": self.protocol,
            "args": [],
            **self._connection.reference(),
        }

    def to_json(self, *, include_password: bool = True) -> str:
        import json

        return json.dumps(self.to_dict(), default=os.fspath)

    # Paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [paths.strip(item) for item in path]
        return paths.strip(path)

    @classmethod
    def _parent(cls, path: Any) -> str:
        return paths.parent_of(paths.text_of(path))

    def unstrip_protocol(self, name: Any) -> str:
        return f"{paths.SCHEME}://{paths.text_of(name)}"

    def invalidate_cache(self, path: Any = None) -> None:
        """Nothing is cached."""


def _restored(reference: dict[str, Any], location: str) -> SvFileSystem:
    fs = SvFileSystem(**reference)
    check_same(fs._connection, location)
    return fs
