"""Ranges of keys: how a tree is cut into shares of work, and how one share is listed.

Ranges meet without gap or overlap whatever was listed when they were cut: a key that appears
later lies in one of them too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from svstorage.model import Entry, Problem, key_order
from svstorage.strategies.base import End
from svstorage.transfer.listing import listed
from svstorage.transfer.merge import Both, SideProblem
from svstorage.transfer.stop import StopToken

# The first ranges are small, so that every worker soon has one; then they grow, so that what a
# range costs by itself (a listing that begins anew on both sides, a journal) does not matter.
FIRST_OBJECTS = 256
MOST_OBJECTS = 20_000
MOST_BYTES = 4 << 30
GROWTH = 1.25


@dataclass(frozen=True, slots=True)
class Span:
    """The keys after ``after`` up to and with ``upto``, both relative to the root of a side.

    None is the open end. ``objects`` and ``size`` (bytes) are what was there when it was cut.
    """

    after: str | None = None
    upto: str | None = None
    objects: int = 0
    size: int = 0

    def holds(self, key: str) -> bool:
        order = key_order(key)
        return not self.is_before(order) and not self.is_beyond(order)

    def is_before(self, order: bytes) -> bool:
        return self.after is not None and order <= key_order(self.after)

    def is_beyond(self, order: bytes) -> bool:
        return self.upto is not None and order > key_order(self.upto)

    @property
    def stem(self) -> str:
        """What all keys of the range begin with."""
        if self.after is None or self.upto is None:
            return ""
        # Of text, character by character: what is meant is no path.
        return os.path.commonprefix([self.after, self.upto])  # noqa: RUF071


def cut(
    end: End, *, after: str | None = None, stop: StopToken | None = None, first: int = FIRST_OBJECTS
) -> Iterator[Span]:
    """Cut what lies below ``end`` into ranges, as its listing goes on.

    ``after`` goes on behind an earlier cut; the last range has no upper end.

    Raises:
        ListingError, ConnectionFailed, …: the listing broke; what came before was yielded.
    """
    start = "" if after is None else end.prefix + after
    limit = float(first)
    objects = size = 0
    length = len(end.prefix)
    for item in listed(end, start_after=start, stop=stop):
        if isinstance(item, Problem):
            continue  # whoever carries the range meets it too, and tells it
        objects += 1
        size += item.size
        if objects >= limit or size >= MOST_BYTES:
            upto = item.key[length:]
            yield Span(after, upto, objects, size)
            after, objects, size = upto, 0, 0
            limit = min(limit * GROWTH, MOST_OBJECTS)
    yield Span(after, None, objects, size)


def listed_in(
    end: End, span: Span | None, *, stop: StopToken, may_be_missing: bool = False
) -> Iterator[Entry | Problem]:
    """The listing of one range, and one entry behind it where there is one: only with what
    comes next can a merge tell whether a folder marker is all that there is of its folder."""
    if span is None:
        return listed(end, stop=stop, may_be_missing=may_be_missing)
    # A service that cannot begin in the middle (older Azure) at least lists only keys of a stem.
    narrow = replace(end, prefix=end.prefix + span.stem)
    start = "" if span.after is None else end.prefix + span.after
    items = listed(narrow, start_after=start, stop=stop, may_be_missing=may_be_missing)
    return _up_to_the_next(items, span, len(end.prefix))


def _up_to_the_next(
    items: Iterator[Entry | Problem], span: Span, length: int
) -> Iterator[Entry | Problem]:
    for item in items:
        yield item
        if isinstance(item, Entry) and span.is_beyond(key_order(item.key[length:])):
            return


def within(
    merged: Iterator[Both | SideProblem], span: Span, source_prefix: str, destination_prefix: str
) -> Iterator[Both | SideProblem]:
    """What of a merge lies in the range."""
    for both in merged:
        if isinstance(both, SideProblem):
            prefix = source_prefix if both.side == "source" else destination_prefix
            # A folder that cannot be read is met by every range that begins below it.
            if span.holds(both.problem.key[len(prefix) :]):
                yield both
        elif span.is_beyond(key_order(both.key)):
            return
        else:
            yield both
