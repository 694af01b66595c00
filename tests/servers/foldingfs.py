"""A real file system that folds names: ``python foldingfs.py FOLDER MOUNTPOINT case,forms``.

It passes everything on to FOLDER, by FUSE, and keeps the spelling of names. ``case``: ``A`` and
``a`` are one name, as on vfat and SMB; ``forms``: the Unicode forms of a name are one, as on
case-sensitive APFS; both: macOS by default. Needs /dev/fuse, libfuse2 and mfusepy, and root.
"""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from typing import Any

import mfusepy

_TIMES = ("st_atime", "st_mtime", "st_ctime")
_OTHERS = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_ino", "st_blocks", "st_dev")


class FoldingFileSystem(mfusepy.Operations):
    """FOLDER under names that fold."""

    use_ns = True

    def __init__(self, folder: str, folds: str) -> None:
        self._folder = folder
        self._case, self._forms = "case" in folds, "forms" in folds

    def _fold(self, name: str) -> str:
        if self._forms:
            name = unicodedata.normalize("NFD", name)
        return name.casefold() if self._case else name

    def _real(self, path: str) -> str:
        at = self._folder
        for name in path.split("/")[1:]:
            if name and not os.path.lexists(os.path.join(at, name)) and os.path.isdir(at):
                folded = self._fold(name)
                name = next((n for n in os.listdir(at) if self._fold(n) == folded), name)
            at = os.path.join(at, name)
        return at

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.fstat(fh) if fh is not None else os.lstat(self._real(path))
        values = {name: getattr(found, name) for name in _OTHERS}
        return values | {name: getattr(found, name + "_ns") for name in _TIMES}

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        with os.scandir(self._real(path)) as scan:
            # Entries without an inode number are taken for deleted ones.
            return [(entry.name, {"st_ino": entry.inode()}, 0) for entry in scan]

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path: str, flags: int) -> int:
        return os.open(self._real(path), flags)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(self._real(path) if fh is None else fh, length)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        os.fsync(fh)

    def release(self, path: str, fh: int) -> None:
        os.close(fh)

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._real(path), mode)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._real(path))

    def unlink(self, path: str) -> None:
        os.unlink(self._real(path))

    def rename(self, old: str, new: str) -> None:
        os.rename(self._real(old), self._real(new))

    def link(self, target: str, source: str) -> None:
        os.link(self._real(source), self._real(target), follow_symlinks=False)

    def symlink(self, target: str, source: str) -> None:
        os.symlink(source, self._real(target))

    def readlink(self, path: str) -> str:
        return os.readlink(self._real(path))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._real(path), mode)

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        os.utime(self._real(path), ns=times, follow_symlinks=False)

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        raise mfusepy.FuseOSError(errno.ENOTSUP)

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._folder)
        return {name: getattr(found, name) for name in dir(found) if name.startswith("f_b")}


if __name__ == "__main__":
    # Nothing is remembered by the kernel, which would answer for the one spelling and not for
    # the other. Unlinked files that are open are really gone, not renamed.
    mfusepy.FUSE(
        FoldingFileSystem(sys.argv[1], sys.argv[3]),
        sys.argv[2],
        foreground=True,
        nothreads=True,
        entry_timeout=0,
        attr_timeout=0,
        use_ino=True,
        hard_remove=True,
        big_writes=True,
        fsname="svstorage-folding",
    )
