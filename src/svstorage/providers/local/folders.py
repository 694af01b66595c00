"""Ways through folders that no symbolic link can bend.

``openat2`` with ``RESOLVE_NO_SYMLINKS`` where the kernel has it (Linux 5.6) and all folders are
there; else ``openat`` with ``O_NOFOLLOW`` for every name below the root, which also tells what
stands in the way. The root itself may be a link.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Sequence

from .failures import file_and_folder, link_in_the_way
from .openat2 import open_beneath

_NO_LINK = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_PATH needs no read permission and is all that a step on the way takes.
STEP = _NO_LINK | getattr(os, "O_PATH", os.O_RDONLY)
TO_SYNC = _NO_LINK | os.O_RDONLY

_MODE = 0o777


def open_base(path: bytes, *, may_be_link: bool, flags: int = STEP) -> int:
    """Open the folder where keys begin. Raises `OSError`."""
    return os.open(path, flags & ~os.O_NOFOLLOW if may_be_link else flags)


def open_below(
    base: int,
    names: Sequence[bytes],
    key: str,
    *,
    create: bool = False,
    sync: bool = False,
    made: list[int] | None = None,
) -> int:
    """Open the folder ``names`` below ``base`` and close ``base``; the answer is the caller's.

    With ``create``, folders that are missing are made (and, with ``sync``, written to disk), and
    their places in ``names`` added to ``made``.
    Raises `OSError` and `LinkInTheWay`; where a file stands in the way, `KeyNotSupported` with
    ``create``, else `FileNotFoundError`.
    """
    folder = base
    flags = TO_SYNC if create else STEP
    if len(names) > 1:
        whole = open_beneath(base, b"/".join(names), flags)
        if whole >= 0:
            os.close(base)
            return whole
    for depth, name in enumerate(names):
        try:
            try:
                inner = _open_one(folder, name, flags)
            except FileNotFoundError:
                if not create:
                    raise
                if _make(folder, name, sync) and made is not None:
                    made.append(depth)
                inner = os.open(name, flags, dir_fd=folder)
        except NotADirectoryError:
            raise _in_the_way(folder, names, depth, key, create) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _in_the_way(folder, names, depth, key, create) from None
            raise
        finally:
            os.close(folder)
        folder = inner
    return folder


class LastFolder(threading.local):
    """The folder that a thread has used last, open for its next object, which often lies there.

    Only for a moment: a folder may be moved away, and another one get its name. And only where
    it was switched `on`, by a thread that works on many objects one after another and says when
    it has done: in a hundred threads, descriptors that are merely kept would run out.
    """

    SECONDS = 0.05

    def __init__(self) -> None:
        self.on = False
        self._fd = -1
        self._name: object = None
        self._until = 0.0

    def get(self, name: object) -> int:
        """A descriptor of that folder, which is the caller's, or -1."""
        if self._name != name or time.monotonic() > self._until:
            return -1
        return os.dup(self._fd)

    def keep(self, name: object, folder: int) -> None:
        """Remember the folder; ``folder`` stays the caller's."""
        if not self.on:
            return
        self.drop()
        self._fd, self._name = os.dup(folder), name
        self._until = time.monotonic() + self.SECONDS

    def drop(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._name = -1, None


def _open_one(folder: int, name: bytes, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except PermissionError:
        # A folder that may be written but not read.
        if flags == STEP:
            raise
        return os.open(name, STEP, dir_fd=folder)


def _make(folder: int, name: bytes, sync: bool) -> bool:
    """Make a folder; False where somebody else was quicker."""
    try:
        os.mkdir(name, _MODE, dir_fd=folder)
    except FileExistsError:
        return False
    if sync:
        sync_folder(folder)
    return True


def _in_the_way(
    folder: int, names: Sequence[bytes], depth: int, key: str, create: bool
) -> Exception:
    mode = os.stat(names[depth], dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return link_in_the_way(key, os.fsdecode(b"/".join(names[: depth + 1])))
    return file_and_folder(key) if create else FileNotFoundError(errno.ENOENT, "no such folder")


def sync_folder(folder: int) -> None:
    """Write the names in a folder to disk; some file systems have no such thing."""
    try:
        os.fsync(folder)
    except OSError as error:
        # EBADF: opened only as a step. EINVAL: not on this file system (FUSE, network).
        if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOTSUP):
            raise
