"""Disks on which two names are one: ``A`` and ``a``, or two Unicode forms of ``é``.

macOS, SMB, vfat and ext4 with ``casefold`` fold so. There the kernel opens ``A`` for whoever asks
for ``a``, while keys are exact: before a name is used, what has it must be spelled so. Only a
listing of its folder tells, which is read on folding disks alone, and kept for two seconds.

Whether a folder folds is asked once, of a name that is there anyway (that of a draft, which has
letters): under the other case nothing may be found. So nothing is made for it. A disk that folds
Unicode forms and no case (case-sensitive APFS) is not recognised.

From the look until the name is taken the folder is locked (``flock``), so that of two threads or
processes of this machine never both get it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from svstorage import forks
from svstorage.errors import KeyNotSupported

from .folders import TO_SYNC, open_below
from .keys import KeyPath

_FRESH_S = 2.0
_MOST_NAMES = 100_000
"""Names kept of all folders together: some 10 MB."""


class _Listings:
    """Names lately seen in folders. They only ever say that a name *is* there."""

    def __init__(self) -> None:
        self._held: dict[bytes, tuple[float, set[bytes]]] = {}
        self._count = 0
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def holds(self, where: bytes, folder: int, name: bytes) -> bool:
        """Whether the folder has an entry of exactly this name. Raises `OSError`."""
        with self._lock:
            seen = self._held.get(where)
            if seen and time.monotonic() - seen[0] < _FRESH_S and name in seen[1]:
                return True
            began = time.monotonic()
            names = set(_entries(folder))
            self._count += len(names) - (len(seen[1]) if seen else 0)
            if self._count > _MOST_NAMES:
                self._held.clear()
                self._count = len(names)
            self._held[where] = began, names
            return name in names

    def add(self, where: bytes, name: bytes) -> None:
        with self._lock:
            seen = self._held.get(where)
            if seen and name not in seen[1]:
                seen[1].add(name)
                self._count += 1

    def forget(self, where: bytes, name: bytes) -> None:
        with self._lock:
            seen = self._held.get(where)
            if seen and name in seen[1]:
                seen[1].remove(name)
                self._count -= 1

    def __bool__(self) -> bool:
        return bool(self._held)


_LISTINGS = _Listings()


def shows(folder: int, name: bytes) -> bool | None:
    """Whether names fold in this open folder, as ``name`` tells, which may be in it.

    None where it cannot tell: it is not there, or has no letters. Raises `OSError`.
    """
    twin = name.swapcase()  # of bytes: ASCII letters only
    if twin == name:
        return None
    if not _exists(folder, twin):
        return False if _exists(folder, name) else None
    # Both may be there on a disk that keeps them apart.
    return not {name, twin} <= set(_entries(folder))


@contextlib.contextmanager
def taking(
    open_base: Callable[[], int], folder: int, where: bytes, path: KeyPath
) -> Iterator[None]:
    """Around the call that gives an object its name in ``folder``, which folds names.

    ``open_base`` opens the bucket, and ``where`` is its path.
    Raises `KeyNotSupported` where a name of ``path`` is taken by one spelled otherwise.
    """
    with _locked(folder):
        check_free(open_base(), where, path)
        yield
        _LISTINGS.add(b"/".join((where, *path.parents)), path.name)


def check_free(base: int, where: bytes, path: KeyPath) -> None:
    """The look of `taking` alone, from the open bucket, which is closed. Who then takes the name
    has to look again."""
    other = _first_other(base, where, (*path.parents, path.name), path.key)
    if other is not None:
        name, held = os.fsdecode(other[0]), other[1]
        raise KeyNotSupported(
            f"{path.key!r}: this disk takes {name!r} and {held} for one name, and "
            f"{held} is there already, which stays as it is"
        )


def is_spelled(base: int, where: bytes, names: Sequence[bytes], key: str) -> bool:
    """Whether every one of ``names``, from ``base`` down, is what it is called; closes ``base``.

    Raises `OSError` where one is missing.
    """
    return _first_other(base, where, names, key) is None


def forget(where: bytes, names: Sequence[bytes]) -> None:
    """Says that the last of ``names`` below ``where`` is gone."""
    if _LISTINGS:
        _LISTINGS.forget(b"/".join((where, *names[:-1])), names[-1])


def _first_other(
    base: int, where: bytes, names: Sequence[bytes], key: str
) -> tuple[bytes, str] | None:
    """The first of ``names`` that leads to something of another name, and that."""
    folder = base
    try:
        for depth, name in enumerate(names):
            other = _other(folder, where, name)
            if other is not None:
                return name, other
            if depth < len(names) - 1:
                step, folder = folder, -1
                folder = open_below(step, (name,), key)
                where += b"/" + name
        return None
    finally:
        if folder >= 0:
            os.close(folder)


@contextlib.contextmanager
def _locked(folder: int) -> Iterator[None]:
    # A description of its own: one that was duplicated shares its lock, and a step has none.
    fd = os.open(b".", TO_SYNC, dir_fd=folder)
    try:
        with contextlib.suppress(OSError):  # no locks here (some network file systems)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _entries(folder: int) -> list[bytes]:
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
    for entry in _entries(folder):
        if entry == name:
            return None  # it came just now
        if _fold(entry) == folded:
            return repr(os.fsdecode(entry))
    # Gone since, or folded by a rule of the disk's own.
    return "another spelling of it" if _exists(folder, name) else None


def _fold(name: bytes) -> str:
    text = unicodedata.normalize("NFD", os.fsdecode(name)).casefold()
    return unicodedata.normalize("NFC", text)


def _exists(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
