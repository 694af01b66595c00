"""Listings as fsspec wants them: dictionaries with paths, folders seen from the keys."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

from svstorage.addresses import display
from svstorage.filesystem.places import Place, shown
from svstorage.model import BucketInfo, Entry, Problem

log = logging.getLogger(__name__)

Info = dict[str, Any]
OnProblem = Callable[[Place, Problem], None]


def file_info(path: str, entry: Entry) -> Info:
    """``mtime`` in seconds and ``LastModified`` as a date, as fsspec's local and S3 ones say."""
    info: Info = {"name": path, "size": entry.size, "type": "file"}
    if entry.etag is not None:
        info["ETag"] = entry.etag
    if entry.modified_ns is not None:
        info["mtime"] = entry.modified_ns / 1e9
        info["LastModified"] = when(entry.modified_ns)
    return info


def folder_info(path: str) -> Info:
    """What fsspec tells of a folder."""
    return {"name": path, "size": 0, "type": "directory"}


def bucket_info(bucket: BucketInfo) -> Info:
    """A bucket is a folder, in some services with the time of its creation."""
    info = folder_info(bucket.name)
    if bucket.created_ns is not None:
        info["created"] = when(bucket.created_ns)
    return info


def when(nanoseconds: int) -> datetime:
    """Nanoseconds since 1970 as a date in UTC."""
    return datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc)


def note_problem(place: Place, problem: Problem) -> None:
    """Log what could not be listed: fsspec's listings have no place for it."""
    log.warning("%s: %s", shown(place.path_of(problem.key)), display(problem.reason))


def level(place: Place, on_problem: OnProblem = note_problem) -> list[Info]:
    """What lies directly in a folder. The folder's own marker is no part of it."""
    return [info for info, _ in _level(place, place.prefix, on_problem)]


def has_any(place: Place) -> bool:
    """Whether there is a folder here: anything whose key begins with its prefix."""
    for item in place.store.list(place.bucket, place.prefix):
        if not isinstance(item, Problem) or item.severity == "error":
            return True
    return False


def below(
    place: Place, maxdepth: int | None = None, on_problem: OnProblem = note_problem
) -> Iterator[Info]:
    """Everything in and below a folder: files, and the folders that their keys tell of."""
    if maxdepth is not None:
        yield from _levels(place, place.prefix, maxdepth, on_problem)
        return
    start = len(place.prefix)
    told: set[str] = set()
    for item in place.store.list(place.bucket, place.prefix):
        if isinstance(item, Problem):
            on_problem(place, item)
            continue
        at = item.key.find("/", start)
        while at >= 0:
            folder = item.key[: at + 1]
            if folder not in told:
                told.add(folder)
                yield folder_info(place.folder_of(folder))
            at = item.key.find("/", at + 1)
        if not item.is_folder_marker:
            yield file_info(place.path_of(item.key), item)


def _levels(place: Place, prefix: str, maxdepth: int, on_problem: OnProblem) -> Iterator[Info]:
    for info, folder in _level(place, prefix, on_problem):
        yield info
        if folder is not None and maxdepth > 1:
            yield from _levels(place, folder, maxdepth - 1, on_problem)


def _level(place: Place, prefix: str, on_problem: OnProblem) -> Iterator[tuple[Info, str | None]]:
    """The infos of one level, folders with their prefix."""
    told: set[str] = set()
    for item in place.store.list_level(place.bucket, prefix):
        if isinstance(item, Problem):
            on_problem(place, item)
            continue
        if isinstance(item, Entry):
            if not item.is_folder_marker:
                # Also one called like the folder itself: `trail/` with content is an object.
                yield file_info(place.path_of(item.key), item), None
                continue
            folder = item.key
        else:
            folder = item.prefix
        if folder != prefix and folder not in told:
            told.add(folder)
            yield folder_info(place.folder_of(folder)), folder
