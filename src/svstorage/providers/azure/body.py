"""Bodies of a promised size, read once from a file-like object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage.errors import ObjectChanged

if TYPE_CHECKING:
    from svstorage.providers.base import Body

_BLOCK = 1024 * 1024


class CountedBody:
    """Hands out exactly ``size`` bytes of ``source`` or raises `ObjectChanged`.

    Whether the source goes on is asked before the last block is handed out: a request that
    breaks off stores nothing, a complete one does.
    """

    def __init__(self, source: Body, size: int, name: str) -> None:
        self._name = name
        self._source = source
        self._size = size
        self._left = size
        self.failure: BaseException | None = None
        """What the source raised, so that a failing disk is not taken for a failing network."""

    @property
    def started(self) -> bool:
        return self._left != self._size

    def read(self, size: int = -1, /) -> bytes | bytearray | memoryview:
        try:
            return self._next(size)
        except BaseException as error:
            self.failure = error
            raise

    def check_end(self) -> None:
        """For a size of 0, where nobody reads."""
        if not self._left and self._source.read(1):
            raise ObjectChanged(
                f"{self._name}: the source is longer than its size of {self._size} bytes"
            )

    def _next(self, size: int) -> bytes | bytearray | memoryview:
        if not self._left:
            return b""
        data = self._source.read(self._left if size < 0 else min(size, self._left))
        if not data:
            raise ObjectChanged(
                f"{self._name}: the source ended {self._left} bytes short of {self._size}"
            )
        self._left -= len(data)
        self.check_end()
        return data


def whole(source: Body, size: int, name: str) -> bytearray:
    """All of a body in memory. Raises `ObjectChanged` where it is not of ``size`` bytes."""
    body = CountedBody(source, size, name)
    body.check_end()
    held = bytearray(size)
    filled = 0
    while filled < size:
        data = body.read(min(size - filled, _BLOCK))
        held[filled : filled + len(data)] = data
        filled += len(data)
    return held
