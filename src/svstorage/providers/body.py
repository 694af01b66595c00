"""Request bodies of a promised size, read from a file-like object."""

from __future__ import annotations

import hashlib
from typing import Any

from svstorage.errors import ObjectChanged

_BLOCK = 1024 * 1024


class SizedBody:
    """Hands out exactly ``size`` bytes of ``source`` or raises `ObjectChanged`.

    Whether the source has more is looked up before the last block is handed out: a request
    that is cut short stores nothing, one that is complete does.
    """

    def __init__(self, source: Any, size: int, name: str) -> None:
        self._source = source
        self._size = size
        self._name = name
        self._left = size
        self.failure: BaseException | None = None
        """What reading the source raised; the HTTP library may have taken it for its own."""
        self._start = self._tell()

    @property
    def started(self) -> bool:
        """Whether any of it was handed out."""
        return self._left != self._size

    def read(self, size: int = -1, /) -> bytes:
        if self._left <= 0:
            return b""
        try:
            return self._read(self._left if size < 0 else min(size, self._left))
        except BaseException as error:
            self.failure = error
            raise

    def _read(self, wanted: int) -> bytes:
        block: bytes = self._source.read(wanted)
        if len(block) > wanted:
            raise ValueError("read() of the body gave more than it was asked for")
        self._left -= len(block)
        if not block:
            raise ObjectChanged(
                f"{self._name}: the source ended {self._left} bytes before its size of {self._size}"
            )
        if not self._left and self._source.read(1):
            raise ObjectChanged(f"{self._name}: the source is longer than its size of {self._size}")
        return block

    def check_empty(self) -> None:
        """For a size of 0, where nobody ever reads."""
        if not self._size and self._source.read(1):
            raise ObjectChanged(f"{self._name}: the source is longer than its size of 0")

    def rewind(self) -> bool:
        """Back to where the body began; False where the source cannot."""
        if self._start is None:
            return False
        self._source.seek(self._start)
        self._left = self._size
        return True

    def sha256(self) -> str | None:
        """The digest of the whole body, or None where it can be read only once."""
        if self._start is None:
            return None
        digest = hashlib.sha256()
        while block := self.read(_BLOCK):
            digest.update(block)
        self.rewind()
        return digest.hexdigest()

    def _tell(self) -> int | None:
        seekable = getattr(self._source, "seekable", None)
        if seekable is None or not seekable():
            return None
        position: int = self._source.tell()
        return position


def whole(source: Any, size: int, name: str) -> bytearray:
    """All of a body in memory. Raises `ObjectChanged` where it is not of ``size`` bytes."""
    body = SizedBody(source, size, name)
    body.check_empty()
    held = bytearray(size)
    filled = 0
    while filled < size:
        data = body.read(min(size - filled, _BLOCK))
        held[filled : filled + len(data)] = data
        filled += len(data)
    return held
