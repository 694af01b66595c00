"""Disks on which two names are one: ``A`` and ``a``, or two Unicode forms of ``é``.

macOS, SMB, vfat and ext4 with ``casefold`` fold so. There the kernel opens ``A`` for whoever asks
for ``a``, while keys are exact: before a name is used, what has it must be spelled so. Only a
listing of its folder tells, which is read on folding disks alone, and kept for two seconds.

One lock for the whole process is held from that look until the name is taken, so that two threads
never both get it. Between processes there is no such lock.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
import unicodedata
from collections.abc import Sequence

from svstorage.errors import KeyNotSupported

from .folders import STEP, TO_SYNC, open_below
from .keys import KeyPath, temporary_name

LOCK = threading.Lock()

_FRESH_S = 2.0
_MOST_NAMES = 100_000
"""Names kept of all folders together: some 10 MB."""
_PROBE = "Aé"
_PROBE_TWINS = ("aé", unicodedata.normalize("NFD", _PROBE))


class _Listings:
    """Names lately seen in folders. They only ever say that a name *is* there."""

    def __init__(self) -> None:
        self._held: dict[bytes, tuple[float, set[bytes]]] = {}
        self._count = 0
        self._lock = threading.Lock()

    def holds(self, where: bytes, folder: int, name: bytes) -> bool:
        """Whether the folder has an entry of exactly this name. Raises `OSError`."""
        with self._lock:
            seen = self._held.get(where)
            if seen and time.monotonic() - seen[0] < _FRESH_S and name in seen[1]:
                return True
            began = time.monotonic()
            names = set(entries(folder))
            self._count += len(names) - (len(seen[1]) if seen else 0)
            if self._count > _MOST_NAMES:
                self._held.clear()
                self._count = len(names)
            self._held[where] = began, names
            return name in names

    def forget(self, where: bytes, name: bytes) -> None:
        with self._lock:
            seen = self._held.get(where)
            if seen and name in seen[1]:
                seen[1].remove(name)
                self._count -= 1

    def __bool__(self) -> bool:
        return bool(self._held)


_LISTINGS = _Listings()


def folds(folder: int) -> bool | None:
    """Whether the disk of this open folder folds names, found out by a file of our own.

    None where nothing can be made in it, so that it cannot be known.
    """
    # A folder under our temporary name keeps the file, whose own name must have other forms, out
    # of every listing.
    name = temporary_name("tmp", secrets.token_hex(8))
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except OSError:
        return None
    inner = -1
    try:
        inner = os.open(name, STEP, dir_fd=folder)
        os.close(os.open(_PROBE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=inner))
        return any(_exists(inner, twin) for twin in _PROBE_TWINS)
    except OSError:
        return None
    finally:
        if inner >= 0:
            with contextlib.suppress(OSError):
                os.unlink(_PROBE, dir_fd=inner)
            os.close(inner)
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=folder)


def shows_folding(folder: int, name: bytes) -> bool | None:
    """The same found out without writing, by a name that exists: under another case it must not.

    None where that name cannot tell. A disk that folds Unicode forms alone is not recognised.
    """
    twin = name.swapcase()  # of bytes: ASCII letters only
    if twin == name or not _exists(folder, name):
        return None
    if not _exists(folder, twin):
        return False
    return not {name, twin} <= set(entries(folder))


def check_free(folder: int, where: bytes, name: bytes, key: str) -> None:
    """Let pass only a name that nothing has, or that is exactly the name of what has it.

    ``where`` is the path of ``folder``. Raises `KeyNotSupported`, and `OSError`.
    """
    other = _other(folder, where, name)
    if other is not None:
        raise KeyNotSupported(
            f"{key!r}: this disk takes {os.fsdecode(name)!r} and {other} for one name, and "
            f"{other} is there already, which stays as it is"
        )


def open_exactly(
    base: int, where: bytes, path: KeyPath, *, sync: bool = False, made: list[int] | None = None
) -> int:
    """`open_below` with ``create``, through folders of exactly the names of ``path``.

    The object's own name is looked at too, before its bytes are fetched.
    """
    folder = base
    try:
        for depth, name in enumerate(path.parents):
            made_here: list[int] = []
            with LOCK:
                check_free(folder, where, name, path.key)
                step, folder = folder, -1
                folder = open_below(step, (name,), path.key, create=True, sync=sync, made=made_here)
            if made_here and made is not None:
                made.append(depth)
            where += b"/" + name
        check_free(folder, where, path.name, path.key)
    except BaseException:
        if folder >= 0:
            os.close(folder)
        raise
    return folder


def is_spelled(base: int, where: bytes, names: Sequence[bytes], key: str) -> bool:
    """Whether every one of ``names``, from ``base`` down, is what it is called; closes ``base``.

    Raises `OSError` where one is missing.
    """
    folder = base
    try:
        for depth, name in enumerate(names):
            if _other(folder, where, name) is not None:
                return False
            if depth < len(names) - 1:
                step, folder = folder, -1
                folder = open_below(step, (name,), key)
                where += b"/" + name
        return True
    finally:
        if folder >= 0:
            os.close(folder)


def forget(where: bytes, names: Sequence[bytes]) -> None:
    """Says that the last of ``names`` below ``where`` is gone."""
    if _LISTINGS:
        _LISTINGS.forget(b"/".join((where, *names[:-1])), names[-1])


def entries(folder: int) -> list[bytes]:
    """The names in an open folder, as they are spelled."""
    # A second descriptor: the one given may be a mere step, and listing moves the position in it.
    fd = os.open(b".", TO_SYNC, dir_fd=folder)
    try:
        return [os.fsencode(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def _other(folder: int, where: bytes, name: bytes) -> str | None:
    """What is really there under ``name``, where that is spelled otherwise."""
    if not _exists(folder, name) or _LISTINGS.holds(where, folder, name):
        return None
    folded = _fold(name)
    for entry in entries(folder):
        if entry == name:
            return None  # it came just now
        if _fold(entry) == folded:
            return repr(os.fsdecode(entry))
    # Gone since, or folded by a rule of the disk's own.
    return "another spelling of it" if _exists(folder, name) else None


def _fold(name: bytes) -> str:
    text = unicodedata.normalize("NFD", os.fsdecode(name)).casefold()
    return unicodedata.normalize("NFC", text)


def _exists(folder: int, name: bytes | str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
