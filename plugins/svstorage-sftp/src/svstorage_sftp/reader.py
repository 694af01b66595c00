"""An open download: blocks are asked for ahead of the reader, so that distance costs little."""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import Future

import asyncssh

from svstorage.errors import ObjectChanged
from svstorage.model import ObjectInfo
from svstorage_sftp.entries import version
from svstorage_sftp.failures import failure
from svstorage_sftp.session import Session

BLOCK = 255 * 1024
"""One request: the most that OpenSSH takes in one (limits@openssh.com); others get smaller ones."""
AHEAD = 4
"""Blocks under way at once: with a megabyte, 100 Mbit/s are filled over 80 ms of distance."""


class SftpReader:
    """Bytes ``start`` to ``start + length`` of an open file.

    The file must be the same at the last byte as it was when opened (size and time), else the
    read that would complete it raises `ObjectChanged`. A file that was replaced by another
    meanwhile is read to its end: what an open file holds is whole. ``file`` is None for the
    marker of an empty folder, which has no bytes.
    """

    def __init__(
        self,
        session: Session,
        file: asyncssh.SFTPClientFile | None,
        info: ObjectInfo,
        start: int,
        length: int,
    ) -> None:
        self.info = info
        self._session = session
        self._file = file
        self._next = start
        self._end = start + length
        self._left = length
        self._coming: deque[tuple[int, Future[bytes]]] = deque()
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(BLOCK), b""))
        if not size or not self._left:
            return b""
        if not self._rest:
            self._rest = self._block()
        data, self._rest = self._rest[:size], self._rest[size:]
        self._left -= len(data)
        if not self._left:
            self.check_unchanged()
        return data

    def _block(self) -> bytes:
        file = self._file
        if file is None:
            raise ValueError("the download is closed")
        while len(self._coming) < AHEAD and self._next < self._end:
            count = min(BLOCK, self._end - self._next)
            self._coming.append((count, self._session.submit(file.read(count, self._next))))
            self._next += count
        count, coming = self._coming.popleft()
        try:
            data = coming.result()
        except (OSError, asyncssh.Error) as error:
            raise failure(error, "read", self.info.entry.key) from error
        if len(data) != count:
            raise self._changed()
        return data

    def check_unchanged(self) -> None:
        """Raises `ObjectChanged` where the file is no longer what was opened."""
        file = self._file
        if file is None:
            return
        try:
            now = self._session.run(file.stat())
        except (OSError, asyncssh.Error) as error:
            raise failure(error, "read", self.info.entry.key) from error
        if version(now) != self.info.entry.etag:
            raise self._changed()

    def _changed(self) -> ObjectChanged:
        return ObjectChanged(f"{self.info.entry.key!r}: the file changed while it was read")

    @property
    def file(self) -> asyncssh.SFTPClientFile:
        """The open file, for a copy on the server itself; see `check_unchanged`."""
        if self._file is None:
            raise ValueError("the download is closed")
        return self._file

    def close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        # Waited for, not cancelled: asyncssh would leave the requests within them to themselves.
        for _, coming in self._coming:
            coming.exception()
        self._coming.clear()
        # Its handle goes with the connection in any case.
        with contextlib.suppress(OSError, asyncssh.Error):
            self._session.run(file.close())

    def __enter__(self) -> SftpReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
