"""From an exact key to a path on the server, and what a file cannot be called.

The mapping is one to one: a key is cut at ``/`` and nothing else is done to it, so that two keys
never meet in one file. Keys for which this is impossible are refused by name.
"""

from __future__ import annotations

import re
import secrets

from svstorage.errors import BucketNotFound, KeyNotSupported

# limits.h of Linux, which the servers of our users run on; others refuse by themselves.
NAME_MAX = 255
PATH_MAX = 4096

# Exactly what `draft_name` makes. A user's file that merely looks alike is an ordinary object.
_DRAFT = re.compile(rb"\.svstorage-(tmp|part|list)-[0-9a-f]{16}~\Z")


def draft_name(kind: str = "tmp", number: str = "") -> bytes:
    """A name for a file in the making, fresh unless 16 hex digits are given.

    The local disk of svstorage knows it as one, too. ``part`` and ``list`` are an upload in parts.
    """
    return f".svstorage-{kind}-{number or secrets.token_hex(8)}~".encode()


def draft_kind(name: bytes) -> str | None:
    """Which kind of draft has this name; None for all other names."""
    match = _DRAFT.match(name)
    return match[1].decode() if match else None


def is_draft(name: bytes) -> bool:
    """Whether this is the name of a file in the making, which is no object."""
    return draft_kind(name) is not None


def text(data: bytes) -> str:
    """The key or name that these bytes are."""
    return data.decode("utf-8", "surrogateescape")


def key_bytes(key: str) -> bytes:
    """The bytes of a key. Raises `KeyNotSupported` for text that no bytes stand for."""
    try:
        data = key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = b""
    # Escapes that add up to valid UTF-8 would be a second name of one file.
    if data and text(data) == key:
        return data
    raise KeyNotSupported(f"{shown(key)}: the key is not text that a file name can hold")


def path_bytes(key: str, root_length: int) -> bytes:
    """The path of a key below its bucket, with its closing slash where it has one.

    ``root_length`` is how many bytes lie above it. Raises `KeyNotSupported` with the reason.
    """
    if not key:
        raise KeyNotSupported("the key is empty")
    data = key_bytes(key)
    reason = _why_not(data)
    if reason is None and root_length + 1 + len(data) >= PATH_MAX:
        reason = f"the path would be longer than {PATH_MAX - 1} bytes"
    if reason is not None:
        raise KeyNotSupported(f"{shown(key)}: a file cannot have this key: {reason}")
    return data


def _why_not(data: bytes) -> str | None:
    if b"\0" in data:
        return "it contains a NUL character"
    for name in data.removesuffix(b"/").split(b"/"):
        if not name:
            return "a folder on the way to it has no name (two / in a row, or first)"
        if name in (b".", b".."):
            return f"the name {name.decode()!r} means another folder"
        if len(name) > NAME_MAX:
            return f"a name in it is longer than {NAME_MAX} bytes"
        if is_draft(name):
            return "svstorage keeps this name for its temporary files"
    return None


def bucket_bytes(bucket: str) -> bytes:
    """A bucket as a folder name: any single name that does not begin with a dot.

    Raises `BucketNotFound` for others: no such bucket can exist.
    """
    try:
        data = key_bytes(bucket) if bucket else b""
    except KeyNotSupported:
        data = b""
    if not data or data.startswith(b".") or b"/" in data or b"\0" in data or len(data) > NAME_MAX:
        raise BucketNotFound(f"{shown(bucket)} cannot be a bucket: it is not a plain folder name")
    return data


def shown(key: str) -> str:
    """The key as messages show it: printable, and not longer than a line or two."""
    return ascii(key) if len(key) <= 300 else f"{key[:300]!a}… ({len(key)} characters)"
