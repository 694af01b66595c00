"""A body that is hashed as it passes, and refuses to end on bytes that were not announced."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from svstorage.errors import ChecksumMismatch, ObjectChanged
from svstorage.model import Checksum
from svstorage.providers.base import Chunk, ObjectReader
from svstorage.strategies.crc import Crc
from svstorage.strategies.digest import PartsDigest


class Digest(Protocol):
    """What of hashlib's objects is used here."""

    def update(self, data: Chunk, /) -> None: ...

    def copy(self) -> Digest: ...

    def hexdigest(self) -> str: ...


class HashingBody:
    """Wraps a reader: counts and hashes what goes through, and calls back for progress.

    At the end of the bytes a wrong length, or a digest that differs from ``expected``, is raised
    before the store has a chance to publish the object. An ``expected`` ETag of parts can be
    compared where ``part`` is their size. ``whole`` is a digest that runs on over several bodies,
    ``crc`` a CRC of this one, ``told_crc`` what it must be in the end.
    """

    def __init__(
        self,
        reader: ObjectReader,
        *,
        size: int,
        name: str,
        expected: Checksum | None = None,
        part: int | None = None,
        hashed: bool = True,
        whole: Digest | None = None,
        crc: Crc | None = None,
        told_crc: Checksum | None = None,
        progress: Callable[[int], None],
        check_stop: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._size = size
        self._name = name
        self._digest = hashlib.md5(usedforsecurity=False) if hashed else None
        self._expected = self._by_parts = None
        if hashed and expected is not None:
            if expected.algorithm == "md5":
                self._expected = expected
            elif expected.algorithm == "etag-multipart" and part is not None:
                self._expected, self._by_parts = expected, PartsDigest(part)
        self._whole = whole
        self._crc = crc
        self._told_crc = told_crc
        self._progress = progress
        self._check_stop = check_stop
        self.count = 0

    def read(self, size: int = -1, /) -> Chunk:
        self._check_stop()
        chunk = self._reader.read(size)
        length = len(chunk)
        if length:
            self.count += length
            if self._digest is not None:
                self._digest.update(chunk)
            if self._by_parts is not None:
                self._by_parts.update(chunk)
            if self._whole is not None:
                self._whole.update(chunk)
            if self._crc is not None:
                self._crc.update(chunk)
            self._progress(length)
        if self.count > self._size or (not length and size != 0 and self.count < self._size):
            raise ObjectChanged(
                f"{self._name}: {self.count} bytes were read where {self._size} were announced; "
                "it changed while it was copied"
            )
        if self.count == self._size and self._expected is not None:
            found = self._by_parts.checksum() if self._by_parts is not None else self.checksum
            if found != self._expected:
                raise ChecksumMismatch(
                    f"{self._name}: the bytes that arrived are not those announced (MD5)"
                )
            self._expected = None
        if self.count == self._size and self._crc is not None and self._told_crc is not None:
            if self._crc.checksum() != self._told_crc:
                raise ChecksumMismatch(
                    f"{self._name}: the bytes that arrived are not those announced (CRC)"
                )
            self._told_crc = None
        return chunk

    @property
    def checksum(self) -> Checksum | None:
        """MD5 of what went through."""
        return Checksum("md5", self._digest.hexdigest()) if self._digest is not None else None
