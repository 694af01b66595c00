"""Walks the tree below a bucket in byte order of the keys, lazily, one PROPFIND for each folder.

A folder sorts as ``name/``. The names of one folder are in memory at a time, and those not yet
visited of the folders above it. What cannot be an object is told as a `Problem`, never dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from svstorage.errors import AccessRefused, CredentialsError, ObjectNotFound, ServiceError
from svstorage.model import CommonPrefix, Entry, Problem
from svstorage.providers.target import Target
from svstorage_webdav.folders import Folders
from svstorage_webdav.keys import Path, is_draft
from svstorage_webdav.multistatus import Row
from svstorage_webdav.wire import Wire

_DRAFT_SECONDS = 86_400
_TRIES = 6
_PAUSE = 0.02
_Name = tuple[bytes, Row | Problem]


def entry_of(key: str, row: Row) -> Entry:
    """A file as an object; a folder as the marker that its key is."""
    if row.is_folder:
        return Entry(key, 0, row.modified_ns)
    return Entry(key, row.size or 0, row.modified_ns, row.etag, row.checksum)


class Walk:
    """A walk below one bucket."""

    def __init__(self, wire: Wire, folders: Folders, bucket: str) -> None:
        self._wire = wire
        self._folders = folders
        self._bucket = bucket

    def objects(self, prefix: bytes, after: bytes) -> Iterator[Entry | Problem]:
        """Every object of the bucket, deep, in order of the keys."""
        start = prefix[: prefix.rfind(b"/") + 1]
        names = self._start(start)
        if names is None:
            return
        if not names and start and start > after:
            yield from self._marker(start)
        stack: list[tuple[bytes, list[_Name]]] = [(start, names)]
        while stack:
            key, names = stack[-1]
            if not names:
                stack.pop()
                continue
            name, row = names.pop()
            full = key + name
            if not (full.startswith(prefix) or prefix.startswith(full)):
                continue
            if full <= after and not (name.endswith(b"/") and after.startswith(full)):
                continue
            if isinstance(row, Problem):
                yield row
            elif not row.is_folder:
                yield entry_of(full.decode(), row)
            else:
                inner = self._scan(full)
                if isinstance(inner, Problem):
                    yield inner
                elif inner:
                    stack.append((full, inner))
                elif full > after:
                    yield entry_of(full.decode(), row)

    def level(self, prefix: bytes) -> Iterator[Entry | CommonPrefix | Problem]:
        """The objects and folders that begin with ``prefix``, no deeper than its level."""
        start = prefix[: prefix.rfind(b"/") + 1]
        names = self._start(start)
        if names is None:
            return
        if not names and start:
            yield from self._marker(start)
        for name, row in reversed(names):
            full = start + name
            if not full.startswith(prefix):
                continue
            if isinstance(row, Problem):
                yield row
            elif row.is_folder:
                yield CommonPrefix(full.decode())
            else:
                yield entry_of(full.decode(), row)

    def _start(self, key: bytes) -> list[_Name] | None:
        """The names in the folder where a walk begins; None where there is no such folder."""
        if key and any(
            name in (b"", b".", b"..") or b"\0" in name for name in key[:-1].split(b"/")
        ):
            return None
        try:
            return self._names(key)
        except ObjectNotFound:
            return None

    def _marker(self, key: bytes) -> Iterator[Entry]:
        row = self._wire.look(self._target(key), self._path(key))
        if row is not None and row.is_folder:
            yield entry_of(key.decode(), row)

    def _scan(self, key: bytes) -> list[_Name] | Problem:
        try:
            return self._names(key)
        except ObjectNotFound:
            return Problem(key.decode(), "the folder vanished while it was listed")
        except CredentialsError:
            raise
        except AccessRefused as error:
            return Problem(key.decode(), f"the folder cannot be read: {error}")

    def _names(self, key: bytes) -> list[_Name]:
        """What is in a folder, the last name first, so that what is done with can be let go."""
        for attempt in range(_TRIES):
            try:
                return self._asked(key)
            except ServiceError:
                # rclone and WsgiDAV break off a listing of which a file vanishes meanwhile, as
                # those in the making do all the time while others write to the folder.
                if attempt + 1 == _TRIES:
                    raise
                time.sleep(_PAUSE * 2**attempt)
        raise AssertionError("the last try returns or raises")

    def _asked(self, key: bytes) -> list[_Name]:
        path = self._path(key)
        found: list[_Name] = []
        for name, row in self._wire.children(self._target(key), path):
            if is_draft(name.decode("utf-8", "replace")):
                found += self._leftover(key, path, name.decode(), row)
            else:
                found.append(self._named(key, name, row))
        found.sort(key=lambda one: one[0], reverse=True)
        return found

    def _named(self, key: bytes, name: bytes, row: Row) -> _Name:
        reason = None
        try:
            name.decode()
        except UnicodeDecodeError:
            reason = "its name is not UTF-8, which WebDAV cannot ask for"
        if b"/" in name or b"\0" in name or name in (b".", b".."):
            reason = "its name would lead elsewhere"
        elif row.status != 200:
            reason = f"the server answers {row.status} for it"
        elif not row.is_folder and row.size is None:
            reason = "the server tells no size of it"
        if reason:
            return name, Problem((key + name).decode("utf-8", "surrogateescape"), reason)
        return (name + b"/" if row.is_folder else name), row

    def _leftover(self, key: bytes, path: Path, name: str, row: Row) -> list[_Name]:
        """A file or folder in the making: no object. One that nobody touched for a day goes."""
        if row.modified_ns is None or time.time() - row.modified_ns / 1e9 < _DRAFT_SECONDS:
            return []
        draft = (*path, name)
        if not row.is_folder:
            self._folders.discard(draft)
        elif not self._folders.remove_empty(draft):
            reason = "files were written to it while it was removed as empty: move them by hand"
            return [(name.encode(), Problem(key.decode() + name, reason))]
        return []

    def _path(self, key: bytes) -> Path:
        return (self._bucket, *(name for name in key.decode().split("/") if name))

    def _target(self, key: bytes) -> Target:
        return Target("list", self._bucket, key.decode() or None)
