"""Puts the bytes of a body, or of another file, into an open file, and counts them."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from svstorage.errors import ChecksumMismatch, ObjectChanged, ObjectError, StorageError

from .failures import failure

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

BLOCK = 1024 * 1024

# ioctl_ficlone(2): the new file shares the blocks of the old one until either is written.
_FICLONE = 0x40049409
_NO_SHARING = (
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EBADF,
    errno.EPERM,
    errno.ETXTBSY,
)


def write_body(fd: int, body: Buffer | Body, size: int, md5: bytes | None, key: str) -> None:
    """Write ``body`` to ``fd``. Only a body of exactly ``size`` bytes passes.

    Raises `ObjectChanged` for another size, `ChecksumMismatch` where ``md5`` is given and is
    not that of the bytes written, and what `failure` makes of a write that fails.
    """
    name = repr(key)
    if md5 is None:
        for view in _pieces(body, size, name):
            _write_all(fd, view, key)
        return
    digest = hashlib.md5(usedforsecurity=False)
    for view in _pieces(body, size, name):
        digest.update(view)
        _write_all(fd, view, key)
    if digest.digest() != md5:
        raise ChecksumMismatch(f"{name}: the bytes that arrived do not have the MD5 that was sent")


def write_part(fd: int, body: Buffer | Body, size: int, offset: int, name: str) -> None:
    """Write ``body`` at ``offset``.

    Raises `ObjectChanged` for a body of another size, and `OSError`.
    """
    for view in _pieces(body, size, name):
        write_at(fd, view, offset)
        offset += len(view)


def _pieces(body: Buffer | Body, size: int, name: str) -> Iterator[memoryview]:
    """The bytes of a body, or `ObjectChanged` at the end, or before it where it goes on."""
    read: Any = getattr(body, "read", None)
    if read is None:
        view = memoryview(body).cast("B")  # type: ignore[arg-type]
        if len(view) != size:
            raise _wrong_size(name, size, len(view))
        if size:
            yield view
        return
    given = 0
    while True:
        # At the end one more byte is asked for: a longer source must not pass as complete.
        left = size - given
        try:
            data = read(min(left, BLOCK) if left else 1)
        except StorageError:
            raise
        except OSError as error:
            raise ObjectError(
                f"{name}: the source cannot be read: {error.strerror or error}"
            ) from error
        view = memoryview(data).cast("B")
        if not view and not left:
            return
        given += len(view)
        if not view or given > size:
            raise _wrong_size(name, size, given)
        yield view


def _wrong_size(name: str, size: int, given: int) -> ObjectChanged:
    what = "more" if given > size else f"only {given}"
    return ObjectChanged(f"{name}: the source should have {size} bytes but gave {what}")


def _write_all(fd: int, view: memoryview, key: str) -> None:
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise failure(error, "write", key) from error


def write_at(fd: int, view: memoryview, offset: int) -> None:
    """Write all of ``view`` at ``offset``. Raises `OSError`."""
    while view:
        count = os.pwrite(fd, view, offset)
        view = view[count:]
        offset += count


def copy_file(source: int, target: int, size: int, key: str) -> None:
    """Copy ``size`` bytes from the start of one open file to another, the quickest way there is:
    shared blocks, else inside the kernel, else through memory.

    Raises `ObjectChanged` where the source is shorter, and what `failure` makes of errors.
    """
    try:
        if _share(source, target):
            return
        done = _copy_in_kernel(source, target, size)
        while done < size:
            data = os.pread(source, min(BLOCK, size - done), done)
            if not data:
                raise ObjectChanged(f"{key!r}: the source became shorter while it was copied")
            write_at(target, memoryview(data), done)
            done += len(data)
    except StorageError:
        raise
    except OSError as error:
        raise failure(error, "copy", key) from error


def _share(source: int, target: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _NO_SHARING:
            return False
        raise
    return True


def _copy_in_kernel(source: int, target: int, size: int) -> int:
    if not hasattr(os, "copy_file_range"):
        return 0
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source, target, size - done, done, done)
        except OSError as error:
            # Not between these two file systems.
            if not done and error.errno in _NO_SHARING:
                return 0
            raise
        if not count:
            break
        done += count
    return done
