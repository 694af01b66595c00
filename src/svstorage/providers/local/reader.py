"""An open download of a local file that notices when the file changes under it."""

from __future__ import annotations

import os

from svstorage.errors import ObjectChanged
from svstorage.model import ObjectInfo

from .failures import failure

_ALL_AT_ONCE = 8 * 1024 * 1024


class LocalReader:
    """Bytes ``start`` to ``start + length`` of an open file; closes ``fd``.

    The file must be the same at the last byte as it was when opened (size, modification time,
    inode change time), else the read that would complete it raises `ObjectChanged`. That another
    file took its name meanwhile, or that it was deleted, counts only with ``current``: what an
    open file holds is whole. Whoever reads through `fileno` calls `check_unchanged` at the end.
    """

    __slots__ = ("_at_first", "_current", "_left", "_links", "fd", "info", "length", "start")

    def __init__(
        self,
        fd: int,
        found: os.stat_result,
        info: ObjectInfo,
        start: int,
        length: int,
        *,
        current: bool = False,
    ) -> None:
        self.fd = fd
        self.info = info
        self.start = start
        self.length = length
        self._left = length
        self._at_first = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        self._links = found.st_nlink
        self._current = current
        if start:
            os.lseek(fd, start, os.SEEK_SET)

    def fileno(self) -> int:
        return self.fd

    def read(self, size: int = -1, /) -> bytes:
        left = self._left
        if not left:
            return b""
        if size < 0:
            return self._read_all()
        try:
            data = os.read(self.fd, size if size < left else left)
        except OSError as error:
            raise failure(error, "read", self.info.entry.key) from error
        self._count(len(data), size)
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill ``buffer`` from the file; the number of bytes, 0 at the end."""
        view = memoryview(buffer)
        if len(view) > self._left:
            view = view[: self._left]
        if not view:
            return 0
        try:
            count = os.readv(self.fd, [view])
        except OSError as error:
            raise failure(error, "read", self.info.entry.key) from error
        self._count(count, len(view))
        return count

    def _read_all(self) -> bytes:
        pieces = []
        while self._left:
            pieces.append(self.read(min(self._left, _ALL_AT_ONCE)))
        return b"".join(pieces)

    def _count(self, count: int, wanted: int) -> None:
        if not count and wanted:
            raise self._changed()
        self._left -= count
        if not self._left:
            self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raises `ObjectChanged` where the file is no longer what was opened."""
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == self._at_first:
            return
        # Losing its name is a change of the inode, too.
        renamed = now.st_nlink != self._links and not self._current
        if not renamed or (now.st_size, now.st_mtime_ns) != self._at_first[:2]:
            raise self._changed()

    def _changed(self) -> ObjectChanged:
        return ObjectChanged(f"{self.info.entry.key!r}: the file changed while it was read")

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> LocalReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class LinkReader:
    """The text of a symbolic link, as ``links="copy"`` reads it."""

    __slots__ = ("_data", "info")

    def __init__(self, data: bytes, info: ObjectInfo) -> None:
        self._data = data
        self.info = info

    def read(self, size: int = -1, /) -> bytes:
        size = len(self._data) if size < 0 else size
        data, self._data = self._data[:size], self._data[size:]
        return data

    def close(self) -> None:
        self._data = b""

    def __enter__(self) -> LinkReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
