"""What tells two versions of a file apart, on either side. Never a clock."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from svstorage.model import Entry
from svstorage.providers.base import ObjectStore

_BLOCK = 1 << 20
_UNSETTLED_NS = 2_000_000_000
"""File systems count time in steps of up to two seconds (FAT; ext3 and old NFS: one)."""


def local_version(entry: Entry) -> str:
    """Modification time, size, inode and inode change time; only equality counts.

    No program can set the last of them, so that a file put in place with an old date is seen.
    """
    return f"{entry.etag}-{entry.changed_ns or 0:x}"


def same_inode(one: str, other: str) -> bool:
    """Equal but for the inode change time, which a rename alone changes on some file systems."""
    return one.rpartition("-")[0] == other.rpartition("-")[0]


def is_settled(entry: Entry, now_ns: int) -> bool:
    """False where a further write might not show. ``now_ns`` is the file system's own time."""
    changed = entry.changed_ns
    return changed is not None and changed + _UNSETTLED_NS < now_ns


def remote_version(entry: Entry) -> str:
    """The ETag where there is one; for objects on a local disk the inode change time as well."""
    if entry.etag is None:
        return f"{entry.size}@{entry.modified_ns}"
    return f"{entry.etag}-{entry.changed_ns:x}" if entry.changed_ns is not None else entry.etag


def stored_version(store: ObjectStore, bucket: str, key: str, etag: str | None, size: int) -> str:
    """The version of an object that was just stored, as a listing will show it.

    Where another one is there already, the answer matches nothing: the next pass sees a change.
    """
    if etag is not None and not store.capabilities.is_local:
        return etag
    entry = store.head(bucket, key).entry
    if entry.size != size or (etag is not None and entry.etag != etag):
        return f"replaced:{etag}"
    return remote_version(entry)


def digest_of(path: Path | str) -> str:
    """MD5 of a file, in hex. Raises `OSError`."""
    digest = hashlib.md5(usedforsecurity=False)
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while block := os.read(fd, _BLOCK):
            digest.update(block)
    finally:
        os.close(fd)
    return digest.hexdigest()
