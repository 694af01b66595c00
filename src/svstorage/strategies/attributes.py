"""Carrying attributes from one kind of store to another, the modification time above all.

Object stores cannot set the time of an object, so it travels as user metadata ``mtime``:
seconds since 1970 with up to nine decimals, as rclone writes it; s3fs-fuse writes whole
seconds under the same name, rclone on Azure an RFC 3339 time. All three are read.
"""

from __future__ import annotations

import mimetypes
import re
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from svstorage.model import Attributes, Capabilities, ObjectInfo
from svstorage.providers.base import TellsTags
from svstorage.strategies.base import End

MTIME = "mtime"


_SECONDS = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,30})?")


def format_mtime(modified_ns: int) -> str:
    """Nanoseconds as the metadata holds them: decimal seconds, exact."""
    sign = "-" if modified_ns < 0 else ""
    seconds, rest = divmod(abs(modified_ns), 1_000_000_000)
    return f"{sign}{seconds}.{rest:09d}".rstrip("0").rstrip(".") if rest else f"{sign}{seconds}"


def parse_mtime(text: str) -> int | None:
    """Nanoseconds since 1970 of any of the known forms, or None."""
    if _SECONDS.fullmatch(text):
        seconds, _, part = text.lstrip("-").partition(".")
        nanoseconds = int(seconds) * 1_000_000_000 + int(part[:9].ljust(9, "0"))
        return -nanoseconds if text[0] == "-" else nanoseconds
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", text)
    if not match:
        return None
    base, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone))
    except ValueError:
        return None
    return int(whole.timestamp()) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def recorded_modified_ns(info: ObjectInfo) -> int | None:
    """The time that the metadata records, else that of the listing."""
    text = info.attributes.metadata.get(MTIME)
    if text is not None:
        recorded = parse_mtime(text)
        if recorded is not None:
            return recorded
    return info.entry.modified_ns


def guessed_type(key: str) -> str | None:
    """The content type that a name suggests, or None."""
    name = key.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    # Of most names only the last suffix matters, and there are few of those.
    if stem.strip(".") and dot and suffix.lower() not in _ENCODINGS and ":" not in stem:
        name = f"name.{suffix}"
    return _type_of_name(name)


# What hides the suffix that tells the type (mimetypes.encodings_map, mimetypes.suffix_map).
_ENCODINGS = frozenset({"gz", "z", "bz2", "xz", "br"})


@lru_cache(maxsize=1024)
def _type_of_name(name: str) -> str | None:
    return mimetypes.guess_type(name, strict=False)[0]


def tagged(end: End, info: ObjectInfo, *, wanted: bool) -> ObjectInfo:
    """With the object's tags, where they are wanted and its service tells them only if asked."""
    if not wanted or info.attributes.tags is not None or not isinstance(end.store, TellsTags):
        return info
    tags = end.store.tags(end.bucket, info.entry.key)
    return replace(info, attributes=replace(info.attributes, tags=tags))


def carried(
    info: ObjectInfo, source: Capabilities, destination: Capabilities, *, tags: bool
) -> tuple[Attributes, int | None]:
    """(attributes to store, modification time to set) for an object on its way.

    What a local file cannot tell (its content type) is guessed from its name, as a web server
    would; what the destination can tell by itself is not stored twice.
    """
    attributes = info.attributes
    modified_ns = recorded_modified_ns(info)
    metadata = dict(attributes.metadata)
    content_type = attributes.content_type
    if source.is_local and content_type is None:
        content_type = guessed_type(info.entry.key)
    if destination.sets_modified:
        metadata.pop(MTIME, None)
        told_by_name = content_type is not None and content_type == guessed_type(info.entry.key)
        if told_by_name or content_type in GENERIC_TYPES:
            content_type = None
    elif modified_ns is not None:
        metadata[MTIME] = format_mtime(modified_ns)
    # Written out: `dataclasses.replace` takes longer than all the rest here.
    attributes = Attributes(
        content_type,
        attributes.content_encoding,
        attributes.content_language,
        attributes.content_disposition,
        attributes.cache_control,
        metadata,
        attributes.tags if tags and destination.holds_tags else None,
    )
    if not destination.holds_metadata:
        attributes = Attributes()
    return attributes, modified_ns if destination.sets_modified else None


# What S3 and Azure store where no content type was given: it says nothing.
GENERIC_TYPES = frozenset({"application/octet-stream", "binary/octet-stream"})
