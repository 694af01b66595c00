"""An open download through any fsspec filesystem."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from svstorage.errors import ObjectChanged, ServiceError
from svstorage.model import ObjectInfo
from svstorage.providers.fsspec_store.failures import translated

_MOST_AT_ONCE = 8 << 20


class FsspecReader:
    """Bytes ``start`` to ``start + length`` of one version of an object.

    Most libraries cannot ask for a version. So the object is looked at again after its last
    byte: where it is another one by then, that read raises `ObjectChanged`.
    """

    def __init__(
        self,
        file: Any,
        info: ObjectInfo,
        path: str,
        start: int,
        length: int,
        *,
        lock: Callable[[], contextlib.AbstractContextManager[Any]],
        look: Callable[[], ObjectInfo],
    ) -> None:
        self.info = info
        self._file = file
        self._path = path
        self._at = start
        self._left = length
        self._lock = lock
        self._look = look
        self._checked = False

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            pieces = []
            while piece := self.read(_MOST_AT_ONCE):
                pieces.append(piece)
            return b"".join(pieces)
        wanted = min(size, self._left)
        data = b""
        if wanted:
            with self._lock(), translated("read", self._path):
                # Some libraries hand the same file to all who open it (fsspec's memory does).
                if self._file.tell() != self._at:
                    self._file.seek(self._at)
                data = bytes(self._file.read(wanted))
            if not data:
                self._check()
                raise ServiceError(f"{self._path!r}: the download ended {self._left} bytes early")
            self._at += len(data)
            self._left -= len(data)
        if not self._left:
            self._check()
        return data

    def _check(self) -> None:
        if self._checked:
            return
        self._checked = True
        now, then = self._look().entry, self.info.entry
        if (now.etag, now.size) != (then.etag, then.size):
            raise ObjectChanged(f"{self._path!r}: it changed while it was read")

    def close(self) -> None:
        with self._lock(), translated("close", self._path):
            self._file.close()

    def __enter__(self) -> FsspecReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
