"""What the attributes of SFTP tell of a file."""

from __future__ import annotations

import stat

import asyncssh

from svstorage.model import Entry

SECOND = 1_000_000_000


def kind(attrs: asyncssh.SFTPAttrs) -> int:
    """The type of file, as `stat.S_IFMT` gives it; 0 where the server does not tell."""
    return stat.S_IFMT(attrs.permissions or 0)


def is_directory(attrs: asyncssh.SFTPAttrs) -> bool:
    """Whether it is a folder, and no link to one."""
    return stat.S_ISDIR(kind(attrs))


def modified_ns(attrs: asyncssh.SFTPAttrs) -> int | None:
    """The modification time in nanoseconds, whole seconds in version 3 of the protocol."""
    if attrs.mtime is None:
        return None
    return int(attrs.mtime) * SECOND + (attrs.mtime_ns or 0)


def version(attrs: asyncssh.SFTPAttrs) -> str | None:
    """The ETag of a file: another time or size is another version.

    Version 3 of the protocol tells whole seconds and no inode: two versions of one size that
    were written within one second look alike.
    """
    when = modified_ns(attrs)
    return None if when is None else f"{when:x}-{attrs.size or 0:x}"


def entry_of(key: str, attrs: asyncssh.SFTPAttrs) -> Entry:
    """A file as an object, or an empty folder as a marker where the key ends in ``/``."""
    size = 0 if key.endswith("/") else attrs.size or 0
    return Entry(key, size, modified_ns(attrs), version(attrs))
