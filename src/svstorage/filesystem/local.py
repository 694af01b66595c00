"""The local side of downloads and uploads: names that stay inside, files that appear whole."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from svstorage.errors import KeyNotSupported, ObjectError


def local_target(root: str, relative: str) -> str:
    """The file below ``root`` for what follows the source's prefix in a key.

    Raises `KeyNotSupported` for a name that is not a plain path below ``root``, and
    `ObjectError` where a symbolic link below it stands in the way.
    """
    if not relative:
        return root
    names = relative.split("/")
    for name in names:
        if name in ("", ".", ".."):
            what = "an empty name" if not name else f"the name {name!r}"
            raise KeyNotSupported(f"{relative!r}: {what} in it cannot be a file or folder")
        if "\0" in name:
            raise KeyNotSupported(f"{relative!r}: a file name cannot hold a NUL character")
    path = root
    for name in names[:-1]:
        path = os.path.join(path, name)
        if os.path.islink(path):
            raise ObjectError(
                f"{relative!r}: {path!r} is a symbolic link, and nothing is written through one"
            )
    return os.path.join(path, names[-1])


def make_folder(path: str) -> None:
    """Raises `KeyNotSupported` where a file has the name of a folder that is needed."""
    try:
        os.makedirs(path, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise KeyNotSupported(
            f"{path!r}: this needs a file and a folder of one name, which a disk cannot hold"
        ) from None


@contextmanager
def whole_file(path: str) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends well, and vanishes when it does not."""
    folder = os.path.dirname(path)
    make_folder(folder or ".")
    if os.path.isdir(path) and not os.path.islink(path):
        raise KeyNotSupported(
            f"{path!r}: this needs a file and a folder of one name, which a disk cannot hold"
        )
    # Short, so that a name of the longest kind has room.
    draft = os.path.join(folder, f".svstorage-tmp-{secrets.token_hex(8)}~")
    try:
        with open(draft, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # after a loss of power the name must not stand for zeros
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def open_regular(path: str) -> tuple[IO[bytes], os.stat_result]:
    """Open a file for reading; never waits on a pipe. Raises `ObjectError` for what is none."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ObjectError(f"{path!r}: it is no regular file")
        return os.fdopen(fd, "rb"), found
    except BaseException:
        with suppress(OSError):
            os.close(fd)
        raise


def version(found: os.stat_result) -> tuple[int, int, int]:
    """Differs where a file was written to."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def tree(root: str, maxdepth: int | None) -> Iterator[tuple[str, Exception | None]]:
    """Everything below a folder that is no folder, as relative names, with what prevents it.

    Links to files are files; a link to a folder is a failure, because following it may not end.
    """
    failures: list[tuple[str, Exception]] = []

    def note(error: OSError) -> None:
        failures.append((os.path.relpath(error.filename or root, root), error))

    for folder, folders, files in os.walk(root, onerror=note):
        inner = os.path.relpath(folder, root)
        depth = 0 if inner == "." else inner.count(os.sep) + 1
        begin = "" if inner == "." else inner + os.sep
        for name in sorted(folders):
            if os.path.islink(os.path.join(folder, name)):
                yield begin + name, ObjectError(f"{name!r} is a symbolic link to a folder")
        for name in sorted(files):
            yield begin + name, None
        folders.sort()
        if maxdepth is not None and depth + 1 >= maxdepth:
            folders.clear()
    yield from failures
