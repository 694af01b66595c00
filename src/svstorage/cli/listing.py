"""Listings for commands: retried where they broke off, their problems told, objects in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from svstorage.cli.retrying import ATTEMPTS, PASSING, pause, retrying
from svstorage.cli.state import State
from svstorage.cli.targets import Target
from svstorage.cli.units import moment_iso
from svstorage.errors import ObjectNotFound
from svstorage.model import CommonPrefix, Entry, Problem, key_order

Item = TypeVar("Item", Entry, Entry | CommonPrefix)


class Lister:
    """Lists targets for one command and remembers whether anything went wrong."""

    def __init__(self, state: State) -> None:
        self.out = state.out
        self.problems = 0

    @property
    def exit_code(self) -> int:
        return 1 if self.problems else 0

    def walk(self, target: Target, *, recursive: bool) -> Iterator[Entry | CommonPrefix]:
        """What ``ls`` shows of a target: the object itself, then what is below it.

        Raises `ObjectNotFound` where there is neither.
        """
        found = False
        own = self.own_entry(target)
        if own is not None:
            found = True
            yield own
        below: Iterator[Entry | CommonPrefix]
        if recursive:
            below = self._good(target, resumed_list(target, target.folder))
        else:
            below = self._good(target, resumed_level(target, target.folder))
        for item in below:
            found = True
            yield item
        if not found and target.key and not self.exit_code:
            raise ObjectNotFound(f"{target.address()}: there is no such object or folder")

    def entries(self, target: Target) -> Iterator[Entry]:
        """The object itself and all objects below it; the whole bucket without a key."""
        for item in self.walk(target, recursive=True):
            if isinstance(item, Entry):
                yield item

    def own_entry(self, target: Target) -> Entry | None:
        """The object of exactly the target's key, or None."""
        # What ends in / is asked for as a folder: its marker comes with the listing.
        if not target.key or target.key.endswith("/"):
            return None
        return head_or_none(target)

    def _good(self, target: Target, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            if not isinstance(item, Problem):
                yield item
            elif item.severity == "error":
                self.problems += 1
                self.out.failure(
                    f"{target.address(item.key)}: {item.reason}",
                    kind="ListingProblem",
                    address=target.address(item.key),
                )
            else:
                self.out.note(f"skipped {target.address(item.key)}: {item.reason}")


def head_or_none(target: Target) -> Entry | None:
    """The target's object as a HEAD tells it; None where there is none."""
    try:
        return retrying(lambda: target.store.head(target.bucket, target.key)).entry
    except ObjectNotFound:
        # A missing bucket must not pass for a missing object.
        if not retrying(lambda: target.store.bucket_exists(target.bucket)):
            raise
        return None


def resumed_list(target: Target, prefix: str) -> Iterator[Entry | Problem]:
    """All objects that begin with ``prefix``; taken up again where the listing broke off."""
    return _resumed(
        lambda after: target.store.list(target.bucket, prefix, start_after=after),
        ordered=target.store.capabilities.listing_order == "bytes",
    )


def resumed_level(target: Target, prefix: str) -> Iterator[Entry | CommonPrefix | Problem]:
    """One level below ``prefix``, likewise."""
    return _resumed(
        lambda _after: target.store.list_level(target.bucket, prefix),
        ordered=target.store.capabilities.listing_order == "bytes",
    )


def _resumed(start: Callable[[str], Iterator[Any]], *, ordered: bool) -> Iterator[Any]:
    """Begin again after the last name when a listing breaks off; nothing comes twice."""
    last: str | None = None
    resume_after: bytes | None = None
    tries = 0
    while True:
        try:
            for item in start(last or ""):
                if isinstance(item, Problem):
                    yield item
                    continue
                name = item.prefix if isinstance(item, CommonPrefix) else item.key
                order = key_order(name)
                if resume_after is not None and order <= resume_after:
                    continue
                # Seen with our own eyes, whatever the store says of itself.
                ordered = ordered and (last is None or order > key_order(last))
                last, resume_after, tries = name, None, 0
                yield item
            return
        except PASSING as error:
            tries += 1
            # Without an order nothing tells where to go on, once something was handed out.
            if tries >= ATTEMPTS or (last is not None and not ordered):
                raise
            pause(tries, error)
            resume_after = None if last is None else key_order(last)


def entry_record(target: Target, entry: Entry) -> dict[str, Any]:
    """An object as ``--json`` shows it."""
    checksum = entry.checksum
    return {
        "type": "object",
        "address": target.address(entry.key),
        "bucket": target.bucket,
        "key": entry.key,
        "size": entry.size,
        "modified": moment_iso(entry.modified_ns),
        "etag": entry.etag,
        "checksum": None if checksum is None else f"{checksum.algorithm}:{checksum.value}",
    }
