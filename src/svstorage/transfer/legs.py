"""What a copy command means: sources and destination as trees and single objects.

The rules are those of fsspec's page "Copying files and directories": a folder named without a
trailing slash goes *into* an existing folder under its own name, with a trailing slash only
its contents go; an object goes into what is a folder (it exists as one, or is written with a
trailing slash, or there are several sources) under its own name, else under the name given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from svstorage.addresses import display, split_glob
from svstorage.ends import Place
from svstorage.errors import ObjectNotFound, UsageError
from svstorage.model import Entry, Problem
from svstorage.strategies.base import End, Pair
from svstorage.transfer.filters import glob_to_regex
from svstorage.transfer.listing import listed


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything below one prefix goes below another."""

    pair: Pair


@dataclass(frozen=True, slots=True)
class Missing(Problem):
    """A source that was named and is not there."""


@dataclass(frozen=True, slots=True)
class Files:
    """Some objects, each with the destination key it goes to (relative to the pair's)."""

    pair: Pair
    items: Callable[[], Iterator[tuple[Entry | Problem, str]]]
    named: dict[str, Entry] = field(default_factory=dict)
    """What ``items`` gives, by destination key, where each was named by itself."""


Leg = Tree | Files


def source_end(place: Place, prefix: str) -> End:
    """The source side of a leg, rooted at ``prefix``."""
    return End(place.store, place.bucket, prefix, location=place.text, base=place.base)


def copy_legs(sources: list[Place], destination: Place, *, recursive: bool) -> list[Leg]:
    """The parts of a ``cp``.

    A source that does not exist is a failure among the others, as with cp(1): the rest goes on.

    Raises:
        UsageError: a folder without ``recursive``, a bucket missing in an address, source and
            destination inside one another.
        ObjectNotFound: the only source does not exist.
    """
    for place in (*sources, destination):
        named(place)
    several = len(sources) > 1 or any(place.is_glob for place in sources)
    into_folder = several or destination.is_folder_form
    exists = destination.is_folder()
    legs: list[Leg] = []
    for place in sources:
        try:
            one = literal(place)
            legs.extend(_legs_of(one, destination, into_folder, exists, recursive=recursive))
        except ObjectNotFound as error:
            if len(sources) == 1:
                raise
            legs.append(_missing(place, destination, str(error)))
    return _side_by_side(legs)


def _side_by_side(legs: list[Leg]) -> list[Leg]:
    """Objects of one folder or bucket that were named one after another become one leg.

    A shell spreads ``*.jpg`` into thousands of names: they are to move at the same time, and a
    storage that has gone away is to be found out once. What goes to one key keeps its order.
    """
    joined: list[Leg] = []
    for leg in legs:
        last = joined[-1] if joined else None
        if isinstance(leg, Files) and isinstance(last, Files) and _go_together(last, leg):
            last.named.update(leg.named)
            root = replace(last.pair.source, location=last.pair.source.base)
            joined[-1] = _named(replace(last.pair, source=root), last.named)
        else:
            joined.append(leg)
    return joined


def _go_together(one: Files, other: Files) -> bool:
    ends = one.pair.source, other.pair.source
    first, second = ((end.store.identity, end.bucket, end.base) for end in ends)
    named = bool(one.named and other.named)
    return named and first == second and one.named.keys().isdisjoint(other.named)


def _named(pair: Pair, named: dict[str, Entry]) -> Files:
    return Files(pair, lambda: iter([(entry, key) for key, entry in named.items()]), named)


def _missing(place: Place, destination: Place, reason: str) -> Files:
    pair = Pair(source_end(place, ""), _bucket_end(destination))
    problem = Missing(place.key, reason.removeprefix(f"{place.text}: "))
    return Files(pair, lambda: iter([(problem, destination.folder + place.name)]))


def _bucket_end(destination: Place) -> End:
    """The destination side of a leg whose keys are whole ones."""
    return End(
        destination.store, destination.bucket, location=destination.text, base=destination.base
    )


def literal(place: Place) -> Place:
    """``[*]`` and the like in a source without a wildcard stand for the one character, unless
    something of exactly the written name is there."""
    key, magic = split_glob(place.key)
    if magic or key == place.key or place.head() is not None or place.is_folder():
        return place
    return replace(place, key=key, name=split_glob(place.name)[0])


