"""Listings of any fsspec filesystem: everything that is there, or said to be missing.

fsspec's own ``find`` and ``walk`` leave out, without a word, each folder that cannot be read. So
folders are walked here. Only where a filesystem brings a ``find`` of its own (object stores,
which then list flat and with exact keys) that one is used; it holds the whole listing in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from svstorage.errors import BucketNotFound, KeyNotSupported, ObjectNotFound, StorageError
from svstorage.model import CommonPrefix, Entry, Problem, key_order
from svstorage.providers.fsspec_store import traits, writing
from svstorage.providers.fsspec_store.failures import translated
from svstorage.providers.fsspec_store.info import entry_of

Info = Mapping[str, Any]
Found = Entry | CommonPrefix | Problem


class Lister:
    """Lists one bucket. ``path`` maps a key to a path and refuses what cannot be one."""

    def __init__(
        self,
        fs: Any,
        lock: Callable[[], Any],
        root: str,
        path: Callable[[str], str],
    ) -> None:
        self._fs = fs
        self._lock = lock
        self._root = root
        """The path of the bucket."""
        self._path = path

    def all(self, prefix: str, start_after: str) -> Iterator[Entry | Problem]:
        """Every object whose key begins with ``prefix`` and sorts after ``start_after``."""
        folder = prefix[: prefix.rfind("/") + 1]
        after = key_order(start_after)
        if not self._can_name(folder):
            return  # nothing can be there
        flat = traits.brings(traits.innermost(self._fs), "find")
        for item in self._flat(folder) if flat else self._walk(folder):
            if not item.key.startswith(prefix):
                continue
            if isinstance(item, Problem) or not start_after or key_order(item.key) > after:
                yield item

    def level(self, prefix: str) -> Iterator[Found]:
        """What lies directly below ``prefix``, which is empty or ends in ``/`` for a folder."""
        folder = prefix[: prefix.rfind("/") + 1]
        if not self._can_name(folder):
            return
        empty = True
        for item in self._level(folder):
            empty = False
            key = item.prefix if isinstance(item, CommonPrefix) else item.key
            if key.startswith(prefix):
                yield item
        if empty and folder and prefix == folder:
            yield Entry(folder, 0)  # an empty folder, as its marker

    def _walk(self, folder: str) -> Iterator[Entry | Problem]:
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            empty = True
            try:
                for item in self._level(here):
                    empty = False
                    if isinstance(item, CommonPrefix):
                        waiting.append(item.prefix)
                    else:
                        yield item
            except ObjectNotFound as error:
                if here == folder:
                    return
                yield Problem(here, f"the folder vanished while it was listed ({error})")
                continue
            except PermissionError as error:
                if here == folder:
                    raise
                yield Problem(here, str(error))
                continue
            if empty and here:
                yield Entry(here, 0)  # an empty folder, as its marker

    def _level(self, folder: str) -> Iterator[Found]:
        where = self._where(folder)
        with self._lock(), translated("list", where or "/"):
            self._fs.invalidate_cache()
            infos = list(self._fs.ls(where, detail=True))
        for info in infos:
            key = self._key_of(info)
            if key is None or (info["type"] == "directory" and f"{key}/" == folder):
                continue  # a file listed as itself, or the folder's own marker
            if info["type"] == "directory":
                inner = key if key.endswith("/") else f"{key}/"
                if len(inner) <= len(folder) or not self._can_name(inner):
                    yield Problem(inner, "this filesystem cannot list a folder of this name")
                else:
                    yield CommonPrefix(inner)
                continue
            found = self._file(key, info)
            if found is not None:
                yield found

    def _flat(self, folder: str) -> Iterator[Entry | Problem]:
        where = self._where(folder)
        inner = traits.innermost(self._fs)
        with self._lock(), translated("list", where or "/"):
            self._fs.invalidate_cache()
            found = self._fs.find(where, detail=True, withdirs=False)
            # Asked by itself: fsspec's memory would tell of the folder of a name instead of the
            # file. Object stores have no empty folders to tell of.
            inside = {} if inner.async_impl else self._fs.find(where, detail=True, withdirs=True)
        for info in found.values():
            key = self._key_of(info)
            item = self._file(key, info) if key is not None and key.startswith(folder) else None
            if item is not None:
                yield item
        names = sorted({*found, *inside})
        for at, name in enumerate(names):
            if name in inside and inside[name]["type"] == "directory" and not _has_more(names, at):
                key = self._key_of(inside[name])
                if key is not None and f"{key}/".startswith(folder):
                    yield Entry(f"{key}/", 0)

    def _where(self, folder: str) -> str:
        return self._path(folder[:-1]) if folder else self._root

    def _key_of(self, info: Info) -> str | None:
        name: str = info["name"]
        start = self._root if self._root.endswith("/") or not self._root else f"{self._root}/"
        if not name.startswith("/") and start.startswith("/"):
            name = f"/{name}"
        return name[len(start) :] or None if name.startswith(start) else None

    def _can_name(self, folder: str) -> bool:
        try:
            self._where(folder)
        except KeyNotSupported:
            return False
        return True

    def _file(self, key: str, info: Info) -> Entry | Problem | None:
        if writing.is_draft(key):
            return None
        if key.endswith("/") and not info.get("size"):
            return Entry(key, 0)
        try:
            path = self._path(key)
            if info["type"] != "file" or info.get("size") is None:
                # A link, or a listing without sizes: the object itself tells.
                with self._lock(), translated("look at", path):
                    info = self._fs.info(path)
        except BucketNotFound:
            raise
        except StorageError as error:
            return Problem(key, str(error))
        if info["type"] == "directory":
            return Problem(key, "it is a link to a folder, which is not followed")
        if info["type"] != "file":
            return Problem(key, "it is no regular file", "skipped")
        if info.get("size") is None:
            return Problem(key, "its size is not told")
        return entry_of(key, info)


def _has_more(names: list[str], at: int) -> bool:
    """Whether anything lies below the folder ``names[at]``; ``names`` are sorted."""
    folder = f"{names[at]}/"
    for name in names[at + 1 :]:
        if name.startswith(folder):
            return True
        if name > folder:
            return False
    return False
