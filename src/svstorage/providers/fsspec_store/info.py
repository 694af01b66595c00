"""What fsspec's ``info`` dictionaries tell of an object: each library has its own words."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from svstorage.model import Checksum, Entry

_MODIFIED = ("mtime", "LastModified", "last_modified", "Last-Modified", "updated", "modified")
_ETAG = ("ETag", "etag", "e_tag")
_MD5 = ("md5", "md5Hash", "content_md5", "Content-MD5")


def entry_of(key: str, info: Mapping[str, Any]) -> Entry:
    """The object of ``key``. ``info`` must have a size.

    Where the library tells no ETag, one is made of the times and the size, so that a change is
    noticed; where it tells neither, there is none.
    """
    size = int(info["size"])
    modified_ns = _time(info, *_MODIFIED)
    etag = _text(info, _ETAG)
    if etag is None:
        # fsspec's memory filesystem tells only when the object was made, anew with each write.
        made_ns = _time(info, "created")
        if modified_ns is not None or made_ns is not None:
            known = f"{size} {modified_ns} {made_ns}"
            etag = hashlib.blake2b(known.encode(), digest_size=16).hexdigest()
        modified_ns = modified_ns if modified_ns is not None else made_ns
    return Entry(key, size, modified_ns, etag, checksum_of(info))


def checksum_of(info: Mapping[str, Any]) -> Checksum | None:
    """The digest that the library announces. An ETag is none: what it is made of is not told."""
    found: Any = next((info[name] for name in _MD5 if info.get(name)), None)
    settings = info.get("content_settings")  # adlfs
    if found is None and settings:
        get = settings.get if isinstance(settings, Mapping) else settings.__getattribute__
        found = get("content_md5")
    digest = _digest(found, 16)
    if digest is not None:
        return Checksum("md5", digest)
    crc = _digest(info.get("crc32c"), 4)
    return Checksum("crc32c", crc) if crc is not None else None


def _digest(value: Any, length: int) -> str | None:
    """Lower-case hex of a digest given as bytes, hex or base64."""
    if isinstance(value, (bytes, bytearray)) and len(value) == length:
        return bytes(value).hex()
    if not isinstance(value, str):
        return None
    try:
        data = bytes.fromhex(value) if len(value) == 2 * length else base64.b64decode(value)
    except ValueError:
        return None
    return data.hex() if len(data) == length else None


def _text(info: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    value = next((info[name] for name in names if info.get(name)), None)
    return value.strip('"') if isinstance(value, str) else None


def _time(info: Mapping[str, Any], *names: str) -> int | None:
    value = next((info[name] for name in names if info.get(name) is not None), None)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if isinstance(value, datetime):
        # Without a zone it is UTC in all libraries that were looked at (S3, Azure, SFTP).
        value = (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # Microseconds are what a float of today's seconds still tells exactly.
        return round(value * 1_000_000) * 1000
    return None
