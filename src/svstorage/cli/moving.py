"""The deleting half of a move."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from svstorage.cli.deleting import Deleter
from svstorage.cli.retrying import retrying
from svstorage.cli.state import State
from svstorage.cli.targets import Target, locate
from svstorage.errors import ObjectNotFound

if TYPE_CHECKING:
    from svstorage.model import Entry
    from svstorage.transfer.report import Report, Result

_BATCH = 500


class Mover:
    """Hears of each copied object and deletes its source, if that is still the one copied."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.deleter = Deleter(state, quiet=True)
        self._waiting: dict[str, list[str]] = {}
        self._targets: dict[str, Target] = {}
        self._count = 0
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
        try:
            entry = retrying(lambda: source.store.head(source.bucket, source.key)).entry
        except ObjectNotFound:
            return  # gone already: the move is complete
        if self._changed_since(entry, destination) if before else _changed(entry, result):
            reason = "changed after it was copied, so it was not deleted"
            self.deleter.failed(source, source.key, reason, "ObjectChanged")
            return
        place = source.base
        self._targets.setdefault(place, source)
        self._waiting.setdefault(place, []).append(source.key)
        self._count += 1
        if self._count >= _BATCH:
            self.finish()

    def finish(self) -> None:
        """Delete what is waiting."""
        waiting, self._waiting, self._count = self._waiting, {}, 0
        for place, keys in waiting.items():
            self.deleter.delete(self._targets[place], keys)

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

        there = retrying(lambda: destination.store.head(destination.bucket, destination.key)).entry
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


def _changed(entry: Entry, result: Result) -> bool:
    if entry.size != result.size:
        return True
    one, two = entry.checksum, result.checksum
    if one is not None and two is not None and one.algorithm == two.algorithm:
        return one.value != two.value
    # No checksum to go by: what was written since the copy of this object began is another one.
    # A service's clock may be off; then the source stays, which loses nothing.
    began = time.time() - max(result.seconds, 0.0)
    newest = max(entry.changed_ns or 0, entry.modified_ns or 0)
    return newest / 1e9 > began
