"""Looks at both sides and at the memory, in one order, and puts the three together by key."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from svstorage.jupyter.folder import Folder
from svstorage.jupyter.ignore import Ignore
from svstorage.jupyter.manifest import Base
from svstorage.jupyter.place import Target
from svstorage.model import CommonPrefix, Entry, Problem, key_order
from svstorage.providers.local.store import LocalStore
from svstorage.strategies.base import End
from svstorage.transfer.ahead import ReadAhead
from svstorage.transfer.listing import listed

_BASE, _LOCAL, _REMOTE = range(3)


T = TypeVar("T")


def _there(value: T | None, key: str) -> T:
    if value is None:
        raise LookupError(f"{key}: the verdict does not go with what was seen")
    return value


@dataclass(slots=True)
class Seen:
    """One file as it is on both sides and as it was when they were last in step.

    Keys are relative to the folder; ``remote.key`` is the full one in the bucket.
    """

    key: str
    base: Base | None = None
    local: Entry | None = None
    remote: Entry | None = None

    @property
    def file(self) -> Entry:
        """The local file, where the verdict says that there is one."""
        return _there(self.local, self.key)

    @property
    def object(self) -> Entry:
        """The object, likewise."""
        return _there(self.remote, self.key)

    @property
    def row(self) -> Base:
        """The last common state, likewise."""
        return _there(self.base, self.key)


@dataclass(slots=True)
class Sides:
    """What was learnt of the sides as a whole while looking."""

    local_files: int = 0
    remote_files: int = 0
    local_trusted: bool = True
    remote_trusted: bool = True
    problems: dict[str, str] = field(default_factory=dict)
    """Key -> why it is left out."""
    left_out: dict[str, str] = field(default_factory=dict)
    """The same for things that never were files, such as links: nothing to worry about."""

    def covers(self, one: Seen) -> bool:
        """Whether the file, or a folder that holds it, is one that could not be looked at.

        What never was a file here and is one in the storage becomes a problem by that: it would
        be missing without a word.
        """
        key = one.key.rstrip("/")
        while key:
            if key in self.problems:
                return True
            if key in self.left_out:
                if one.remote is not None:
                    reason = self.left_out[key]
                    self.problems[key] = f"{reason}; what the storage holds there is not fetched"
                return True
            key = key.rpartition("/")[0]
        return False

    def note(self, problem: Problem, key: str, side: str) -> None:
        key = key.rstrip("/")
        if problem.severity == "skipped":
            self.left_out[key] = problem.reason
            return
        self.problems[key] = problem.reason
        if side == "local":
            self.local_trusted = False
        else:
            self.remote_trusted = False


def local_files(folder: Folder, ignore: Ignore) -> Iterator[Entry | Problem]:
    """The files of the folder that are not ignored, in byte order of their keys.

    Ignored folders are not entered. Symbolic links are told, not followed: a folder of data sets
    that a link leads to is no work of this folder. Empty folders are not told.
    """
    store = LocalStore.for_folder(folder.root, links="skip")

    def walk(prefix: str) -> Iterator[Entry | Problem]:
        for item in store.list_level("", prefix):
            if isinstance(item, CommonPrefix):
                if not ignore.look_into(folder.root, item.prefix):
                    yield from walk(item.prefix)
            elif isinstance(item, Problem):
                name = item.key
                if not (ignore.folder(name) if name.endswith("/") else ignore.key(name)):
                    yield item
            elif not item.key.endswith("/") and not ignore.key(item.key):
                yield item

    return walk("")


def remote_files(target: Target) -> Iterator[Entry | Problem]:
    """Everything below the prefix, as the storage lists it; folder markers are no files."""
    end = End(target.storage.store, target.bucket, target.prefix, location=target.base)
    for item in listed(end):
        if isinstance(item, Problem) or not item.is_folder_marker:
            yield item


def joined(
    base: Iterable[Base],
    local: Iterable[Entry | Problem],
    remote: Iterable[Entry | Problem],
    *,
    prefix: str,
    ignore: Ignore,
    sides: Sides,
) -> Iterator[Seen]:
    """Each key that any of the three knows, once, in byte order. Writes into ``sides``.

    All of it must have been read before anything is done: what could not be looked at is known
    only at the end, and an error on the way ends everything.
    """

    def row(which: int, key: str, item: Any) -> tuple[bytes, int, str, Any]:
        return key_order(key), which, key, item

    streams = (
        (row(_BASE, item.key, item) for item in base),
        (row(_LOCAL, item.key, item) for item in local),
        (row(_REMOTE, item.key[len(prefix) :], item) for item in remote),
    )
    merged = heapq.merge(*streams, key=lambda one: one[:2])
    for _, group in groupby(merged, key=lambda one: one[0]):
        seen: Seen | None = None
        for _, which, key, item in group:
            if isinstance(item, Problem):
                if which == _LOCAL or not ignore.key(key):
                    sides.note(item, key, "local" if which == _LOCAL else "remote")
                continue
            seen = seen or Seen(key)
            if which == _BASE:
                seen.base = item
            elif which == _LOCAL:
                seen.local = item
                sides.local_files += 1
            elif not ignore.key(key):
                seen.remote = item
                sides.remote_files += 1
        if seen is not None and (seen.local or seen.remote or seen.base):
            yield seen


def read_ahead(make: Callable[[], Iterator[Entry | Problem]]) -> ReadAhead[Entry | Problem]:
    """The storage's listing, fetched while the folder is walked."""
    return ReadAhead(make, "jupyter-list")
