"""The bytes of a ``put``: sent several blocks at a time, counted, and hashed where asked."""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import asyncssh

from svstorage.errors import ChecksumMismatch, ObjectChanged, ObjectError, StorageError
from svstorage_sftp.reader import AHEAD, BLOCK
from svstorage_sftp.session import Session

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body


def send(
    session: Session,
    file: asyncssh.SFTPClientFile,
    body: Buffer | Body,
    size: int,
    key: str,
    md5: bytes | None = None,
    *,
    offset: int = 0,
) -> int:
    """Write ``body`` to ``file`` from ``offset``; its CRC-32. Only exactly ``size`` bytes pass.

    Raises `ObjectChanged` for another size, `ChecksumMismatch` where ``md5`` is given and is not
    that of the bytes sent, and asyncssh's own errors.
    """
    digest = hashlib.md5(usedforsecurity=False)
    going: deque[Future[int]] = deque()
    crc = 0
    try:
        for data in _pieces(body, size, repr(key)):
            crc = zlib.crc32(data, crc)
            if md5 is not None:
                digest.update(data)
            if len(going) == AHEAD:
                going.popleft().result()
            going.append(session.submit(file.write(data, offset)))
            offset += len(data)
        while going:
            going.popleft().result()
    finally:
        # Waited for, not cancelled: asyncssh would leave the requests within them to themselves.
        for one in going:
            one.exception()
    if md5 is not None and digest.digest() != md5:
        raise ChecksumMismatch(f"{key!r}: the bytes to be stored do not have the MD5 that was told")
    return crc


def _pieces(body: Buffer | Body, size: int, name: str) -> Iterator[bytes]:
    """The bytes of a body in blocks, or `ObjectChanged` at the end, or before it if it goes on."""
    read: Any = getattr(body, "read", None)
    if read is None:
        view = memoryview(body).cast("B")  # type: ignore[arg-type]
        if len(view) != size:
            raise _wrong_size(name, size, len(view))
        for start in range(0, size, BLOCK):
            yield bytes(view[start : start + BLOCK])
        return
    given = 0
    while True:
        # At the end one more byte is asked for: a longer source must not pass as complete.
        left = size - given
        try:
            data = bytes(read(min(left, BLOCK) if left else 1))
        except StorageError:
            raise
        except OSError as error:
            raise ObjectError(f"{name}: the source cannot be read: {error}") from error
        if not data and not left:
            return
        given += len(data)
        if not data or given > size:
            raise _wrong_size(name, size, given)
        yield data


def _wrong_size(name: str, size: int, given: int) -> ObjectChanged:
    what = "more" if given > size else f"only {given}"
    return ObjectChanged(f"{name}: the source should have {size} bytes but gave {what}")
