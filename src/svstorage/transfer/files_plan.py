"""Plans the copy of named objects, where no listing of the destination is worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from svstorage.errors import Interrupted, ObjectNotFound, StorageError
from svstorage.model import Entry, Problem
from svstorage.strategies.base import Job
from svstorage.transfer.carry import describe
from svstorage.transfer.compare import Verdict, compare
from svstorage.transfer.deletion import Trust
from svstorage.transfer.filters import Filter
from svstorage.transfer.journal import Journal
from svstorage.transfer.legs import Files, Missing
from svstorage.transfer.options import OnExists
from svstorage.transfer.plan import DONE_BEFORE
from svstorage.transfer.report import Counters, Result
from svstorage.transfer.retry import PASSING, retrying
from svstorage.transfer.stop import StopToken
from svstorage.transfer.versions import source_version, version_of
from svstorage.transfer.work import Work


class FilesPlanner:
    """Looks up each destination key by itself, and only where the answer matters."""

    def __init__(
        self,
        leg: Files,
        *,
        on_exists: OnExists,
        why_excluded: Filter | None,
        counters: Counters,
        tell: Callable[[Result], None],
        stop: StopToken,
        journal: Journal | None = None,
    ) -> None:
        self.pair = leg.pair
        self.trust = Trust()
        self._items = leg.items
        self._on_exists = on_exists
        self._why_excluded = why_excluded
        self._counters = counters
        self._tell = tell
        self._stop = stop
        self._journal = journal if journal is not None and journal.had_rows else None

    def works(self) -> Iterator[Work]:
        for item, key in self._items():
            self._counters.listed += 1
            if isinstance(item, Problem):
                skipped = item.severity == "skipped"
                if skipped:
                    self._counters.skipped += 1
                else:
                    self._counters.failed += 1
                self._say(
                    Entry(item.key, 0),
                    key,
                    None if skipped else item.reason,
                    item.reason,
                    kind="ObjectNotFound" if isinstance(item, Missing) else "Problem",
                )
                continue
            self._counters.bytes_listed += item.size
            reason = self._why_excluded(item.key, item) if self._why_excluded else None
            if reason is not None:
                self._counters.excluded += 1
                self._say(item, key, None, reason, excluded=True)
                continue
            try:
                work = self._plan(item, key)
            except (Interrupted, *PASSING):
                raise  # asked several times: it is the storage that fails, not one object
            except (StorageError, OSError) as error:
                self._counters.failed += 1
                self._say(item, key, describe(error), None, kind=type(error).__name__)
                continue
            if work is not None:
                yield work
        self.trust.source_complete = True

    def _plan(self, entry: Entry, key: str) -> Work | None:
        job = Job(self.pair, entry, key)
        row = self._journal.row(entry.key) if self._journal is not None else None
        if row is not None and row[0] != source_version(entry):
            row = None
        look = row is not None or self._on_exists != "overwrite"
        existing = self._existing(key) if look else None
        if existing is None:
            return Work(job, entry.key)
        if row is not None and row[1] == version_of(existing):
            self._skip(entry, key, DONE_BEFORE)
            return None
        if self._on_exists == "skip":
            self._skip(entry, key, "exists")
            return None
        if self._on_exists == "changed":
            capabilities = (
                self.pair.source.store.capabilities,
                self.pair.destination.store.capabilities,
            )
            both_remote = not any(c.is_local for c in capabilities)
            verdict = compare(entry, existing, both_remote=both_remote)
            if verdict is Verdict.SAME:
                self._skip(entry, key, "unchanged")
                return None
            return Work(job, entry.key, existing, unsure=verdict is Verdict.UNSURE)
        return Work(job, entry.key, existing)

    def _existing(self, key: str) -> Entry | None:
        destination = self.pair.destination
        try:
            return retrying(
                lambda: destination.store.head(destination.bucket, key).entry, self._stop
            )
        except ObjectNotFound:
            return None

    def _skip(self, entry: Entry, key: str, reason: str) -> None:
        self._counters.skipped += 1
        self._counters.bytes_skipped += entry.size
        self._say(entry, key, None, reason)

    def _say(
        self,
        entry: Entry,
        key: str,
        error: str | None,
        reason: str | None,
        *,
        excluded: bool = False,
        kind: str = "Problem",
    ) -> None:
        self._tell(
            Result(
                action="exclude" if excluded else ("copy" if error else "skip"),
                status="failed" if error else "done",
                key=entry.key,
                source=self.pair.source.url(entry.key),
                destination=self.pair.destination.url(key),
                size=entry.size,
                reason=None if error else reason,
                error=error,
                error_kind=kind if error else None,
            )
        )
