"""The CRC of an object that travels in parts, several at once and in any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from svstorage.model import Checksum, ChecksumAlgorithm, ObjectInfo
from svstorage.providers.base import ShowsUploads, TellsCrc
from svstorage.strategies.base import Context, Job
from svstorage.strategies.crc import Crc, computable, joined, wanted_crc
from svstorage.strategies.following import CHUNK, pieces

Ranges = list[tuple[int, int, int]]


class PartCrcs:
    """Those of the parts of one try. ``look`` asks the source what it tells of the object."""

    def __init__(self, job: Job, context: Context, look: Callable[[], ObjectInfo]) -> None:
        self._job = job
        self._check_stop = context.check_stop
        self._parts: dict[int, Crc] = {}
        self.told: Checksum | None = None
        """What the source tells of the whole, if it can be computed."""
        self.proven = False
        """Set once the bytes of all parts were found to have it."""
        self._algorithm: ChecksumAlgorithm | None = None
        if context.verify != "checksum":
            return
        source = job.pair.source.store
        if isinstance(source, TellsCrc) and source.tells_crc:
            told = look().crc
            self.told = told if computable(told) else None
        if self.told is not None:
            self._algorithm = self.told.algorithm
        elif (wanted := wanted_crc(job)) is not None:
            self._algorithm = wanted.algorithm

    def new(self) -> Crc | None:
        """One for a part, or None where nobody could compare the whole."""
        return Crc(self._algorithm) if self._algorithm is not None else None

    def finished(self, number: int, crc: Crc | None) -> None:
        if crc is not None:
            self._parts[number] = crc

    def whole(self, upload_id: str, ranges: Ranges) -> Checksum | None:
        """The CRC of all parts, or None. Those of an earlier try are read again, where the
        destination shows them and it is worth while."""
        missing = [r for r in ranges if r[0] not in self._parts]
        if self._algorithm is None or (missing and self.told is None):
            return None
        if missing:
            end, key = self._job.pair.destination, self._job.destination_key
            if not isinstance(end.store, ShowsUploads):
                return None
            with end.store.open_upload(end.bucket, key, upload_id) as file:
                for number, offset, length in missing:
                    self._parts[number] = self._read(file, self._algorithm, offset, length)
        return joined(self._parts[number] for number, _, _ in ranges)

    def _read(self, file: BinaryIO, algorithm: ChecksumAlgorithm, offset: int, length: int) -> Crc:
        crc = Crc(algorithm)
        buffer = memoryview(bytearray(CHUNK))
        for piece in pieces(file, buffer, offset, length, self._check_stop):
            crc.update(piece)
        return crc
