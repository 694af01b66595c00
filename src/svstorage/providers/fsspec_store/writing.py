"""Writes that are whole or not there, on filesystems whose ``close`` publishes what there is.

Four ways, the first that fits:

1. Small, and the filesystem stores bytes in one call (``pipe_file`` of its own, as object stores
   have): that call.
2. A file that stays unseen until ``commit`` (s3fs, gcsfs): commit when all bytes were right.
3. An object store without that (adlfs): by way of a temporary file of this machine, because only
   then nothing can fail between the first byte and the last but the upload itself.
4. Everything else (SFTP, FTP …): under a temporary name beside the final one, then renamed.
"""

from __future__ import annotations

import contextlib
import math
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from fsspec import AbstractFileSystem

from svstorage.errors import ObjectChanged
from svstorage.providers.fsspec_store import traits

if TYPE_CHECKING:
    from svstorage.providers.base import Chunk

MIB = 1 << 20
SMALL = 8 * MIB
_CHUNK = 1 * MIB
_PARTS = 9000  # of the 10,000 that S3 allows
_DRAFT = re.compile(r"\.svstorage-tmp-[0-9a-f]{16}~")

Lock = Callable[[], contextlib.AbstractContextManager[Any]]


def is_draft(path: str) -> bool:
    """Whether a path is that of an unfinished write, which listings leave out."""
    return _DRAFT.fullmatch(path.rpartition("/")[2]) is not None


def write(
    fs: AbstractFileSystem, lock: Lock, path: str, body: Any, size: int, *, create: bool
) -> None:
    """Store ``size`` bytes of ``body`` at ``path``, or raise and leave what was there.

    ``create``: filesystems that can check that nothing is there yet do so in the same request.
    """
    inner = traits.innermost(fs)
    one_call = traits.brings(inner, "pipe_file")
    if one_call and size <= SMALL:
        data = b"".join(_exactly(body, size, path))
        with lock():
            fs.pipe_file(path, data, **({"mode": "create"} if create and inner.async_impl else {}))
        return
    if not inner.async_impl:
        _by_rename(fs, lock, path, body, size)
        return
    block = max(SMALL, math.ceil(size / _PARTS))
    # Not `open`, which would make the file part of a transaction of all threads.
    file = inner._open(
        traits.inner_path(fs, path), "xb" if create else "wb", block_size=block, autocommit=False
    )
    if traits.publishes_on_commit(file):
        _by_commit(file, body, size, path)
        return
    file.closed = True  # nothing was sent, and its destructor must not
    _by_upload(fs, path, body, size)


def _by_commit(file: Any, body: Any, size: int, path: str) -> None:
    try:
        for chunk in _exactly(body, size, path):
            file.write(chunk)
        file.close()
        file.commit()
    except BaseException:
        file.closed = True
        file.discard()
        raise


def _by_upload(fs: AbstractFileSystem, path: str, body: Any, size: int) -> None:
    with tempfile.NamedTemporaryFile(prefix="svstorage-") as spool:
        _fill(spool, body, size, path)
        spool.flush()
        fs.put_file(spool.name, path)


def _by_rename(fs: AbstractFileSystem, lock: Lock, path: str, body: Any, size: int) -> None:
    folder, slash, _ = path.rpartition("/")
    draft = f"{folder}{slash}.svstorage-tmp-{secrets.token_hex(8)}~"
    file: Any = None
    try:
        with lock():
            file = _opened(fs, draft, folder)
        for chunk in _exactly(body, size, path):
            with lock():
                file.write(chunk)
        with lock():
            file.close()
            stored = fs.info(draft)["size"]
            if stored != size:
                raise ObjectChanged(f"{path!r}: {stored} bytes of {size} were stored")
            move(fs, draft, path)
    except BaseException:
        with lock(), contextlib.suppress(Exception):  # the first error is the one to tell
            if file is not None and not file.closed:
                file.close()
            fs.rm_file(draft)
        raise


def _opened(fs: AbstractFileSystem, draft: str, folder: str) -> Any:
    try:
        return fs.open(draft, "wb")
    except FileNotFoundError:
        fs.makedirs(folder, exist_ok=True)
        return fs.open(draft, "wb")


def move(fs: AbstractFileSystem, source: str, target: str) -> None:
    """Rename, or copy and delete where there is no rename."""
    if traits.brings(traits.innermost(fs), "mv"):
        fs.mv(source, target)
    else:
        fs.cp_file(source, target)
        fs.rm_file(source)


def _exactly(body: Any, size: int, path: str) -> Iterator[Any]:
    """The body in pieces. Raises `ObjectChanged` where it is shorter or longer than ``size``."""
    if not hasattr(body, "read"):
        view = memoryview(body).cast("B")
        if len(view) != size:
            raise ObjectChanged(f"{path!r}: {len(view)} bytes were given for {size}")
        for start in range(0, size, SMALL):
            yield bytes(view[start : start + SMALL])
        return
    left = size
    while left:
        chunk: Chunk = body.read(min(left, _CHUNK))
        if not chunk:
            raise ObjectChanged(f"{path!r}: the source ended {left} bytes early")
        left -= memoryview(chunk).nbytes
        if left < 0:
            raise ObjectChanged(f"{path!r}: the source has more than {size} bytes")
        yield bytes(chunk)
    if body.read(1):
        raise ObjectChanged(f"{path!r}: the source has more than {size} bytes")


def _fill(file: IO[bytes], body: Any, size: int, path: str) -> None:
    for chunk in _exactly(body, size, path):
        file.write(chunk)
