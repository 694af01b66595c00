"""Between the objects of the JSON API and our own values.

https://cloud.google.com/storage/docs/json_api/v1/objects tells the fields,
https://cloud.google.com/storage/docs/objects#naming the names.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from svstorage.errors import BucketNotFound, KeyNotSupported, ServiceError
from svstorage.model import Attributes, Checksum, Entry, ObjectInfo, Stored

LISTED = "name,size,timeCreated,updated,generation,md5Hash,crc32c"
_HEADERS = {
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "contentLanguage": "content_language",
    "contentDisposition": "content_disposition",
    "cacheControl": "cache_control",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def object_path(bucket: str, key: str) -> str:
    """The path of an object, every byte of its key quoted. Raises `KeyNotSupported`."""
    return f"{bucket_path(bucket)}/o/{quote(checked(key), safe='')}"


def bucket_path(bucket: str) -> str:
    """The path of a bucket. Raises `BucketNotFound` for what no bucket can be called.

    Names have 3 to 222 lower-case letters, digits, dashes, underscores and dots
    (https://cloud.google.com/storage/docs/buckets#naming).
    """
    plain = bucket.replace("-", "").replace("_", "").replace(".", "")
    good = plain.isascii() and plain.isalnum() and plain == plain.lower()
    good = good and 3 <= len(bucket) <= 222 and bucket[0].isalnum() and bucket[-1].isalnum()
    if not good:
        raise BucketNotFound(f"{bucket[:300]!r}: no bucket can have this name")
    return f"/storage/v1/b/{bucket}"


def checked(key: str) -> str:
    """The key, if Google Cloud Storage can hold it. Raises `KeyNotSupported` with the reason."""
    reason = None
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        length, reason = 0, "it is not Unicode text"
    if reason is None and not 1 <= length <= 1024:
        reason = "it must have 1 to 1024 bytes"
    elif "\r" in key or "\n" in key:
        reason = "it contains an end of line"
    elif key in (".", ".."):
        reason = "this name is not allowed"
    elif key.startswith(".well-known/acme-challenge/"):
        reason = "names that begin so are not allowed"
    if reason is not None:
        shown = ascii(key) if len(key) <= 300 else f"{key[:300]!a}… ({len(key)} characters)"
        raise KeyNotSupported(f"{shown}: Google Cloud Storage cannot hold this key: {reason}")
    return key


def entry_of(resource: Mapping[str, Any]) -> Entry:
    """An object of a listing or of an answer. ``etag`` is its generation.

    Its time is that of its content: ``updated`` changes with the metadata, too.
    """
    try:
        key, size, generation = (resource[name] for name in ("name", "size", "generation"))
        return Entry(
            key, int(size), _time(resource.get("timeCreated") or resource.get("updated")),
            str(generation), checksum_of(resource),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise ServiceError(f"the service's word on an object cannot be read: {error!r}") from error


def checksum_of(resource: Mapping[str, Any]) -> Checksum | None:
    """The MD5, which composite objects do not have, else the CRC32C."""
    for field, algorithm, length in (("md5Hash", "md5", 16), ("crc32c", "crc32c", 4)):
        try:
            data = base64.b64decode(resource.get(field) or "", validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(data) == length:
            return Checksum("md5" if algorithm == "md5" else "crc32c", data.hex())
    return None


def info_of(resource: Mapping[str, Any]) -> ObjectInfo:
    """An object with what it carries."""
    headers = {ours: resource.get(theirs) or None for theirs, ours in _HEADERS.items()}
    metadata = {name.lower(): str(text) for name, text in (resource.get("metadata") or {}).items()}
    return ObjectInfo(entry_of(resource), Attributes(metadata=metadata, **headers))


def stored_of(resource: Mapping[str, Any]) -> Stored:
    """What the service confirms of an object that it now holds."""
    entry = entry_of(resource)
    return Stored(entry.size, entry.etag, entry.checksum, entry.modified_ns)


def resource_of(attributes: Attributes | None) -> dict[str, Any]:
    """The fields that store these attributes."""
    if attributes is None:
        return {}
    fields: dict[str, Any] = {
        theirs: getattr(attributes, ours)
        for theirs, ours in _HEADERS.items()
        if getattr(attributes, ours) is not None
    }
    if attributes.metadata:
        fields["metadata"] = dict(attributes.metadata)
    return fields


def _time(text: str | None) -> int | None:
    """Nanoseconds of an RFC 3339 time, of which Python keeps microseconds."""
    if not text:
        return None
    whole, dot, rest = text.removesuffix("Z").partition(".")
    zone = "+00:00" if text.endswith("Z") else ""
    digits = rest
    for sign in ("+", "-"):
        if sign in rest:
            digits, _, offset = rest.partition(sign)
            zone = sign + offset
    seconds = datetime.fromisoformat(whole + zone)
    if seconds.tzinfo is None:
        seconds = seconds.replace(tzinfo=timezone.utc)
    fraction = int(digits[:9].ljust(9, "0")) if dot else 0
    since = seconds - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + fraction
