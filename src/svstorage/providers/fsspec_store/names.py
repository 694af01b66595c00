"""Which names a filesystem keeps exactly; every other one is refused, never changed."""

from __future__ import annotations

import re

from fsspec import AbstractFileSystem

from svstorage.addresses import display
from svstorage.errors import KeyNotSupported
from svstorage.providers.fsspec_store import traits, writing
from svstorage.providers.fsspec_store.failures import failure

LONGEST = 1200
"""Bytes of bucket and key together: object stores allow 1,024 for the key."""

_BUCKET = re.compile(r"[A-Za-z0-9._:\-]{1,255}")
# Object stores whose libraries send a path that is not normalised on its way.
_RAW_PATHS = frozenset({"s3", "s3a", "gs", "gcs"})
# adlfs drops or changes these (each tried against Azurite).
_AZURE_CHANGES = re.compile(r"[\\\[\]\x00-\x1f\x7f]|[./]\Z|[./]/")


class Names:
    """The names of one filesystem."""

    def __init__(self, fs: AbstractFileSystem) -> None:
        self._fs = fs
        self._inner = traits.innermost(fs)
        kinds = traits.protocols(self._inner)
        self._is_tree = not self._inner.async_impl
        self._normalises = self._is_tree or not kinds & _RAW_PATHS
        self._is_azure = bool(kinds & traits.AZURE)

    def bucket(self, name: str) -> str:
        """The path of a bucket, or `KeyNotSupported`."""
        if "/" in name or (not self._is_tree and not _BUCKET.fullmatch(name)):
            raise KeyNotSupported(f"{display(name[:200])}: no bucket can have this name")
        return self.path(name)

    def path(self, inside: str) -> str:
        """The path of ``bucket/key``, or `KeyNotSupported` where it would mean another object."""
        shown = display(inside[:200])
        try:
            length = len(inside.encode())
        except UnicodeEncodeError:
            raise KeyNotSupported(f"{shown}: the name is no valid text") from None
        if not inside or "\0" in inside or length > LONGEST or writing.is_draft(inside):
            raise KeyNotSupported(f"{shown}: this cannot be the name of an object")
        parts = inside.split("/")
        if self._normalises and ("." in parts or ".." in parts):
            raise KeyNotSupported(f"{shown}: with . or .. in it, it would lead to another place")
        if self._is_tree and "" in parts:
            raise KeyNotSupported(f"{shown}: no file or folder can have an empty name")
        if self._is_azure and _AZURE_CHANGES.search(inside):
            raise KeyNotSupported(f"{shown}: adlfs would take it for another name")
        if not _kept(self._fs, inside) or not _kept(self._inner, f"x/{inside}"):
            raise KeyNotSupported(f"{shown}: this filesystem would take it for another name")
        return f"{self._fs.root_marker}{inside}"


def _kept(fs: AbstractFileSystem, path: str) -> bool:
    """Whether ``fs`` takes ``path`` for what it says, with no version of an object in its end."""
    try:
        stripped = fs._strip_protocol(path)
        split = getattr(fs, "split_path", None)
        _, key, *version = split(path) if split is not None else ("", "")
    except Exception as error:  # a name that the library cannot even parse
        raise KeyNotSupported(str(failure(error, "name", path))) from error
    if stripped not in (path, f"{fs.root_marker}{path}") and not stripped.endswith(f"/{path}"):
        return False
    return split is None or (key == path.partition("/")[2] and not any(version))
