"""The small values that flow through svstorage: keys, entries, attributes, checksums.

All are frozen dataclasses with slots: a copy of a hundred million objects makes a hundred
million of them, one at a time, and several threads look at each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ChecksumAlgorithm = Literal["md5", "crc32", "crc32c", "crc64nvme", "sha256", "etag-multipart"]

CRC_BYTES: dict[ChecksumAlgorithm, int] = {"crc64nvme": 8, "crc32c": 4, "crc32": 4}
"""Length of each kind of CRC, the strongest first."""


def key_order(key: str) -> bytes:
    """Sort key of an object key: its UTF-8 bytes, the order in which S3 lists (ListObjectsV2).

    Names of local files that are not UTF-8 arrive with surrogate escapes and sort by their
    original bytes.
    """
    return key.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest of an object's whole content, in lower-case hex.

    ``etag-multipart`` is S3's ``<md5 of the part md5s>-<parts>``: comparable only with another
    one made with the same part sizes.
    """

    algorithm: ChecksumAlgorithm
    value: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing.

    ``key`` is exact. A zero-byte key that ends in ``/`` is a folder marker; on the local disk
    it stands for an empty folder. ``modified_ns`` and ``changed_ns`` (the latter local only,
    the inode change time, which no program can set back) are nanoseconds since 1970 UTC.
    ``etag`` is opaque and unquoted; equal ETags of one key mean the same version.
    ``checksum`` is what the listing itself offers, without another request.
    """

    key: str
    size: int
    modified_ns: int | None = None
    etag: str | None = None
    checksum: Checksum | None = None
    changed_ns: int | None = None

    @property
    def is_folder_marker(self) -> bool:
        return self.size == 0 and self.key.endswith("/")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something met while listing that cannot be an object (unreadable folder, FIFO, loop …).

    ``severity`` is ``"error"`` where data may be missing from the listing (so nothing may be
    deleted on its account), ``"skipped"`` where the thing never was data (sockets, devices).
    """

    key: str
    reason: str
    severity: Literal["error", "skipped"] = "error"


@dataclass(frozen=True, slots=True)
class CommonPrefix:
    """A "folder" in a listing by level: all keys that begin with ``prefix``, which ends in /."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """What an object carries beside its bytes: content headers, user metadata, tags.

    Metadata names are lower case. ``tags`` is None where tags were not asked for.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An entry with all its attributes, as a HEAD or the answer to a GET tells them."""

    entry: Entry
    attributes: Attributes = field(default_factory=Attributes)
    crc: Checksum | None = None
    """A CRC of the whole that the service tells beside ``entry.checksum``."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the destination confirmed of an object it now holds.

    ``checksum`` is None where the service's answer offers none; the caller then asks by HEAD.
    """

    size: int
    etag: str | None = None
    checksum: Checksum | None = None
    modified_ns: int | None = None
    crc: Checksum | None = None
    """A CRC of the whole that the answer tells beside ``checksum``."""


@dataclass(frozen=True, slots=True)
class Part:
    """One finished part of a multipart upload. ``number`` counts from 1.

    ``checksum`` is the service's own word on the bytes it holds, where it gives one.
    """

    number: int
    size: int
    etag: str
    offset: int = 0
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class BucketInfo:
    name: str
    created_ns: int | None = None


@dataclass(frozen=True, slots=True)
class PartLimits:
    """What a service allows of multipart uploads, in bytes and counts."""

    min_part: int
    max_part: int
    max_parts: int
    max_object: int
    max_single_put: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connected store can do; the engine asks these, never a provider's name."""

    listing_order: Literal["bytes", "unordered"] = "bytes"
    holds_metadata: bool = True
    holds_tags: bool = False
    holds_folder_markers: bool = True
    """False where a marker beside other keys of its folder cannot be told (local disk)."""
    sets_modified: bool = False
    """True where ``put`` sets the modification time itself (local disk)."""
    server_side_copy: bool = False
    presign: bool = False
    parts: PartLimits | None = None
    """None: no resumable uploads."""
    put_checksum: ChecksumAlgorithm | None = None
    """The algorithm that ``Stored.checksum`` of a single put normally has."""
    is_local: bool = False
