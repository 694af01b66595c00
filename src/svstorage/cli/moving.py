"""The deleting half of a move."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from svstorage.cli.deleting import Deleter
from svstorage.cli.failure import message_of
from svstorage.cli.retrying import retrying
from svstorage.cli.state import State
from svstorage.cli.targets import Target, locate
from svstorage.errors import ObjectChanged, ObjectNotFound, StorageError

if TYPE_CHECKING:
    from svstorage.model import Entry
    from svstorage.transfer.report import Report, Result

_BATCH = 500
_AT_ONCE = 16
"""Sources looked at in the same moment."""


@dataclass(frozen=True, slots=True)
class _Copied:
    """A source whose copy the destination has confirmed."""

    source: Target
    destination: Target
    result: Result
    before: bool
    """By an earlier run, of which only the journal knows."""
    began: float
    """When its copy began, in seconds since 1970."""


class Mover:
    """Hears of each copied object and deletes its source, if that is still the one copied.

    Sources are looked at and deleted in batches, as one request after another would take longer
    than the copies did.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.deleter = Deleter(state, quiet=True)
        self._waiting: list[_Copied] = []
        self._began = time.time()

    @property
    def exit_code(self) -> int:
        return self.deleter.exit_code

    def __call__(self, result: Result) -> None:
        from svstorage.transfer.plan import DONE_BEFORE

        # A move that was killed has copied, and by its journal need not again; what is left of
        # it to do is the deleting.
        before = result.action == "skip" and result.reason == DONE_BEFORE
        if result.status != "done" or not (result.action == "copy" or before):
            return
        source = locate(self.state, result.source)
        destination = locate(self.state, result.destination)
        if self._is_one(source, destination):
            return
        began = time.time() - max(result.seconds, 0.0)
        self._waiting.append(_Copied(source, destination, result, before, began))
        if len(self._waiting) >= _BATCH:
            self.finish()

    def finish(self) -> None:
        """Delete what is waiting."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        places: dict[str, tuple[Target, list[str]]] = {}
        with ThreadPoolExecutor(min(_AT_ONCE, len(waiting)), "mv-look") as pool:
            # The verdicts of all of them before anything is deleted or told.
            verdicts = list(pool.map(self._why_not, waiting))
        for one, why_not in zip(waiting, verdicts, strict=True):
            source = one.source
            if why_not is None:
                places.setdefault(source.base, (source, []))[1].append(source.key)
            elif not isinstance(why_not, ObjectNotFound):
                kind = type(why_not).__name__
                self.deleter.failed(source, source.key, message_of(why_not), kind)
        for target, keys in places.values():
            self.deleter.delete(target, keys)

    def _why_not(self, one: _Copied) -> StorageError | None:
        """Why a source is not to be deleted; `ObjectNotFound` where it is gone already."""
        source = one.source
        try:
            entry = retrying(lambda: source.store.head(source.bucket, source.key)).entry
            if one.before:
                changed = self._changed_since(entry, one.destination)
            else:
                changed = _changed(entry, one)
        except StorageError as error:
            return error
        if changed:
            return ObjectChanged("changed after it was copied, so it was not deleted")
        return None

    def joined(self, report: Report) -> Report:
        """The report of the copies as that of the move: what was deleted is of the source."""
        counters = replace(
            report.counters,
            deleted=self.deleter.deleted,
            delete_failed=self.deleter.failures,
        )
        return replace(report, operation="move", counters=counters)

    def _changed_since(self, entry: Entry, destination: Target) -> bool:
        """Whether a source of an earlier move may have changed since this one listed it."""
        from svstorage.transfer.compare import CLOCK_DOUBT_NS, comparable

        try:
            there = retrying(
                lambda: destination.store.head(destination.bucket, destination.key)
            ).entry
        except ObjectNotFound:
            raise ObjectChanged("its copy is not there, so it was not deleted") from None
        if entry.size != there.size:
            return True
        if comparable(entry.checksum, there.checksum):
            return entry.checksum != there.checksum
        # The inode change time is of our own clock; that of a service may go behind it.
        doubt = 0 if entry.changed_ns is not None else CLOCK_DOUBT_NS
        newest = max(entry.changed_ns or 0, entry.modified_ns or 0)
        return newest + doubt > self._began * 1e9

    @staticmethod
    def _is_one(source: Target, destination: Target) -> bool:
        """True where both addresses name one object: deleting it would lose it."""
        if source.store.identity == destination.store.identity:
            return (source.bucket, source.key) == (destination.bucket, destination.key)
        if source.is_path and destination.is_path:
            try:
                return os.path.samefile(source.address(), destination.address())
            except OSError:
                return False
        return False


def _changed(entry: Entry, copied: _Copied) -> bool:
    result = copied.result
    if entry.size != result.size:
        return True
    one, two = entry.checksum, result.checksum
    if one is not None and two is not None and one.algorithm == two.algorithm:
        return one.value != two.value
    # No checksum to go by: what was written since the copy of this object began is another one.
    # A service's clock may be off; then the source stays, which loses nothing.
    newest = max(entry.changed_ns or 0, entry.modified_ns or 0)
    return newest / 1e9 > copied.began
