"""From an error of the operating system to ours, naming the object and what to do."""

from __future__ import annotations

import errno

from svstorage.errors import (
    AccessRefused,
    KeyNotSupported,
    ObjectError,
    ObjectNotFound,
    ServiceError,
)

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_REFUSED = (errno.EACCES, errno.EPERM)
_ONE_NAME = (errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)
# Gone in a moment: other threads close files, a network file system finds its server again.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.EINTR)


class LinkInTheWay(ObjectError):
    """A symbolic link stands where a folder or file is needed; it is not followed."""


def link_in_the_way(key: str, link: str) -> LinkInTheWay:
    """The error for a link at ``link`` on the way to ``key``."""
    return LinkInTheWay(
        f"{key!r}: {link!r} is a symbolic link, and nothing is written or deleted through one"
    )


def file_and_folder(key: str) -> KeyNotSupported:
    """The error for ``a`` and ``a/b`` as keys of one bucket."""
    return KeyNotSupported(
        f"{key!r}: this needs a file and a folder of one name, which a local disk cannot hold"
    )


def failure(error: OSError, doing: str, key: str) -> ObjectError | AccessRefused:
    """Our error for ``error``, which happened while ``doing`` something to ``key``."""
    code = error.errno or 0
    text = f"{key!r}: cannot {doing}: "
    if code == errno.ENOENT:
        return ObjectNotFound(text + "it is not there")
    if code in _REFUSED:
        return AccessRefused(text + "the permissions of the file or folder do not allow it")
    if code in _FULL:
        return ObjectError(text + _FULL[code])
    if code == errno.EROFS:
        return ObjectError(text + "the disk is read-only")
    if code == errno.ENAMETOOLONG:
        return KeyNotSupported(text + "the name is too long for this file system")
    if code == errno.EILSEQ:
        return KeyNotSupported(text + "this file system does not accept the name")
    if code in _ONE_NAME:
        return file_and_folder(key)
    if code == errno.EFBIG:
        return ObjectError(text + "the file is larger than the file system or ulimit -f allows")
    if code in _PASSING:
        return ServiceError(text + (error.strerror or "busy"))
    return ObjectError(text + (error.strerror or str(error)))
