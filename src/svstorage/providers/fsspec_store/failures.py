"""From whatever an fsspec filesystem raises to our errors, naming the object."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    ConnectionFailed,
    CredentialsError,
    KeyNotSupported,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    StorageError,
)

_QUERY = re.compile(r"(\w+://[^\s?'\"]+)\?[^\s'\"]+")
_REFUSED = (errno.EACCES, errno.EPERM)
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTEMPTY, errno.EFBIG)
_ONE_NAME = (errno.EISDIR, errno.ENOTDIR)
_UNREACHABLE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)


class BodyFailed(Exception):
    """Carries an error of the bytes' source, which is none of the filesystem's, to ``put``."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


@contextmanager
def translated(doing: str, path: str, *, bucket: bool = False) -> Iterator[None]:
    """Errors of the block as ours. ``bucket``: what is missing is the bucket."""
    try:
        yield
    except (StorageError, BodyFailed):
        raise
    except Exception as error:  # each library has its own kinds; none is swallowed
        raise failure(error, doing, path, bucket=bucket) from error


def failure(error: Exception, doing: str, path: str, *, bucket: bool = False) -> StorageError:
    """Our error for ``error``.

    An error of a library's own kind counts as passing and is worth a retry: most are broken
    connections. A built-in one (`ValueError`, `TypeError` …) would come again.
    """
    said = _QUERY.sub(r"\1?***", str(error)).strip()
    text = f"{path!r}: cannot {doing}: {said or type(error).__name__}"
    code = error.errno if isinstance(error, OSError) else None
    if type(error).__name__ == "FileExpired":  # s3fs: another version than was opened
        return ObjectChanged(text)
    if isinstance(error, FileNotFoundError):
        return (BucketNotFound if bucket else ObjectNotFound)(text)
    if any(word in type(error).__name__ for word in ("Credential", "Authentication")):
        return CredentialsError(text)
    if isinstance(error, PermissionError) or code in _REFUSED:
        return AccessRefused(text)
    if isinstance(error, FileExistsError):
        return ObjectExists(text)
    if isinstance(error, (IsADirectoryError, NotADirectoryError)) or code in _ONE_NAME:
        return KeyNotSupported(f"{path!r}: this needs a file and a folder of one name ({said})")
    if code == errno.ENAMETOOLONG:
        return KeyNotSupported(f"{path[:200]!r}: the name is too long for this filesystem")
    if isinstance(error, NotImplementedError):
        return NotSupported(text)
    if isinstance(error, ConnectionRefusedError) or code in _UNREACHABLE:
        return ConnectionFailed(text)
    if isinstance(error, (ConnectionError, TimeoutError, EOFError)):
        return ServiceError(text)
    if code in _LASTING:
        return ObjectError(text)
    if not isinstance(error, OSError) and type(error).__module__ == "builtins":
        return ObjectError(f"{text} ({type(error).__name__})")
    return ServiceError(text)
