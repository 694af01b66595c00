"""Comparing two trees: names, sizes, and checksums where they can be had."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from svstorage.errors import Interrupted, StorageError
from svstorage.model import Checksum, Entry
from svstorage.strategies.base import Job, Pair
from svstorage.transfer.carry import Outcome, Work, describe
from svstorage.transfer.compare import comparable, read_and_compare, read_digest
from svstorage.transfer.deletion import Trust
from svstorage.transfer.filters import Filter
from svstorage.transfer.listing import ReadAhead, listed
from svstorage.transfer.merge import SideProblem, merge
from svstorage.transfer.report import Counters, Result
from svstorage.transfer.stop import StopToken

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
        extra_differs: bool = True,
    ) -> None:
        self.pair = pair
        self._extra_differs = extra_differs
        self.trust = Trust()
        self._why_excluded = why_excluded
        self._counters = counters
        self._tell = tell
        self._tell_all = tell_all
        self._checksums = compare_checksums
        self._read_back = read_back
        capabilities = (pair.source.store.capabilities, pair.destination.store.capabilities)
        self._markers_fold = not all(c.holds_folder_markers for c in capabilities)

    def works(self) -> Iterator[Work]:
        source = ReadAhead(lambda: listed(self.pair.source), "list-source")
        destination = ReadAhead(lambda: listed(self.pair.destination), "list-dest")
        try:
            for both in merge(
                source,
                destination,
                source_prefix=self.pair.source.prefix,
                destination_prefix=self.pair.destination.prefix,
                markers_fold=self._markers_fold,
            ):
                if isinstance(both, SideProblem):
                    self._problem(both)
                    continue
                work = self._compare(both.key, both.source, both.destination)
                if work is not None:
                    yield work
            self.trust.source_complete = self.trust.destination_complete = True
        finally:
            source.close()
            destination.close()

    def _problem(self, found: SideProblem) -> None:
        problem = found.problem
        self._counters.listed += 1
        entry = Entry(problem.key, 0)
        if problem.severity == "skipped":
            self._counters.skipped += 1
            return
        self._counters.failed += 1
        prefix = self.pair.source.prefix if found.side == "source" else ""
        self._say(problem.key[len(prefix) :], entry, "unreadable", problem.reason)

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
    checksum: Checksum | None = None,
    seconds: float = 0.0,
) -> Result:
    """What was found of one object; ``error`` says how it differs, None that it does not."""
    return Result(
        action="check",
        status="failed" if error else "done",
        key=key,
        source=pair.source.url(pair.source.prefix + key),
        destination=pair.destination.url(pair.destination.prefix + key),
        size=entry.size,
        checksum=checksum,
        seconds=seconds,
        reason=reason,
        error=error,
        error_kind="Difference" if error else None,
    )


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
            how, same = self._compare(pair, source, destination)
            error = None if same else "the contents differ (checksum)"
            reason = f"same ({how})" if same else "checksum"
        except Interrupted:
            raise
        except (StorageError, OSError) as problem:
            caught, reason, error = problem, "unreadable", describe(problem)
        seconds = round(time.monotonic() - started, 6)
        result = check_result(pair, work.key, source, reason, error, seconds=seconds)
        return Outcome(result, source, None, caught)

    def _compare(self, pair: Pair, source: Entry, destination: Entry) -> tuple[str, bool]:
        # The listings' own checksums come here only when they differ. An ETag that merely looks
        # like an MD5 (encrypted buckets) is unmasked by a metadata request.
        one = pair.source.store.head(pair.source.bucket, source.key).entry
        two = pair.destination.store.head(pair.destination.bucket, destination.key).entry
        if comparable(one.checksum, two.checksum):
            return "checksum", one.checksum == two.checksum
        if not self._read_back:
            return "size", one.size == two.size
        stop = self._stop.check
        source, destination = pair.source, pair.destination
        for end, entry, other_end, other in (
            (source, one, destination, two),
            (destination, two, source, one),
        ):
            if end.store.capabilities.is_local and other.checksum is not None:
                same = read_and_compare(end, entry, other_end, other, stop)
                if same is not None:
                    return "checksum, read", same
        # One side's digest saves reading the other.
        if one.checksum is not None and one.checksum.algorithm == "md5":
            return "checksum, read", read_digest(destination, two, stop) == one.checksum
        left = read_digest(source, one, stop)
        if two.checksum is not None and two.checksum.algorithm == "md5":
            return "checksum, read", left == two.checksum
        return "both read", left == read_digest(destination, two, stop)
