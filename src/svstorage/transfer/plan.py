"""What to do about each object: the diff of both listings, turned into work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from svstorage.model import Entry, key_order
from svstorage.strategies.base import Job, Pair
from svstorage.transfer.compare import Verdict, compare
from svstorage.transfer.deletion import Deletions, Trust
from svstorage.transfer.filters import Filter
from svstorage.transfer.journal import Journal
from svstorage.transfer.merge import Both, SideProblem
from svstorage.transfer.options import OnExists
from svstorage.transfer.report import Action, Counters, Result, Status
from svstorage.transfer.sides import both_sides
from svstorage.transfer.spans import Span
from svstorage.transfer.stop import StopToken
from svstorage.transfer.versions import source_version, version_of
from svstorage.transfer.work import Work

DONE_BEFORE = "done before"
"""The reason of what an earlier run has done, by its journal."""


class JournalRows:
    """The journal's rows, walked in step with the listings (both are in byte order)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows = journal.rows()
        self._next = next(self._rows, None)

    def versions(self, order: bytes) -> tuple[bytes, bytes] | None:
        """(source version, destination version) of a key, dropping the rows passed over."""
        while self._next is not None and self._next[0] < order:
            self._journal.drop(self._next[0])
            self._next = next(self._rows, None)
        if self._next is None or self._next[0] != order:
            return None
        _, source, destination = self._next
        self._next = next(self._rows, None)
        return source, destination

    def finish(self) -> None:
        """The source has no more keys: the rows that are left are of keys that it lost."""
        while self._next is not None:
            self._journal.drop(self._next[0])
            self._next = next(self._rows, None)


class TreePlanner:
    """Plans a copy of everything below one prefix to everything below another.

    ``counters`` is written only by the thread that runs `works`. ``tell`` gets a `Result` for
    each object that needs no work; None where nobody wants to know each by name. ``span``
    restricts it to a range of keys.
    """

    def __init__(
        self,
        pair: Pair,
        *,
        on_exists: OnExists,
        why_excluded: Filter | None,
        journal: Journal | None,
        counters: Counters,
        tell: Callable[[Result], None],
        tell_all: bool,
        deletions: Deletions | None,
        stop: StopToken,
        span: Span | None = None,
    ) -> None:
        self.pair = pair
        self.trust = Trust()
        self._span = span
        self._on_exists = on_exists
        self._why_excluded = why_excluded
        self._journal = journal
        self._counters = counters
        self._tell = tell
        self._tell_all = tell_all
        self._deletions = deletions
        self._stop = stop
        self._rows = JournalRows(journal) if journal is not None and journal.had_rows else None
        capabilities = (pair.source.store.capabilities, pair.destination.store.capabilities)
        self._both_remote = not any(c.is_local for c in capabilities)
        self._same_service = pair.same_service

    @property
    def lists_destination(self) -> bool:
        """A plain overwrite into nothing known needs no look at the destination."""
        return (
            self._on_exists != "overwrite" or self._deletions is not None or self._rows is not None
        )

    def works(self) -> Iterator[Work]:
        """Everything that has to be carried, in byte order of the keys.

        Raises:
            ListingError, ConnectionFailed, …: a listing broke; what came before was yielded.
        """
        with both_sides(
            self.pair, self._span, self._stop, with_destination=self.lists_destination
        ) as found:
            for both in found:
                work = self._plan(both)
                if work is not None:
                    yield work
            if self._rows is not None:
                self._rows.finish()
            self.trust.source_complete = True
            self.trust.destination_complete = self.lists_destination

    def _plan(self, both: Both | SideProblem) -> Work | None:
        if isinstance(both, SideProblem):
            self._problem(both)
            return None
        entry, existing = both.source, both.destination
        if existing is not None:
            self.trust.destination_objects += 1
        if entry is None:
            if self._deletions is not None and existing is not None:
                excluded = self._why_excluded and self._why_excluded(both.key, existing)
                if not excluded:
                    self._deletions.add(existing.key)
            return None
        self.trust.source_objects += 1
        counters = self._counters
        counters.listed += 1
        counters.bytes_listed += entry.size
        row = self._rows.versions(key_order(both.key)) if self._rows is not None else None
        if self._why_excluded is not None:
            reason = self._why_excluded(both.key, entry)
            if reason is not None:
                counters.excluded += 1
                self._say("exclude", both.key, entry, reason)
                return None
        if not both.key and entry.is_folder_marker:
            self._skip(both.key, entry, "marker of the folder itself")
            return None
        job = Job(self.pair, entry, self.pair.destination.prefix + both.key)
        if existing is None:
            return Work(job, both.key)
        if row is not None and row == (source_version(entry), version_of(existing)):
            self._skip(both.key, entry, DONE_BEFORE)
            return None
        if self._on_exists == "skip":
            self._skip(both.key, entry, "exists")
            return None
        if self._on_exists == "changed":
            verdict = compare(
                entry,
                existing,
                both_remote=self._both_remote,
                same_clock=self._same_service,
            )
            if verdict is Verdict.SAME:
                self._skip(both.key, entry, "unchanged")
                return None
            return Work(job, both.key, existing, unsure=verdict is Verdict.UNSURE)
        return Work(job, both.key, existing)

    def _skip(self, key: str, entry: Entry, reason: str) -> None:
        self._counters.skipped += 1
        self._counters.bytes_skipped += entry.size
        self._say("skip", key, entry, reason)

    def _problem(self, found: SideProblem) -> None:
        problem = found.problem
        if found.side == "destination":
            # Nothing to carry hangs on it, but a tree that cannot be read must not be pruned.
            if problem.severity == "error":
                self.trust.problems += 1
            return
        self._counters.listed += 1
        entry = Entry(problem.key, 0)
        key = problem.key[len(self.pair.source.prefix) :]
        if problem.severity == "skipped":
            self._counters.skipped += 1
            self._say("skip", key, entry, problem.reason, always=True)
        else:
            self.trust.problems += 1
            self._counters.failed += 1
            self._say("copy", key, entry, None, "failed", problem.reason)

    def _say(
        self,
        action: Action,
        key: str,
        entry: Entry,
        reason: str | None,
        status: Status = "done",
        error: str | None = None,
        *,
        always: bool = False,
    ) -> None:
        if not (self._tell_all or always or status == "failed"):
            return
        self._tell(
            Result(
                action=action,
                status=status,
                key=key,
                source=self.pair.source.url(entry.key),
                destination=self.pair.destination.url(self.pair.destination.prefix + key),
                size=entry.size,
                reason=reason,
                error=error,
                error_kind="Problem" if error else None,
            )
        )
