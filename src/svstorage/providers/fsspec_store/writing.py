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
import hashlib
import math
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fsspec import AbstractFileSystem

from svstorage.errors import ChecksumMismatch, KeyNotSupported, ObjectChanged
from svstorage.providers.fsspec_store import traits
from svstorage.providers.fsspec_store.failures import BodyFailed

MIB = 1 << 20
SMALL = 8 * MIB
_CHUNK = 1 * MIB
_PARTS = 9000  # of the 10,000 that S3 allows
_DRAFT = re.compile(r"\.svstorage-tmp-[0-9a-f]{16}~")

Lock = Callable[[], contextlib.AbstractContextManager[Any]]


def is_draft(path: str) -> bool:
    """Whether a path is that of an unfinished write, which listings leave out."""
    return _DRAFT.fullmatch(path.rpartition("/")[2]) is not None


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes to write: exactly ``size`` of them, with the digest ``md5`` where it is given."""

    body: Any
    size: int
    path: str
    md5: bytes | None = None

    def pieces(self) -> Iterator[bytes]:
        """All of it. Raises `ObjectChanged` or `ChecksumMismatch`, at the latest after the last
        piece; an error of the body itself comes as `BodyFailed`."""
        digest = hashlib.md5(usedforsecurity=False)
        left = self.size
        for piece in self._read():
            left -= len(piece)
            if left < 0:
                raise ObjectChanged(f"{self.path!r}: the source has more than {self.size} bytes")
            digest.update(piece)
            yield piece
        if left:
            raise ObjectChanged(f"{self.path!r}: the source ended {left} bytes early")
        if self.md5 is not None and digest.digest() != self.md5:
            raise ChecksumMismatch(f"{self.path!r}: the bytes are not those announced (MD5)")

    def _read(self) -> Iterator[bytes]:
        if not hasattr(self.body, "read"):
            view = memoryview(self.body).cast("B")
            for start in range(0, len(view), SMALL):
                yield bytes(view[start : start + SMALL])
            return
        left = self.size
        while True:
            try:
                # One byte more than announced, so that a source that has grown is noticed.
                piece = bytes(self.body.read(min(left, _CHUNK) or 1))
            except Exception as error:
                raise BodyFailed(error) from error
            if not piece:
                return
            left -= min(left, len(piece))
            yield piece


def write(fs: AbstractFileSystem, lock: Lock, content: Content, *, create: bool) -> None:
    """Store ``content``, or raise and leave what was there.

    ``create``: filesystems that can check that nothing is there yet do so in the same request.
    """
    path, size = content.path, content.size
    inner = traits.innermost(fs)
    one_call = traits.brings(inner, "pipe_file")
    if one_call and size <= SMALL:
        data = b"".join(content.pieces())
        with lock():
            _refuse_folder(fs, path)
            fs.pipe_file(path, data, **({"mode": "create"} if create and inner.async_impl else {}))
        return
    if not inner.async_impl:
        _by_rename(fs, lock, content)
        return
    block = max(SMALL, math.ceil(size / _PARTS))
    # Not `open`, which would make the file part of a transaction of all threads.
    file = inner._open(
        traits.inner_path(fs, path), "xb" if create else "wb", block_size=block, autocommit=False
    )
    if traits.publishes_on_commit(file):
        _by_commit(file, content)
        return
    file.closed = True  # nothing was sent, and its destructor must not
    _by_upload(fs, content)


def _by_commit(file: Any, content: Content) -> None:
    try:
        for chunk in content.pieces():
            file.write(chunk)
        file.close()
        file.commit()
    except BaseException:
        file.closed = True
        file.discard()
        raise


def _by_upload(fs: AbstractFileSystem, content: Content) -> None:
    with tempfile.NamedTemporaryFile(prefix="svstorage-") as spool:
        for chunk in content.pieces():
            spool.write(chunk)
        spool.flush()
        fs.put_file(spool.name, content.path)


def _by_rename(fs: AbstractFileSystem, lock: Lock, content: Content) -> None:
    path, size = content.path, content.size
    folder, slash, _ = path.rpartition("/")
    draft = f"{folder}{slash}.svstorage-tmp-{secrets.token_hex(8)}~"
    file: Any = None
    try:
        with lock():
            file = _opened(fs, draft, folder)
        for chunk in content.pieces():
            with lock():
                file.write(chunk)
        with lock():
            file.close()
            stored = fs.info(draft)["size"]
            if stored != size:
                raise ObjectChanged(f"{path!r}: {stored} bytes of {size} were stored")
            _refuse_folder(fs, path)
            move(fs, draft, path)
    except BaseException:
        with lock(), contextlib.suppress(Exception):  # the first error is the one to tell
            if file is not None and not file.closed:
                file.close()
            fs.rm_file(draft)
        raise


def _opened(fs: AbstractFileSystem, draft: str, folder: str) -> Any:
    for _ in range(3):  # a folder may be tidied away just after it was made
        try:
            return fs.open(draft, "wb")
        except FileNotFoundError:
            fs.makedirs(folder, exist_ok=True)
    return fs.open(draft, "wb")


def _refuse_folder(fs: AbstractFileSystem, path: str) -> None:
    """Raise `KeyNotSupported` where a tree has a folder: some would move the file into it."""
    if not traits.innermost(fs).async_impl and fs.isdir(path):
        raise KeyNotSupported(f"{path!r}: this needs a file and a folder of one name")


def move(fs: AbstractFileSystem, source: str, target: str) -> None:
    """Rename, or copy and delete where there is no rename."""
    if traits.brings(traits.innermost(fs), "mv"):
        fs.mv(source, target)
    else:
        fs.cp_file(source, target)
        fs.rm_file(source)
