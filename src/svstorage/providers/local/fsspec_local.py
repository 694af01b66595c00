"""The fsspec view of the local disk: fsspec's own, except that files appear whole or not at all.

For programs that want fsspec's `LocalFileSystem` (``Storage.provider_fs``); copies and ``sv://``
go through `LocalStore`. Links are followed as fsspec follows them.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from typing import TYPE_CHECKING, Any

from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from .content import copy_file
from .draft import Draft
from .folders import TO_SYNC

if TYPE_CHECKING:
    from typing_extensions import Buffer


class WholeFile(io.BufferedIOBase):
    """A file open for writing that takes its name when it is closed.

    `discard`, or leaving a ``with`` block by an exception, leaves the old file as it was.
    """

    def __init__(self, path: str, *, overwrite: bool = True) -> None:
        folder = os.open(os.path.dirname(path), TO_SYNC & ~os.O_NOFOLLOW)
        try:
            self._draft = Draft(folder)
        except BaseException:
            os.close(folder)
            raise
        self._name = os.fsencode(os.path.basename(path))
        self._overwrite = overwrite
        self._dropped = False
        self._file = io.BufferedWriter(io.FileIO(self._draft.fd, "wb", closefd=False))

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        return self._file.write(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        return self._file.truncate(size)

    def flush(self) -> None:
        if not self._dropped:  # io's own close() flushes once more
            self._file.flush()

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        """Write to disk and give the file its name; raises `OSError` and keeps the old file."""
        if self.closed:
            return
        try:
            self._file.flush()
            os.fsync(self._draft.fd)
            self._draft.publish(self._name, overwrite=self._overwrite, sync_names=True)
        finally:
            self.discard()

    def discard(self) -> None:
        """Drop what was written and not published."""
        if self._dropped:
            return
        self._dropped = True
        self._draft.close()
        with contextlib.suppress(OSError):  # what the buffer still held was to be dropped
            self._file.detach()
        super().close()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if "_file" in self.__dict__ and not self.closed:
            self.discard()
            warnings.warn(
                f"{self._name!r} was not closed; what was written to it is dropped",
                ResourceWarning,
                stacklevel=2,
            )


class WholeFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """`LocalFileSystem` with atomic writes and copies. Appending and ``r+`` stay in place."""

    cachable = False

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **options: Any) -> Any:
        path = self._strip_protocol(path)
        if mode not in ("wb", "xb"):
            return super()._open(path, mode, block_size, **options)
        if self.auto_mkdir:
            self.makedirs(self._parent(path), exist_ok=True)
        if os.path.isdir(path):
            raise IsADirectoryError(path)
        return WholeFile(path, overwrite=mode == "wb")

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        if not self.isfile(path1):
            super().cp_file(path1, path2, **options)
            return
        with open(path1, "rb") as source, self._open(path2, "wb") as target:
            size = os.fstat(source.fileno()).st_size
            copy_file(source.fileno(), target.fileno(), size, path2)


class FolderFileSystem(DirFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """`DirFileSystem` that lets no ``..`` lead out of its folder."""

    def _join(self, path: Any) -> Any:
        for one in [path] if isinstance(path, str) else path:
            if ".." in one.split("/"):
                raise ValueError(f"{one!r}: '..' is no name of a file")
        return super()._join(path)


def folder_filesystem(root: str) -> FolderFileSystem:
    """The filesystem whose paths are ``bucket/key`` below ``root``."""
    return FolderFileSystem(path=root, fs=WholeFileSystem(auto_mkdir=True))
