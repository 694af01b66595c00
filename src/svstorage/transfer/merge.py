"""The merge join of two ordered listings: each key once, with what each side has of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from svstorage.model import Entry, Problem, key_order


@dataclass(frozen=True, slots=True)
class Both:
    """One relative key, as the source and the destination list it; None where one lacks it."""

    key: str
    source: Entry | None
    destination: Entry | None


@dataclass(frozen=True, slots=True)
class SideProblem:
    """Something that a listing met and could not name as an object."""

    side: str
    problem: Problem


def merge(
    source: Iterator[Entry | Problem],
    destination: Iterator[Entry | Problem],
    *,
    source_prefix: str = "",
    destination_prefix: str = "",
    markers_fold: bool = False,
) -> Iterator[Both | SideProblem]:
    """Walk two listings in byte order of the keys below their prefixes.

    With ``markers_fold`` (one side is a local disk, where a folder is only told while it is
    empty), a folder marker ``d/`` counts as present on a side that lists anything below ``d/``.
    """
    cut_source, cut_destination = len(source_prefix), len(destination_prefix)
    left: Entry | None = None
    right: Entry | None = None
    left_key = right_key = ""
    left_order = right_order = b""
    need_left = need_right = True
    while True:
        while need_left:
            need_left = False
            item = next(source, None)
            if isinstance(item, Problem):
                yield SideProblem("source", item)
                need_left = True
            else:
                left = item
                if item is not None:
                    left_key = item.key[cut_source:]
                    left_order = key_order(left_key)
        while need_right:
            need_right = False
            item = next(destination, None)
            if isinstance(item, Problem):
                yield SideProblem("destination", item)
                need_right = True
            else:
                right = item
                if item is not None:
                    right_key = item.key[cut_destination:]
                    right_order = key_order(right_key)
        if left is None and right is None:
            return
        if left is not None and (right is None or left_order < right_order):
            need_left = True
            folded = (
                markers_fold
                and left.is_folder_marker
                and right is not None
                and right_key.startswith(left_key)
            )
            # What the other side lists below the folder vouches for the folder itself.
            yield Both(left_key, left, left if folded else None)
        elif right is not None and (left is None or right_order < left_order):
            need_right = True
            if (
                markers_fold
                and right.is_folder_marker
                and left is not None
                and left_key.startswith(right_key)
            ):
                continue
            yield Both(right_key, None, right)
        else:
            need_left = need_right = True
            yield Both(left_key, left, right)
