"""Answers to List Blobs and List Containers, parsed, and put into the order of key bytes."""

from __future__ import annotations

import base64
import binascii
import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from svstorage.errors import ListingError
from svstorage.model import Checksum, CommonPrefix, Entry, key_order

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
        start=1,
    )
}
HELD_AT_MOST = 50_000


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its items in the order they came, and the marker of the next page or ""."""

    items: tuple[Entry | CommonPrefix, ...]
    next_marker: str


@lru_cache(maxsize=4096)
def http_date_ns(text: str) -> int:
    """``Mon, 01 Jan 2024 00:00:00 GMT`` (RFC 9110, IMF-fixdate) as ns since 1970.

    A listing has many equal ones, hence the cache. Raises `ValueError`.
    """
    try:
        _, day, month, year, clock, zone = text.split()
        hours, minutes, seconds = clock.split(":")
        if zone != "GMT":
            raise ValueError(text)
        moment = (int(year), _MONTHS[month], int(day), int(hours), int(minutes), int(seconds))
    except KeyError:
        raise ValueError(text) from None
    return calendar.timegm((*moment, 0, 0, 0)) * 1_000_000_000


def md5_checksum(encoded: str | None) -> Checksum | None:
    """The checksum of a Content-MD5 header (base64), None where absent or no MD5."""
    if not encoded:
        return None
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    return Checksum("md5", digest.hex()) if len(digest) == 16 else None


def parse_blobs(body: bytes) -> Page:
    """One page of List Blobs. Raises `ListingError` where it does not parse."""
    try:
        # The service is the one we signed the request for; expat bounds entity expansion.
        root = ET.fromstring(body)  # noqa: S314
        if root.tag != "EnumerationResults":
            raise ValueError(f"the answer is a {root.tag[:50]!r}, not a listing")
        blobs = root.find("Blobs")
        if blobs is None:
            raise ValueError("the answer has no Blobs")
        items = tuple(item for node in blobs if (item := _item(node)) is not None)
        return Page(items, root.findtext("NextMarker") or "")
    except (ET.ParseError, ValueError) as error:
        raise ListingError(f"the service answered a listing that cannot be read: {error}") from None


def _item(node: ET.Element) -> Entry | CommonPrefix | None:
    name_node = node[0] if len(node) and node[0].tag == "Name" else node.find("Name")
    if name_node is None:
        raise ValueError("an item has no Name")
    name = name_node.text or ""
    # Names that XML cannot hold come percent-encoded (List Blobs, version 2021-02-12 and later).
    if name_node.get("Encoded") == "true":
        name = unquote(name, errors="strict")
    if node.tag == "BlobPrefix":
        return CommonPrefix(name)
    properties = node.find("Properties")
    if properties is None:
        raise ValueError("an item has no Properties")
    size = modified = etag = md5 = None
    for child in properties:
        tag = child.tag
        if tag == "Content-Length":
            size = child.text
        elif tag == "Last-Modified":
            modified = child.text
        elif tag == "Etag":
            etag = child.text
        elif tag == "Content-MD5":
            md5 = child.text
        elif tag == "ResourceType" and child.text == "directory":
            # A folder of an account with a hierarchical namespace: no object, holds no bytes.
            return None
    if size is None or modified is None:
        raise ValueError("an item has no Content-Length or Last-Modified")
    return Entry(
        key=name,
        size=int(size),
        modified_ns=http_date_ns(modified),
        etag=etag.strip('"') if etag else None,
        checksum=md5_checksum(md5),
    )


def parse_names(body: bytes, item: str) -> tuple[list[str], str]:
    """Names and next marker of List Containers (``item`` is ``Container``)."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - as above
        names = [node.findtext("Name") or "" for node in root.iter(item)]
        return names, root.findtext("NextMarker") or ""
    except ET.ParseError as error:
        raise ListingError(f"the service answered a listing that cannot be read: {error}") from None


def in_byte_order(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Entries in byte order of their keys, from a service that may order by UTF-16 units.

    The two orders differ only where, behind a common stem, one key goes on with a character
    beyond U+FFFF and another with one from U+E000 to U+FFFF. So only from such a character on
    are entries held back and sorted, until the stem ends; whichever of the two orders the
    service has, the result is right. At most `HELD_AT_MOST` are held: a listing beyond that
    goes on unsorted, for the order check of the caller to judge.
    """
    held: list[Entry] = []
    stem = ""
    for entry in entries:
        if held:
            if len(held) < HELD_AT_MOST and entry.key.startswith(stem):
                held.append(entry)
                continue
            yield from _sorted(held)
            held = []
        key = entry.key
        if not key.isascii() and max(key) > "\uffff":
            stem = key[: next(i for i, c in enumerate(key) if c > "\uffff")]
            held = [entry]
        else:
            yield entry
    yield from _sorted(held)


def start(after: str) -> str:
    """Where a listing may begin, whichever of the two orders the service has (see
    `in_byte_order`), without a gap in what follows ``after`` by its bytes."""
    return after[: next((i for i, c in enumerate(after) if c > "\ud7ff"), None)]


def item_order(item: Entry | CommonPrefix) -> bytes:
    """Sort key of what a listing by level holds: objects and folders mixed, by their bytes."""
    return key_order(item.prefix if isinstance(item, CommonPrefix) else item.key)


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: key_order(entry.key))
