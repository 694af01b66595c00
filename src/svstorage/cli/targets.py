"""Addresses as commands take them: parsed, opened, and globs spread out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from svstorage import addresses
from svstorage.cli.retrying import retrying
from svstorage.errors import ObjectNotFound, UsageError
from svstorage.model import CommonPrefix, Entry

if TYPE_CHECKING:
    from svstorage.cli.state import State
    from svstorage.providers.base import ObjectStore


@dataclass(frozen=True, slots=True)
class Target:
    """What one address means: a store, a bucket in it, a key ("" for the whole of it)."""

    store: ObjectStore
    bucket: str
    key: str
    text: str
    """The address as it was written."""
    base: str
    """What stands before a key in an address."""
    is_path: bool = False
    """A path of this machine: there are no buckets, the folder itself is the root."""
    glob_folder: str | None = None
    """Where a glob found this target: the folder before the first wildcard."""

    @property
    def is_root(self) -> bool:
        """All buckets of a storage."""
        return not self.bucket and not self.is_path

    @property
    def folder(self) -> str:
        """The key as a folder's prefix: empty, or ending in /."""
        return self.key if not self.key or self.key.endswith("/") else f"{self.key}/"

    def address(self, key: str | None = None) -> str:
        """The address of another key in the same place. Exact, nothing quoted."""
        key = self.key if key is None else key
        return f"{self.base}{key}" if key or self.is_path else self.base.rstrip("/")

    def bucket_address(self, bucket: str) -> str:
        """The address of a bucket of a storage: ``sv://bucket``, ``sv://NAME@bucket``."""
        return f"{self.text}{'' if self.text.endswith(('/', '@')) else '/'}{bucket}"

    def relative(self, key: str) -> str:
        """A key below the target without the target's own; the last part of its own key. Below
        a glob, what the glob found stays, so that equal names of several folders differ."""
        if self.glob_folder is not None:
            return key[len(self.glob_folder) :]
        if self.folder and key.startswith(self.folder) and key != self.folder:
            return key[len(self.folder) :]
        if not self.folder:
            return key
        return key.rstrip("/").rpartition("/")[2] + ("/" if key.endswith("/") else "")


def locate(state: State, text: str) -> Target:
    """What an address means, without asking the storage. Globs are not looked at."""
    place = state.opener.open(text)
    return Target(
        place.store, place.bucket, place.key, text, place.base, is_path=place.is_local_path
    )


def buckets(state: State, target: Target) -> Iterator[Target]:
    """The buckets of a storage, or the target itself where it is no whole storage."""
    if not target.is_root:
        yield target
        return
    for bucket in retrying(target.store.list_buckets):
        yield locate(state, target.bucket_address(bucket.name))


def locate_all(state: State, text: str, *, literal: bool = False) -> Iterator[Target]:
    """The targets of an address: one, or all that a glob in its key matches.

    What exists under exactly the written name comes before any reading as a glob. Raises
    `ObjectNotFound` where a glob matches nothing.
    """
    target = locate(state, text)
    beginning, magic = addresses.split_glob(target.key)
    if literal or target.is_root or beginning == target.key or _exists(target):
        yield target
        return
    if not magic:  # [*] and the like stood for the one character
        yield replace(target, key=beginning)
        return
    found = False
    folder = beginning[: beginning.rfind("/") + 1]
    for key in _matches(target):
        found = True
        yield replace(target, key=key, text=target.address(key), glob_folder=folder)
    if not found:
        raise ObjectNotFound(f"{text}: nothing matches")


def locate_objects(state: State, text: str) -> Iterator[Target]:
    """Like `locate_all`, for commands about objects only: folders that a glob matches are
    left out, and an address without a key is an error."""
    for target in locate_all(state, text):
        if not target.key:
            raise UsageError(f"{text}: name an object, not a bucket or folder")
        if target.text == text or not target.key.endswith("/"):
            yield target


def locate_bucket(state: State, text: str) -> Target:
    """A target that is a whole bucket, or `UsageError`."""
    target = locate(state, text)
    if target.is_path or target.is_root or target.key:
        raise UsageError(f"{text}: name a bucket, such as sv://acme-public")
    return target


def _exists(target: Target) -> bool:
    from svstorage.cli.listing import head_or_none, resumed_level

    if not target.key.endswith("/") and head_or_none(target) is not None:
        return True
    return next(resumed_level(target, target.folder), None) is not None


def _matches(target: Target) -> Iterator[str]:
    if "**" in target.key:
        yield from _deep_matches(target)
    else:
        yield from _level_matches(target, "", target.key.split("/"))


def _deep_matches(target: Target) -> Iterator[str]:
    from svstorage.cli.listing import resumed_list
    from svstorage.transfer.filters import glob_to_regex

    prefix, _ = addresses.split_glob(target.key)
    pattern = re.compile(glob_to_regex("/" + target.key))
    for item in resumed_list(target, prefix):
        if isinstance(item, Entry) and pattern.fullmatch(item.key):
            yield item.key


def _level_matches(target: Target, prefix: str, parts: list[str]) -> Iterator[str]:
    """One listing for each level that has a glob; folders match as well as objects."""
    from svstorage.cli.listing import resumed_level
    from svstorage.transfer.filters import glob_to_regex

    # Parts without a glob need no listing of their own.
    while len(parts) > 1 and not addresses.split_glob(parts[0])[1]:
        prefix, parts = f"{prefix}{addresses.split_glob(parts[0])[0]}/", parts[1:]
    part, rest = parts[0], parts[1:]
    beginning, magic = addresses.split_glob(part)
    if not magic:
        yield from _level_literal(target, prefix + beginning)
        return
    pattern = re.compile(glob_to_regex(f"/{part}"))
    for item in resumed_level(target, prefix + beginning):
        if isinstance(item, CommonPrefix):
            name = item.prefix[len(prefix) : -1]
            if pattern.fullmatch(name):
                if not rest:
                    yield item.prefix
                else:
                    yield from _level_matches(target, item.prefix, rest)
        elif isinstance(item, Entry) and not rest and pattern.fullmatch(item.key[len(prefix) :]):
            yield item.key


def _level_literal(target: Target, key: str) -> Iterator[str]:
    from svstorage.cli.listing import resumed_level

    for item in resumed_level(target, key):
        name = item.prefix if isinstance(item, CommonPrefix) else item.key
        if name in (key, f"{key}/"):
            yield name
