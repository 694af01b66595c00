"""Deleting many objects: all that can be deleted, and then what could not."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from glob import has_magic
from typing import Any

from svstorage.errors import ListingError, UsageError
from svstorage.filesystem import bulk, listing, paths
from svstorage.filesystem.looking import not_found
from svstorage.filesystem.places import Place, shown
from svstorage.filesystem.retry import ATTEMPTS, PASSING, pause, retrying
from svstorage.filesystem.writing import Writing
from svstorage.model import Problem

_DELETED_AT_ONCE = 1000


class Deleting(Writing):
    """Deletes trees and patterns."""

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects; with ``recursive`` also what lies below, and a whole bucket with it."""
        failures: list[tuple[str, Exception]] = []
        doomed: list[str] = []
        buckets: list[Place] = []
        many = path if isinstance(path, (list, tuple, set)) else [path]
        for one, outcome in bulk.in_parallel(lambda p: self._doomed(p, recursive, maxdepth), many):
            if isinstance(outcome, Exception):
                failures.append((str(one), outcome))
            else:
                doomed += outcome
                place = self._places.find(one)
                if recursive and maxdepth is None and not place.at.key:
                    buckets.append(place)
        self._delete(doomed, failures)
        if not failures:
            for place in buckets:
                place.store.delete_bucket(place.bucket)
        bulk.raise_failures(failures)

    def _doomed(self, path: Any, recursive: bool, maxdepth: int | None) -> list[str]:
        text = paths.text_of(path)
        here = paths.locate(path)
        if not here.bucket:
            raise UsageError("sv:// as a whole is not deleted; name a bucket")
        if self._is_pattern(text):
            if has_magic(here.bucket):
                raise UsageError(f"{shown(text)}: buckets are not deleted by a pattern")
            matches = self.glob(text, maxdepth=maxdepth, detail=True)
            doomed = [name for name, info in matches.items() if info["type"] == "file"]
            rest = None if maxdepth is None else maxdepth - 1
            if recursive and rest != 0:
                for name, info in matches.items():
                    if info["type"] == "directory":
                        doomed += self._tree(name, rest)
            elif not doomed and matches:
                raise IsADirectoryError(errno.EISDIR, "only folders match", text)
            if not matches:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
            return doomed
        itself = [text] if here.key and self._head(self._places.find(path)) is not None else []
        if not recursive:
            if itself:
                return itself
            if self.isdir(path):
                raise IsADirectoryError(errno.EISDIR, "Is a folder: pass recursive=True", here.path)
            raise not_found(self._places.find(path))
        inner = self._tree(path, maxdepth)
        if not itself and not inner and (here.key or not self.isdir(path)):
            raise not_found(self._places.find(path))
        return itself + [name for name in inner if name not in itself]

    def _tree(self, path: Any, maxdepth: int | None) -> list[str]:
        """Every key below a folder, the markers of folders too."""
        place = self._places.find(path)
        problems: list[str] = []

        def note(place: Place, problem: Problem) -> None:
            if problem.severity == "error":
                problems.append(f"{place.path_of(problem.key)}: {problem.reason}")

        if maxdepth is not None:
            infos = retrying(lambda: list(listing.below(place, maxdepth, note)))
            found = [info["name"] for info in infos if info["type"] == "file"]
        else:
            found = []
            for item in retrying(lambda: list(place.store.list(place.bucket, place.prefix))):
                if isinstance(item, Problem):
                    note(place, item)
                else:
                    found.append(place.path_of(item.key))
        if problems:
            raise ListingError(f"{shown(place.at.path)}: not all could be listed: {problems[:5]}")
        return found

    def _delete(self, names: Sequence[str], failures: list[tuple[str, Exception]]) -> None:
        by_bucket: dict[str, tuple[Place, list[str]]] = {}
        for name in names:
            place = self._places.find(name)
            by_bucket.setdefault(place.at.bucket, (place, []))[1].append(place.key)
        for place, keys in by_bucket.values():
            for start in range(0, len(keys), _DELETED_AT_ONCE):
                for key, error in _deleted(place, keys[start : start + _DELETED_AT_ONCE]):
                    failures.append((place.path_of(key), error))


def _deleted(place: Place, keys: list[str]) -> Iterator[tuple[str, Exception]]:
    """Delete up to a thousand keys; those that failed, after tries."""
    left = keys
    for attempt in range(1, ATTEMPTS + 1):
        failed: list[tuple[str, Exception]] = []
        try:
            outcomes = list(place.store.delete_many(place.bucket, left))
            failed = [(key, error) for key, error in outcomes if error is not None]
        except PASSING as error:
            failed = [(key, error) for key in left]
        again = [(key, error) for key, error in failed if isinstance(error, PASSING)]
        yield from (pair for pair in failed if not isinstance(pair[1], PASSING))
        if not again:
            return
        if attempt == ATTEMPTS:
            yield from again
            return
        left = [key for key, _ in again]
        pause(attempt, again[0][1])
