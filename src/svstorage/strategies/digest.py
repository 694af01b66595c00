"""Digests of objects that were put together from parts.

S3's ETag of such an object is the MD5 of the MD5s of its parts, and their count. Whoever knows
where the parts begin can compute it from the bytes; all common tools make every part but the
last of one size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from svstorage.model import Checksum, Entry, Part, Stored
from svstorage.strategies.base import End
from svstorage.strategies.part_plan import MIB, PREFERRED_PART

# Part sizes that the common tools use; with the count in a multipart ETag, usually one fits.
COMMON_PARTS = tuple(n * MIB for n in (5, 8, 10, 15, 16, 25, 32, 50, 64, 100, 128, 256, 512))


@runtime_checkable
class TellsParts(Protocol):
    """A store that can be asked how an object was cut into parts."""

    def first_part(self, bucket: str, entry: Entry) -> int | None:
        """The size of the first part in bytes, by one request; None where it is not told."""
        ...


@runtime_checkable
class KeepsMd5(Protocol):
    """A multipart store that keeps the MD5 of a whole object where it is told one (Azure), and
    tells it from then on."""

    keeps_md5: bool

    def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        md5: bytes | None = None,
    ) -> Stored:
        """As `MultipartStore.complete_upload`. The service does not look whether ``md5`` is right:
        give one only of bytes that were all compared with it."""
        ...


class PartsDigest:
    """The ETag that an object of so large parts has, computed as its bytes come by."""

    def __init__(self, part: int) -> None:
        self._part = part
        self._left = part
        self._digest = hashlib.md5(usedforsecurity=False)
        self._parts: list[bytes] = []

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        view = memoryview(chunk)
        while view:
            piece = view[: self._left]
            self._digest.update(piece)
            self._left -= len(piece)
            view = view[len(piece) :]
            if not self._left:
                self._close_part()

    def _close_part(self) -> None:
        self._parts.append(self._digest.digest())
        self._digest = hashlib.md5(usedforsecurity=False)
        self._left = self._part

    def checksum(self) -> Checksum:
        """Call it once, at the end of the bytes."""
        if self._left != self._part:
            self._close_part()
        return joined(self._parts)


def joined(digests: list[bytes]) -> Checksum:
    """S3's rule, for the MD5s of all parts in order."""
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    return Checksum("etag-multipart", f"{whole}-{len(digests)}")


def part_count(checksum: Checksum) -> int:
    """How many parts an ETag of an object in parts tells of."""
    return int(checksum.value.rpartition("-")[2])


def likely_parts(size: int, checksum: Checksum) -> list[int]:
    """Part sizes by which the object may have been made, the likeliest first."""
    count = part_count(checksum)
    if count == 1:
        return [max(size, 1)]
    fitting = [part for part in COMMON_PARTS if -(-size // part) == count]
    return sorted(fitting, key=lambda part: (part != PREFERRED_PART, part))


def told_part(end: End, entry: Entry) -> int | None:
    """The part size of an object as its service tells it, or None.

    None as well where the parts cannot all be of that size: then nothing can be computed.
    """
    checksum = entry.checksum
    if checksum is None or checksum.algorithm != "etag-multipart":
        return None
    if part_count(checksum) == 1:
        return max(entry.size, 1)
    if not isinstance(end.store, TellsParts):
        return None
    part = end.store.first_part(end.bucket, entry)
    if part is None or part < 1 or -(-entry.size // part) != part_count(checksum):
        return None
    return part
