"""From a path to the store, bucket and key that it means, linked storages included."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from svstorage import addresses, forks
from svstorage.errors import UsageError
from svstorage.filesystem.connection import Connection
from svstorage.filesystem.paths import Location, folder_path, locate
from svstorage.providers.base import ObjectStore


@dataclass(frozen=True, slots=True)
class Place:
    """``bucket`` and ``key`` are the store's own; ``at`` keeps the name of a linked storage."""

    store: ObjectStore
    bucket: str
    key: str
    at: Location

    @property
    def prefix(self) -> str:
        return self.at.folder_prefix

    def path_of(self, key: str) -> str:
        return f"{self.at.bucket}/{key}"

    def folder_of(self, prefix: str) -> str:
        return folder_path(self.at.bucket, prefix)

    def same_object(self, other: Place) -> bool:
        return (self.bucket, self.key) == (other.bucket, other.key) and (
            self.store is other.store or self.store.identity == other.store.identity
        )


class Places:
    """Finds places; linked storages are connected when first used."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._linked: dict[str, Connection] = {}
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def find(self, path: object) -> Place:
        at = locate(path)
        name, mark, bucket = at.bucket.rpartition("@")
        if not mark:
            return Place(self._connection.store, at.bucket, at.key, at)
        if not name:
            raise UsageError("the path names no storage before the @. Write NAME@bucket/key")
        return Place(self._link(name).store, bucket, at.key, at)

    def _link(self, name: str) -> Connection:
        with self._lock:
            found = self._linked.get(name)
        if found is not None:
            return found
        from svstorage.links import Links
        from svstorage.storage import connect

        links = Links.from_settings(self._connection.storage.settings)
        made = Connection(connect(settings=links.named(name).settings), None, {})
        with self._lock:
            return self._linked.setdefault(name, made)


def shown(path: str) -> str:
    """A path as messages show it."""
    return addresses.display(f"sv://{path}")
