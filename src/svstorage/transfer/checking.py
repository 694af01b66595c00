"""Comparing two trees: names, sizes, and checksums where they can be had."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from svstorage.errors import Interrupted, ObjectNotFound, StorageError
from svstorage.model import Entry
from svstorage.strategies.base import Job, Pair
from svstorage.transfer.carry import describe
from svstorage.transfer.compare import comparable, read_and_compare, read_digest
from svstorage.transfer.deletion import Trust
from svstorage.transfer.filters import Filter
from svstorage.transfer.merge import SideProblem
from svstorage.transfer.report import Counters, Result
from svstorage.transfer.retry import retrying
from svstorage.transfer.sides import both_sides
from svstorage.transfer.spans import Span
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Outcome, Work

# The `Result.error_kind` of two objects that were compared and are not the same.
DIFFERENCE = "Difference"


class CheckPlanner:
    """Finds what differs by the listings alone; yields as work only what must be read."""

    def __init__(
        self,
        pair: Pair,
        *,
        why_excluded: Filter | None,
        counters: Counters,
        tell: Callable[[Result], None],
        tell_all: bool,
        compare_checksums: bool,
        read_back: bool,
        stop: StopToken,
        extra_differs: bool = True,
        span: Span | None = None,
    ) -> None:
        self.pair = pair
        self._span = span
        self._stop = stop
        self._extra_differs = extra_differs
        self.trust = Trust()
        self._why_excluded = why_excluded
        self._counters = counters
        self._tell = tell
        self._tell_all = tell_all
        self._checksums = compare_checksums
        self._read_back = read_back

    def works(self) -> Iterator[Work]:
        with both_sides(self.pair, self._span, self._stop) as found:
            for both in found:
                if isinstance(both, SideProblem):
                    self._problem(both)
                    continue
                work = self._compare(both.key, both.source, both.destination)
                if work is not None:
                    yield work
            self.trust.source_complete = self.trust.destination_complete = True

    def _problem(self, found: SideProblem) -> None:
        problem = found.problem
        self._counters.listed += 1
        entry = Entry(problem.key, 0)
        if problem.severity == "skipped":
            self._counters.skipped += 1
            return
        self._counters.failed += 1
        end = self.pair.source if found.side == "source" else self.pair.destination
        key = problem.key[len(end.prefix) :]
        self._tell(
            check_result(self.pair, key, entry, "unreadable", problem.reason, kind="Problem")
        )

    def _compare(self, key: str, source: Entry | None, destination: Entry | None) -> Work | None:
        entry = source or destination
        if entry is None:
            return None
        if self._why_excluded is not None and self._why_excluded(key, entry) is not None:
            self._counters.listed += 1
            self._counters.excluded += 1
            return None
        self._counters.listed += 1
        self._counters.bytes_listed += entry.size
        if not key and entry.is_folder_marker:
            self._same(key, entry, "marker of the folder itself")
        elif destination is None:
            self._differs(key, entry, "missing", "not at the destination")
        elif source is None and not self._extra_differs:
            self._counters.skipped += 1
            self._say(key, entry, "extra", None)
        elif source is None:
            self._differs(key, entry, "extra", "not at the source")
        elif source.size != destination.size:
            sizes = f"{source.size} bytes at the source, {destination.size} at the destination"
            self._differs(key, source, "size", sizes)
        elif source.size == 0 or not self._checksums:
            self._same(key, source, "size")
        elif comparable(source.checksum, destination.checksum):
            if source.checksum == destination.checksum:
                self._same(key, source, "checksum")
            else:
                return Work(Job(self.pair, source, destination.key), key, destination)
        elif self._read_back:
            return Work(Job(self.pair, source, destination.key), key, destination)
        else:
            self._same(key, source, "size")
        return None

    def _same(self, key: str, entry: Entry, how: str) -> None:
        self._counters.skipped += 1
        self._counters.bytes_skipped += entry.size
        if self._tell_all:
            self._say(key, entry, f"same ({how})", None)

    def _differs(self, key: str, entry: Entry, reason: str, error: str) -> None:
        self._counters.failed += 1
        self._say(key, entry, reason, error)

    def _say(self, key: str, entry: Entry, reason: str, error: str | None) -> None:
        self._tell(check_result(self.pair, key, entry, reason, error))


def check_result(
    pair: Pair,
    key: str,
    entry: Entry,
    reason: str,
    error: str | None,
    *,
    kind: str = DIFFERENCE,
    destination: str | None = None,
    seconds: float = 0.0,
) -> Result:
    """What was found of one object; ``error`` says how it differs, None that it does not.

    ``kind`` is `DIFFERENCE`, or the name of the error that kept the two from being compared.
    """
    return Result(
        action="check",
        status="failed" if error else "done",
        key=key,
        source=pair.source.url(pair.source.prefix + key),
        destination=pair.destination.url(
            pair.destination.prefix + key if destination is None else destination
        ),
        size=entry.size,
        seconds=seconds,
        reason=reason,
        error=error,
        error_kind=kind if error else None,
    )


class ObjectsCheckPlanner(CheckPlanner):
    """One object on each side, whatever their names."""

    def works(self) -> Iterator[Work]:
        source, destination = self.pair.source, self.pair.destination
        entries: list[Entry | None] = []
        for end in (source, destination):
            try:
                entries.append(end.store.head(end.bucket, end.prefix).entry)
            except ObjectNotFound:
                entries.append(None)
        work = self._compare("", *entries)
        if work is not None:
            yield work
        self.trust.source_complete = self.trust.destination_complete = True


class Checker:
    """Settles by reading what the listings leave open; has the face of a carrier."""

    def __init__(self, stop: StopToken, *, read_back: bool) -> None:
        self._stop = stop
        self._read_back = read_back

    def carry(self, work: Work) -> Outcome:
        started = time.monotonic()
        pair, source = work.job.pair, work.job.entry
        destination = work.existing or source
        caught: Exception | None = None
        try:
            how, same = retrying(lambda: self._compare(pair, source, destination), self._stop)
            error = None if same else "the contents differ (checksum)"
            reason = f"same ({how})" if same else "checksum"
        except Interrupted:
            raise
        except (StorageError, OSError) as problem:
            caught, reason, error = problem, "unreadable", describe(problem)
        seconds = round(time.monotonic() - started, 6)
        result = check_result(
            pair,
            work.key,
            source,
            reason,
            error,
            kind=type(caught).__name__ if caught else DIFFERENCE,
            destination=work.job.destination_key,
            seconds=seconds,
        )
        return Outcome(result, source, None, caught)

    def _compare(self, pair: Pair, source: Entry, destination: Entry) -> tuple[str, bool]:
        # The listings' own checksums come here only when they differ. An ETag that merely looks
        # like an MD5 (encrypted buckets) is unmasked by a metadata request.
        info = pair.source.store.head(pair.source.bucket, source.key)
        other_info = pair.destination.store.head(pair.destination.bucket, destination.key)
        one, two = info.entry, other_info.entry
        for told, other_told in ((one.checksum, two.checksum), (info.crc, other_info.crc)):
            if comparable(told, other_told):
                return "checksum", told == other_told
        if not self._read_back:
            return "size", one.size == two.size
        stop = self._stop.check
        sides = [
            (pair.source, one, pair.destination, other_info),
            (pair.destination, two, pair.source, info),
        ]
        # One side's digest saves reading it; of two that must do, the local one is read.
        sides.sort(key=lambda side: not side[0].store.capabilities.is_local)
        for end, entry, other_end, other in sides:
            same = read_and_compare(end, entry, other_end, other, stop)
            if same is not None:
                return "checksum, read", same
        left = read_digest(pair.source, one, stop)
        return "both read", left == read_digest(pair.destination, two, stop)
