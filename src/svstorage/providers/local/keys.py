"""From an exact key to the names of folders and file, and what a local disk cannot hold.

The mapping is one to one: a key is cut at ``/`` and nothing else is done to it, so that two
keys never meet in one file. Keys for which this is impossible are refused by name.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import lru_cache

from svstorage.errors import BucketNotFound, KeyNotSupported, StorageError

NAME_MAX = 255
"""Bytes in one name (NAME_MAX of limits.h; the file systems of Linux agree)."""
PATH_MAX = 4096
"""Bytes in a path with its closing NUL (PATH_MAX of limits.h)."""

# Exactly what `temporary_name` makes. A user's file that merely looks alike is an ordinary object.
_TEMPORARY = re.compile(r"\.svstorage-(tmp|part|list)-([0-9a-f]{16})~\Z")


def temporary_kind(name: str) -> str | None:
    """``tmp`` (a put under way), ``part`` or ``list`` (an upload in parts), None for all else."""
    match = _TEMPORARY.match(name)
    return match[1] if match else None


def temporary_name(kind: str, number: str) -> str:
    """The name of a temporary file; 16 hex digits tell it from all others."""
    return f".svstorage-{kind}-{number}~"


def check_encoding() -> None:
    """Names of files must pass through Python byte for byte, which UTF-8 with escapes gives."""
    if sys.getfilesystemencoding() != "utf-8":
        raise StorageError(
            f"Python reads file names as {sys.getfilesystemencoding()}, which cannot hold every "
            "key. Set PYTHONUTF8=1 in the environment"
        )


@dataclass(frozen=True, slots=True)
class KeyPath:
    """A key as the names on the way to it. ``is_folder``: the key ends in ``/``."""

    key: str
    parents: tuple[bytes, ...]
    name: bytes
    is_folder: bool


def key_bytes(key: str) -> bytes:
    """The bytes of a key on disk. Raises `KeyNotSupported` for text that no bytes stand for."""
    try:
        return key.encode()
    except UnicodeEncodeError:
        pass
    try:
        data = key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = b""
    # Escapes that add up to valid UTF-8 would be a second name of one file.
    if not data or data.decode("utf-8", "surrogateescape") != key:
        raise KeyNotSupported(f"{key!r}: the key is not text that a file name can hold")
    return data


def key_path(key: str, root_length: int) -> KeyPath:
    """Cut a key into names. ``root_length`` is the length in bytes of the path above it.

    Raises `KeyNotSupported`, with the reason, for a key that a file cannot have exactly.
    """
    data = key_bytes(key)
    if not data:
        raise KeyNotSupported("the key is empty")
    if b"\0" in data:
        raise _refused(key, "it contains a NUL character")
    if root_length + 1 + len(data) >= PATH_MAX:
        raise _refused(key, f"the path would be longer than {PATH_MAX - 1} bytes")
    is_folder = data.endswith(b"/")
    above, _, name = (data[:-1] if is_folder else data).rpartition(b"/")
    try:
        parents = _names(above) if above or b"/" in data[:-1] else ()
        _check_name(name)
    except ValueError as error:
        raise _refused(key, str(error)) from None
    return KeyPath(key, parents, name, is_folder)


@lru_cache(maxsize=256)
def _names(path: bytes) -> tuple[bytes, ...]:
    """The folders of a path: most keys have the same as the key before."""
    names = tuple(path.split(b"/"))
    for name in names:
        _check_name(name)
    return names


def _check_name(name: bytes) -> None:
    """Raise `ValueError`, with the reason, for what cannot be the name of a file or folder."""
    if not name:
        raise ValueError("a folder on the way to it has no name (two / in a row, or first)")
    if name in (b".", b".."):
        raise ValueError(f"the name {name.decode()!r} means another folder on a disk")
    if len(name) > NAME_MAX:
        raise ValueError(f"a name in it is longer than {NAME_MAX} bytes")
    if name.startswith(b".svstorage-") and temporary_kind(name.decode("utf-8", "replace")):
        raise ValueError("svstorage keeps this name for its temporary files")


@lru_cache(maxsize=256)
def bucket_name(bucket: str) -> bytes:
    """A bucket as a folder name: any single name that does not begin with a dot.

    Raises `BucketNotFound` for others: no such bucket can exist.
    """
    try:
        data = key_bytes(bucket)
    except KeyNotSupported:
        data = b""
    if not data or data.startswith(b".") or b"/" in data or b"\0" in data or len(data) > NAME_MAX:
        raise BucketNotFound(f"{bucket!r} cannot be a bucket: it is not a plain folder name")
    return data


def _refused(key: str, reason: str) -> KeyNotSupported:
    shown = repr(key) if len(key) <= 300 else f"{key[:300]!r}… ({len(key)} characters)"
    return KeyNotSupported(f"{shown}: a local disk cannot hold this key: {reason}")
