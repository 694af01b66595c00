"""From an exact key to the names of a path on the server, and what a file cannot be called.

The mapping is one to one: a key is cut at ``/`` and nothing else is done to it.
"""

from __future__ import annotations

import re
import secrets

from svstorage.errors import BucketNotFound, KeyNotSupported

Path = tuple[str, ...]
"""Names below the root of the storage; the first is the bucket."""

NAME_MAX = 255
PATH_MAX = 4096

# The same names as the local disk and SFTP use, so that each leaves out the others' leftovers.
_DRAFT = re.compile(r"\.svstorage-(tmp|part|list)-[0-9a-f]{16}~\Z")


def draft_name() -> str:
    """A fresh name for a file in the making."""
    return f".svstorage-tmp-{secrets.token_hex(8)}~"


def is_draft(name: str) -> bool:
    """Whether this is the name of a file in the making, which is no object."""
    return _DRAFT.match(name) is not None


def bucket_path(bucket: str) -> Path:
    """A bucket as a folder: any single name that does not begin with a dot."""
    if bucket.startswith(".") or "/" in bucket or _why_not(bucket):
        raise BucketNotFound(f"{shown(bucket)} cannot be a bucket: it is not a plain folder name")
    return (bucket,)


def key_path(bucket: str, key: str) -> Path:
    """The names of a key; a key that ends in ``/`` is the folder. Raises `KeyNotSupported`."""
    base = bucket_path(bucket)
    names = key.removesuffix("/").split("/")
    reason = "it is longer than 4,000 bytes" if len(key) > PATH_MAX - NAME_MAX else None
    reason = reason or next(filter(None, map(_why_not, names)), None)
    if reason is None and len(key.encode()) > PATH_MAX - NAME_MAX:
        reason = "it is longer than 4,000 bytes"
    if reason:
        raise KeyNotSupported(f"{shown(key)}: a file cannot have this key: {reason}")
    return (*base, *names)


def _why_not(name: str) -> str | None:
    if not name:
        return "a name in it is empty (two / in a row, or first)"
    if name in (".", ".."):
        return f"the name {name!r} means another folder"
    if any(character < " " for character in name):
        # Some servers drop them from the header Destination without a word.
        return "it contains a control character"
    if len(name) > NAME_MAX:
        return f"a name in it is longer than {NAME_MAX} bytes"
    try:
        if len(name.encode()) > NAME_MAX:
            return f"a name in it is longer than {NAME_MAX} bytes"
    except UnicodeEncodeError:
        return "it is not Unicode text"
    if is_draft(name):
        return "svstorage keeps this name for its temporary files"
    return None


def shown(key: str) -> str:
    """The key as messages show it: printable, and not longer than a line or two."""
    return ascii(key) if len(key) <= 300 else f"{key[:300]!a}… ({len(key)} characters)"
