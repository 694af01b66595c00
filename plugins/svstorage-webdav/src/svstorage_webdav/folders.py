"""Folders: made on the way to a file, and removed once they are empty, never with what is in them.

A DELETE of a folder takes along all that it holds (RFC 4918, section 9.6.1), and there is no other
way to remove one. An empty folder is therefore first moved aside, looked at again where nobody
else writes, and only then deleted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection

from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ObjectError,
    ObjectNotFound,
    ServiceError,
    StorageError,
)
from svstorage.providers.target import Target
from svstorage_webdav.keys import Path, draft_name, shown
from svstorage_webdav.wire import Wire, refusal

_REMEMBERED = 10_000


class Folders:
    """The folders below the root. Remembers which are there; `forget` where that proved wrong."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._known: set[Path] = set()
        self._lock = threading.Lock()

    def require_bucket(self, path: Path) -> None:
        """Raises `BucketNotFound`."""
        bucket = path[:1]
        if bucket not in self._known:
            row = self._wire.look(Target("look at", bucket[0]), bucket)
            if row is None or not row.is_folder:
                raise BucketNotFound(f"{shown(bucket[0])}: there is no such bucket")
            self._remember(bucket)

    def ensure(self, path: Path) -> None:
        """Make the folder and those above it, but for the bucket."""
        self.require_bucket(path)
        for depth in range(2, len(path) + 1):
            folder = path[:depth]
            if folder not in self._known:
                self._make(folder)
                self._remember(folder)

    def _make(self, folder: Path) -> None:
        target = Target("make the folder", folder[0], "/".join(folder[1:]) + "/")
        response = self._wire.send(target, "MKCOL", folder, folder=True)
        self._wire.done(response)
        if response.status == 201:
            return
        if response.status in (401, 403, 429, 503, 507):
            raise refusal(target, response.status, response.headers)
        row = self._wire.look(target, folder)
        if row is not None and row.is_folder:
            return
        if row is not None:
            raise KeyNotSupported(
                f"{target}: there is a file of this name: a server of files cannot hold both"
            )
        if response.status in (404, 409):
            self.forget(folder[0])
            raise ServiceError(f"{target}: the folder above it vanished meanwhile")
        raise refusal(target, response.status, response.headers)

    def _remember(self, path: Path) -> None:
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known.add(path)

    def forget(self, bucket: str) -> None:
        """All that is known of a bucket: a request that relied on it failed."""
        with self._lock:
            self._known = {path for path in self._known if path[0] != bucket}

    def is_empty(self, target: Target, path: Path) -> bool:
        """Whether a folder holds nothing at all. Raises `ObjectNotFound`."""
        # Read to its end where it is empty: only then is it known to be the whole answer.
        for _ in self._wire.children(target, path):
            return False
        return True

    def remove_empty(self, path: Path) -> bool:
        """Remove a folder; False where it is not there, not empty, or has to stay."""
        target = Target("remove the folder", path[0], "/".join(path[1:]) + "/")
        try:
            if not self.is_empty(target, path):
                return False
        except ObjectNotFound:
            return False
        self.forget(path[0])
        aside = (*path[:-1], draft_name())
        try:
            moved = self._wire.relocate(target, "MOVE", path, aside, overwrite=False, folder=True)
        except ObjectError:
            return False  # it vanished, or is in use: an empty folder harms nobody
        if moved in (412, 423):
            return False
        if self.is_empty(target, aside):
            self._wire.status(target, "DELETE", aside, folder=True, expected=(200, 204, 404))
            return True
        # Something was written there between the first look and the move: back with it.
        back = self._wire.relocate(target, "MOVE", aside, path, overwrite=False, folder=True)
        if back in (412, 423):
            raise ServiceError(
                f"{target}: files were written to it meanwhile; they are in {aside[-1]} beside it"
            )
        return False

    def prune(self, folders: Collection[Path]) -> None:
        """Remove these folders and those above them as far as they are empty, buckets never."""
        waiting = {folder[:depth] for folder in folders for depth in range(2, len(folder) + 1)}
        kept: set[Path] = set()
        for folder in sorted(waiting, key=lambda path: (-len(path), path)):
            if folder not in kept and not self.remove_empty(folder):
                kept |= {folder[:depth] for depth in range(2, len(folder))}

    def discard(self, path: Path) -> None:
        """Remove a file in the making. A failure is no news: listings leave it out."""
        target = Target("remove the unfinished", path[0], path[-1])
        with contextlib.suppress(StorageError):
            self._wire.status(target, "DELETE", path, expected=(200, 204, 404))