def named(place: Place) -> None:
    """Raise `UsageError` where an address names a whole storage."""
    if not place.bucket and not place.is_local_path:
        raise UsageError(
            f"{place.text}: name a bucket, such as {place.text.rstrip('/')}//bucket. "
            "To copy a whole storage: svstorage migrate"
            if place.text.rstrip("/").endswith(":")
            else f"{place.text}: name a bucket"
        )


def _legs_of(
    place: Place, destination: Place, into_folder: bool, exists: bool, *, recursive: bool
) -> Iterator[Leg]:
    info = None if place.is_folder_form else place.head()
    if info is None and place.is_glob:
        yield _glob(place, destination, recursive=recursive)
        return
    if info is not None:
        folder = into_folder or exists
        key = destination.folder + place.name if folder else destination.key
        if not folder and not key:
            key = place.name
        entry = info.entry
        pair = Pair(source_end(place, ""), _bucket_end(destination))
        same = pair.same_service and place.bucket == destination.bucket
        if same and place.key == key:
            raise UsageError(f"{place.text}: source and destination are the same object")
        yield _named(pair, {key: entry})
        if not recursive or not place.is_folder():
            return
    elif not place.is_folder():
        raise ObjectNotFound(f"{place.text}: there is no such object or folder")
    if not recursive:
        raise UsageError(f"{place.text}: this is a folder. To copy what is in it: cp -r")
    under = into_folder_name(place, exists and not place.is_folder_form)
    prefix = destination.folder + under
    refuse_overlap(place, place.folder, destination, prefix)
    end = End(
        destination.store,
        destination.bucket,
        prefix,
        location=destination.text,
        base=destination.base,
    )
    yield Tree(Pair(source_end(place, place.folder), end))


def into_folder_name(place: Place, keeps_name: bool) -> str:
    """What comes between the destination and the keys of a folder that keeps its name."""
    return f"{place.name}/" if keeps_name and place.name else ""


def _glob(place: Place, destination: Place, *, recursive: bool) -> Files:
    """All objects whose first components match the pattern; deeper ones when recursive."""
    literal, _ = split_glob(place.key)
    depth = place.key.count("/") + 1
    crossing = "**" in place.key
    pattern = re.compile(glob_to_regex("/" + place.key))
    pair = Pair(source_end(place, ""), _bucket_end(destination))

    def items() -> Iterator[tuple[Entry | Problem, str]]:
        found = False
        for item in listed(replace(pair.source, prefix=literal)):
            key = item.key
            parts = key.split("/")
            if crossing:
                matched = pattern.fullmatch(key) is not None
                name = parts[-1]
            else:
                matched = pattern.fullmatch("/".join(parts[:depth])) is not None
                matched = matched and (len(parts) == depth or recursive)
                name = "/".join(parts[depth - 1 :])
            if matched:
                found = True
                yield item, destination.folder + name
        if not found:
            raise ObjectNotFound(f"{display(place.text)}: nothing matches")

    return Files(pair, items)


def sync_pair(source: Place, destination: Place) -> Pair:
    """The trees of a ``sync``, ``check`` or ``migrate``: contents against contents.

    Raises:
        UsageError: an address names an object, or the sides lie inside one another.
        ObjectNotFound: the source does not exist.
    """
    for place in (source, destination):
        named(place)
        if place.is_glob and place.head() is None:
            raise UsageError(
                f"{place.text}: a glob has no place here; name the folder, and use --include"
            )
    if not source.is_folder():
        if source.head() is not None:
            raise UsageError(f"{source.text}: is an object, not a folder; to copy it: cp")
        raise ObjectNotFound(f"{source.text}: there is no such folder or bucket")
    refuse_overlap(source, source.folder, destination, destination.folder)
    return Pair(
        source_end(source, source.folder),
        End(
            destination.store,
            destination.bucket,
            destination.folder,
            location=destination.text,
            base=destination.base,
        ),
    )


def refuse_overlap(source: Place, prefix: str, destination: Place, other: str) -> None:
    """Raise `UsageError` where one side lies inside the other."""
    one, two = source.overlap_path(prefix), destination.overlap_path(other)
    if one.startswith(two) or two.startswith(one):
        raise UsageError(
            f"{source.text} and {destination.text} lie inside one another "
            "(or are the same); a copy would chase its own tail"
        )
