"""CRCs of whole objects: what AWS tells of every object since the end of 2024.

"Checking object integrity in Amazon S3" (Amazon S3 User Guide): an object that is stored without
another checksum gets CRC-64/NVME, a multipart one included. A CRC runs at ten times the speed of
an MD5, and those of parts can be put together, in whatever order the parts have come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from svstorage.model import CRC_BYTES, Checksum, ChecksumAlgorithm
from svstorage.providers.base import Chunk, TellsCrc
from svstorage.strategies.base import Job


@dataclass(frozen=True, slots=True)
class _Functions:
    run: Callable[[Any, int], int]
    """(bytes, the CRC of what came before) to the CRC of all."""
    join: Callable[[int, int, int], int]
    """(one CRC, the CRC of what follows, its length in bytes) to that of both."""


@lru_cache(maxsize=1)
def _table() -> dict[str, _Functions]:
    """awscrt is an extra (``svstorage[s3]``) and takes a moment to load."""
    try:
        from awscrt import checksums
    except ImportError:
        return {}
    if not hasattr(checksums, "combine_crc64nvme"):  # before 0.31
        return {}
    return {
        "crc64nvme": _Functions(checksums.crc64nvme, checksums.combine_crc64nvme),
        "crc32c": _Functions(checksums.crc32c, checksums.combine_crc32c),
        "crc32": _Functions(checksums.crc32, checksums.combine_crc32),
    }


def computable(checksum: Checksum | None) -> bool:
    """Whether it is a CRC that can be computed here."""
    return checksum is not None and checksum.algorithm in CRC_BYTES and bool(_table())


class Crc:
    """One CRC over bytes as they come by."""

    __slots__ = ("_run", "algorithm", "length", "value")

    def __init__(self, algorithm: ChecksumAlgorithm) -> None:
        self.algorithm = algorithm
        self.value = 0
        self.length = 0
        self._run = _table()[algorithm].run

    def update(self, data: Chunk) -> None:
        self.value = self._run(data, self.value)
        self.length += len(data)

    def checksum(self) -> Checksum:
        return _checksum(self.algorithm, self.value)


def crc_of(algorithm: ChecksumAlgorithm, data: Chunk) -> Checksum:
    """The CRC of bytes in memory."""
    crc = Crc(algorithm)
    crc.update(data)
    return crc.checksum()


def joined(parts: Iterable[Crc]) -> Checksum:
    """The CRC of all parts, which are given in the order of the object. There is one at least."""
    value, algorithm = 0, None
    for part in parts:
        algorithm = algorithm or part.algorithm
        value = _table()[algorithm].join(value, part.value, part.length)
    if algorithm is None:
        raise ValueError("no parts")
    return _checksum(algorithm, value)


def _checksum(algorithm: ChecksumAlgorithm, value: int) -> Checksum:
    return Checksum(algorithm, f"{value:0{2 * CRC_BYTES[algorithm]}x}")


def wanted_crc(job: Job) -> Crc | None:
    """A CRC to run over the bytes of a job, where the destination may tell one of what it holds."""
    store = job.pair.destination.store
    if isinstance(store, TellsCrc) and store.tells_crc and _table():
        return Crc("crc64nvme")
    return None
