"""``sv://`` paths for universal_pathlib: ``upath.UPath("sv://bucket/key")`` is an `SvPath`."""

from __future__ import annotations

from typing import Any, cast

from fsspec import register_implementation
from upath._flavour import WrappedFileSystemFlavour
from upath.implementations.cloud import CloudPath

from svstorage.filesystem import SvFileSystem
from svstorage.filesystem.connection import hidden

__all__ = ["SvPath"]

# universal_pathlib knows the syntax of paths only of classes that are loaded.
register_implementation("sv", SvFileSystem, clobber=True)


class SvPath(CloudPath):
    """A path in the storage that the settings select, with the methods of `pathlib.Path`.

    Storage options are those of `svstorage.filesystem.SvFileSystem`, above all ``env_file``. The
    bucket is the anchor (``path.drive``). Keys are exact but for a closing slash, which pathlib
    has no notion of: for an object called ``trail/`` use the filesystem, ``path.fs``. Secrets among
    the options are kept as `svstorage.settings.Secret` and not pickled.
    """

    __slots__ = ()

    # By default only the protocols that universal_pathlib lists have buckets and empty names.
    parser = WrappedFileSystemFlavour(
        SvFileSystem, netloc_is_anchor=True, supports_empty_parts=True
    )

    @classmethod
    def _transform_init_args(
        cls, args: tuple[Any, ...], protocol: str, storage_options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], str, dict[str, Any]]:
        done = super()._transform_init_args(args, protocol, hidden(storage_options))
        return cast("tuple[tuple[Any, ...], str, dict[str, Any]]", done)
