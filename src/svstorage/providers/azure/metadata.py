"""User metadata and content headers, as Azure takes them in headers.

Azure's metadata names are C# identifiers ("Naming and referencing containers, blobs, and
metadata", section Metadata names), values are ASCII header values. What does not fit, such as
S3's ``a-b`` or a value in another script, is never renamed: those entries are kept together, as
one JSON object in ASCII, in the entry ``svstorage_metadata``, and come back from there under
their own names. Entries that fit are stored as they are, so that other tools see them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from svstorage.errors import ObjectError
from svstorage.model import Attributes

CARRIER = "svstorage_metadata"
PREFIX = "x-ms-meta-"
MAX_BYTES = 8 * 1024
"""Names and values together ("Setting and retrieving properties and metadata")."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?\Z")
_HEADER_VALUE = re.compile(r"[ -~]*\Z")

# Attribute -> request header; the answer has them without the ``x-ms-blob-``.
_CONTENT = {
    "content_type": "x-ms-blob-content-type",
    "content_encoding": "x-ms-blob-content-encoding",
    "content_language": "x-ms-blob-content-language",
    "content_disposition": "x-ms-blob-content-disposition",
    "cache_control": "x-ms-blob-cache-control",
}


def encode(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as Azure can hold it. Raises `ObjectError` where it is too large."""
    fitting: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in metadata.items():
        fits = _NAME.match(name) and name != CARRIER and _VALUE.match(value)
        (fitting if fits else others)[name] = value
    if others:
        fitting[CARRIER] = json.dumps(others, sort_keys=True, separators=(",", ":"))
    size = sum(len(name) + len(value) for name, value in fitting.items())
    if size > MAX_BYTES:
        raise ObjectError(f"its metadata has {size} bytes, and Azure takes {MAX_BYTES} at most")
    return fitting


def decode(stored: Mapping[str, str]) -> dict[str, str]:
    """The inverse of `encode`. A carrier that is not ours is an ordinary entry."""
    metadata = dict(stored)
    carried = metadata.get(CARRIER)
    if carried is not None:
        try:
            others = json.loads(carried)
        except ValueError:
            return metadata
        if isinstance(others, dict) and all(isinstance(v, str) for v in others.values()):
            del metadata[CARRIER]
            metadata.update(others)
    return metadata


def headers(attributes: Attributes | None) -> dict[str, str]:
    """Request headers that set these attributes. Raises `ObjectError` for what cannot be held."""
    if attributes is None:
        return {}
    made = {}
    for name, header in _CONTENT.items():
        value = getattr(attributes, name)
        if value is not None:
            if not _HEADER_VALUE.match(value):
                raise ObjectError(f"Azure cannot hold its {name.replace('_', '-')} {value!r}")
            made[header] = value
    for name, value in encode(attributes.metadata).items():
        made[PREFIX + name] = value
    if attributes.tags:
        made["x-ms-tags"] = urlencode(attributes.tags)
    return made


def attributes(headers: Mapping[str, str], tags: Mapping[str, str] | None = None) -> Attributes:
    """The attributes that the answer to a GET or HEAD tells."""
    return Attributes(
        content_type=headers.get("content-type"),
        content_encoding=headers.get("content-encoding"),
        content_language=headers.get("content-language"),
        content_disposition=headers.get("content-disposition"),
        cache_control=headers.get("cache-control"),
        metadata=decode(dict(_metadata(headers))),
        tags=tags,
    )


def _metadata(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(PREFIX):
            yield lower.removeprefix(PREFIX), value
