"""Looking: what is there, and where it is. Nothing is cached."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from glob import has_magic
from hashlib import sha256
from typing import Any

from fsspec.spec import AbstractFileSystem

from svstorage.errors import KeyNotSupported, ObjectNotFound, StorageError
from svstorage.filesystem import listing, paths
from svstorage.filesystem.connection import Connection
from svstorage.filesystem.listing import Info
from svstorage.filesystem.places import Place, Places, shown
from svstorage.filesystem.retry import retrying


class Looking(AbstractFileSystem):  # type: ignore[misc]
    """Listings, and the questions about one path."""

    _connection: Connection
    _places: Places

    def info(self, path: Any, **kwargs: Any) -> Info:
        place = self._places.find(path)
        if not place.at.key:
            return self._bucket_info(place)
        if place.key.endswith("/"):
            return self._folder_or_object(place)
        found = self._head(place)
        if found is not None:
            return found
        if self._has_any(place):
            return listing.folder_info(place.at.folder_path)
        raise not_found(place)

    def _bucket_info(self, place: Place) -> Info:
        if place.at.bucket and not retrying(lambda: place.store.bucket_exists(place.bucket)):
            raise not_found(place)
        return listing.folder_info(place.at.path)

    def _folder_or_object(self, place: Place) -> Info:
        found = self._head(place)
        if found is not None and found["size"]:
            return found
        if found is not None or self._has_any(place):
            return listing.folder_info(place.at.folder_path)
        raise not_found(place)

    def _head(self, place: Place) -> Info | None:
        try:
            known = retrying(lambda: place.store.head(place.bucket, place.key))
        except (ObjectNotFound, KeyNotSupported):
            return None
        return listing.file_info(place.path_of(known.entry.key), known.entry)

    def _has_any(self, place: Place) -> bool:
        try:
            return retrying(lambda: listing.has_any(place))
        except ObjectNotFound:
            return False

    def exists(self, path: Any, **kwargs: Any) -> bool:
        """Unlike fsspec's own, raises where the storage does not tell (refused, unreachable)."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: Any) -> bool:
        place = self._places.find(path)
        if not place.at.key:
            return False
        found = self._head(place)
        return found is not None and (not place.key.endswith("/") or found["size"] > 0)

    def isdir(self, path: Any) -> bool:
        """True where anything lies below, also where an object has the very name."""
        place = self._places.find(path)
        if not place.at.bucket:
            return True
        if not place.at.key:
            return bool(retrying(lambda: place.store.bucket_exists(place.bucket)))
        return self._has_any(place)

    def ls(self, path: Any, detail: bool = True, **kwargs: Any) -> list[Any]:
        """The folder's content; for an object that is no folder, the object itself."""
        place = self._places.find(path)
        if not place.at.bucket:
            buckets = retrying(place.store.list_buckets)
            infos = [listing.bucket_info(bucket) for bucket in buckets]
        else:
            infos = retrying(lambda: listing.level(place))
            if not infos and place.at.key:
                infos = [info for info in [self.info(path)] if info["type"] == "file"]
        infos.sort(key=lambda info: info["name"])
        return infos if detail else [info["name"] for info in infos]

    def find(
        self,
        path: Any,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **kwargs: Any,
    ) -> Any:
        """All objects below a path; the path itself where it is an object and no folder.

        Where an object and a folder have one name, the object is what is told. ``prefix`` is
        what the names below the path begin with, as s3fs, adlfs and gcsfs have it.
        """
        check_depth(maxdepth)
        found = self._found(path, maxdepth, withdirs, listing.note_problem)
        if prefix:
            folder = self._places.find(path).at.folder_path
            beginning = f"{folder}/{prefix}" if folder else prefix
            found = {name: info for name, info in found.items() if name.startswith(beginning)}
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    def _found(
        self, path: Any, maxdepth: int | None, withdirs: bool, on_problem: listing.OnProblem
    ) -> dict[str, Info]:
        place = self._places.find(path)
        found: dict[str, Info] = {}
        if not place.at.bucket:
            for bucket in self.ls(""):
                if withdirs:
                    found[bucket["name"]] = bucket
                if maxdepth is None or maxdepth > 1:
                    rest = None if maxdepth is None else maxdepth - 1
                    found.update(self._found(bucket["name"], rest, withdirs, on_problem))
            return found
        try:
            infos = retrying(lambda: list(listing.below(place, maxdepth, on_problem)))
        except ObjectNotFound:
            infos = []
        for info in infos:
            if info["type"] == "file":
                found[info["name"]] = info
            elif withdirs:
                found.setdefault(info["name"], info)
        if infos:
            if withdirs:
                found.setdefault(place.at.folder_path, listing.folder_info(place.at.folder_path))
            return found
        try:
            itself = self.info(path)
        except FileNotFoundError:
            return {}
        if withdirs or itself["type"] == "file":
            found[itself["name"]] = itself
        return found

    def walk(
        self,
        path: Any,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        **kwargs: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        check_depth(maxdepth)
        detail = kwargs.pop("detail", False)
        place = self._places.find(path)
        try:
            infos = self.ls(path)
        except (OSError, StorageError) as error:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(error)
            return
        here = place.at.folder_path
        start = len(place.prefix) + len(place.at.bucket) + 1 if place.at.bucket else 0
        folders = {i["name"][start:]: i for i in infos if i["type"] == "directory"}
        files = {i["name"][start:]: i for i in infos if i["type"] == "file"}
        names: Any = folders if detail else list(folders)
        if topdown:
            yield here, names, files if detail else list(files)
        if maxdepth is None or maxdepth > 1:
            rest = None if maxdepth is None else maxdepth - 1
            for name in list(names) if topdown else folders:
                inner = folders[name]["name"]
                yield from self.walk(inner, rest, topdown, on_error, detail=detail)
        if not topdown:
            yield here, names, files if detail else list(files)

    def du(
        self,
        path: Any,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Bytes below a path, by the listing alone."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def modified(self, path: Any) -> datetime:
        info = self.info(path)
        if "LastModified" not in info:
            raise IsADirectoryError(errno.EISDIR, "a folder has no modification time", str(path))
        date: datetime = info["LastModified"]
        return date

    def created(self, path: Any) -> datetime:
        """When this version was stored: object stores replace whole objects, so it is the time
        of the last change."""
        return self.modified(path)

    def checksum(self, path: Any) -> int:
        """A number that another version of the object has not; no digest of its content."""
        return int(self.ukey(path)[:32], 16)

    def ukey(self, path: Any) -> str:
        info = self.info(path)
        known = [info["name"], info["size"], info.get("ETag"), str(info.get("LastModified"))]
        return sha256(repr(known).encode("utf-8", "surrogatepass")).hexdigest()

    def sign(self, path: Any, expiration: int = 100, **kwargs: Any) -> str:
        """A URL that works for ``expiration`` seconds without credentials: a secret.

        ``method="PUT"`` makes one for an upload.
        """
        place = self._object(path)
        method = kwargs.pop("method", "GET")
        refuse(kwargs, "sign")
        return place.store.presign(place.bucket, place.key, expires=expiration, method=method)

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        found = self._expanded(
            path, recursive, maxdepth, listing.note_problem, literal=assume_literal
        )
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return sorted(found)

    def _expanded(
        self,
        path: Any,
        recursive: bool,
        maxdepth: int | None,
        on_problem: listing.OnProblem,
        literal: bool = False,
    ) -> dict[str, Info | None]:
        """Paths with what is known of them; None where nobody looked."""
        check_depth(maxdepth)
        found: dict[str, Info | None] = {}
        for one in path if isinstance(path, (list, tuple, set)) else [path]:
            text = paths.text_of(one)
            if not literal and self._is_pattern(text):
                matches = self.glob(text, maxdepth=maxdepth, detail=True)
                found.update(matches)
                if recursive and (maxdepth is None or maxdepth > 1):
                    rest = None if maxdepth is None else maxdepth - 1
                    for name, info in matches.items():
                        if info["type"] == "directory":
                            found.update(self._found(name, rest, True, on_problem))
            elif recursive:
                inner = self._found(one, maxdepth, True, on_problem)
                found.update(inner)
                # An object that has the name of the folder is part of the tree.
                if inner and self.isfile(text):
                    found[text] = self.info(text)
            else:
                found[paths.locate(one).folder_path if text.endswith("/") and not self.isfile(one)
                      else text] = None  # fmt: skip
        return found

    def _is_pattern(self, text: str) -> bool:
        """Whether a path is a glob; not where there is an object of just that name."""
        return has_magic(text) and not (paths.locate(text).key and self.isfile(text))

    def _object(self, path: Any) -> Place:
        place = self._places.find(path)
        if not place.at.key:
            what = "Is a bucket" if place.at.bucket else "Is the whole storage"
            raise IsADirectoryError(errno.EISDIR, what, place.at.path)
        return place

    def _existing(self, place: Place) -> Info:
        info = self._head(place)
        if info is None:
            raise not_found(place)
        return info


def not_found(place: Place) -> ObjectNotFound:
    """The error for a path with nothing at it."""
    return ObjectNotFound(errno.ENOENT, os.strerror(errno.ENOENT), shown(place.at.path))


def check_depth(maxdepth: int | None) -> None:
    """Raises `ValueError` where the depth is none (fsspec's own rule)."""
    if maxdepth is not None and maxdepth < 1:
        raise ValueError("maxdepth must be at least 1")


def refuse(options: Mapping[str, Any], method: str) -> None:
    """Raises `TypeError` for options that nothing would heed."""
    if options:
        raise TypeError(f"{method}() of sv:// takes no {', '.join(sorted(options))}")
