"""One run over one pair: plan, engine, journal, report and deletions, tied together."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from svstorage.addresses import display
from svstorage.errors import Interrupted, StorageError, UsageError
from svstorage.plugins import Registry
from svstorage.strategies.base import Pair, Strategy
from svstorage.transfer.carry import SERVICE_WIDE, Carrier, Carries, Outcome, Work, describe
from svstorage.transfer.concurrency import AdaptiveConcurrency, FixedConcurrency
from svstorage.transfer.deletion import Deletions, Trust, delete, refusal
from svstorage.transfer.engine import Concurrency, Engine
from svstorage.transfer.filters import build_filter
from svstorage.transfer.journal import Journal, JournalBusy, JournalPartLog, default_path
from svstorage.transfer.meter import Meter
from svstorage.transfer.options import OnExists, TransferOptions
from svstorage.transfer.plan import TreePlanner
from svstorage.transfer.report import Counters, Progress, Report, Result
from svstorage.transfer.reporter import ReportFile
from svstorage.transfer.stop import StopToken

KEPT_FAILURES = 1_000
# This many failures in a row that speak about the service, with not one success between
# them, mean that the service is gone or refuses us: going on would only take long.
HOPELESS = 64


class Planner(Protocol):
    """Where a run's work comes from."""

    pair: Pair
    trust: Trust

    def works(self) -> Iterator[Work]: ...


@dataclass(slots=True)
class Hooks:
    """Who wants to hear of a run. All are called in the thread that runs it."""

    on_progress: Callable[[Progress], None] | None = None
    on_result: Callable[[Result], None] | None = None
    stop: StopToken = field(default_factory=StopToken)
    report: ReportFile | None = None


class Run:
    """A transfer under way. Make one, call `execute`, throw it away."""

    def __init__(
        self,
        operation: str,
        pair: Pair,
        *,
        options: TransferOptions,
        default_on_exists: OnExists,
        registry: Registry,
        hooks: Hooks,
        keep_journal: bool,
    ) -> None:
        self.operation = operation
        self.pair = pair
        self.options = options
        self.on_exists: OnExists = options.on_exists or default_on_exists
        self.hooks = hooks
        self.counters = Counters()
        self._planned = Counters()
        self._keep_journal = keep_journal
        self._registry = registry
        self._strategies = _strategies(registry, options.strategy)
        self._engine = _engine(registry, options.engine)
        self._meter = Meter()
        self._failures: list[Result] = []
        self._differences: list[Result] = []
        self._warnings: list[str] = []
        self._used: dict[str, int] = {}
        self._told_lock = threading.Lock()
        self._told: list[Result] = []
        self._planning_done = False
        self._in_a_row = 0
        self._fatal: tuple[str, int] | None = None
        self._journal: Journal | None = None
        self._concurrency: Concurrency = (
            FixedConcurrency(options.concurrency) if options.concurrency else AdaptiveConcurrency()
        )

    # -- the whole ---------------------------------------------------------------------------

    def execute(
        self,
        planner_of: Callable[[Run, Deletions | None], Planner],
        carrier: Carries | None = None,
    ) -> Report:
        """Carry everything the planner finds. Failures are in the report, not raised.

        ``carrier`` None copies; a check brings its own.

        Raises:
            UsageError: the request itself is wrong; nothing was touched.
        """
        if self.options.delete and self.options.max_delete is not None:
            _at_least(self.options.max_delete, 0, "--max-delete")
        with ExitStack() as stack:
            self._journal = self._open_journal(stack)
            deletions = None
            if self.options.delete:
                deletions = Deletions()
                stack.callback(deletions.close)
            planner = planner_of(self, deletions)
            interrupted = self._carry_all(planner, carrier)
            self._settle_counters(interrupted)
            refused: int | None = None
            if deletions is not None and not interrupted:
                refused = self._delete(deletions, planner.trust)
            clean = not (interrupted or self._fatal or self.counters.failed or refused)
            if self._journal is not None and clean and not self.options.dry_run:
                self._journal.complete(keep=self._keep_journal)
        self._progress("done", force=True)
        return Report(
            operation=self.operation,
            source=self.pair.source.location,
            destination=self.pair.destination.location,
            counters=dataclasses.replace(self.counters),
            seconds=self._meter.seconds,
            failures=tuple(self._failures),
            differences=tuple(self._differences),
            interrupted=interrupted,
            dry_run=self.options.dry_run,
            warnings=tuple(self._warnings),
            strategies=dict(self._used),
            fatal=self._fatal[0] if self._fatal else None,
            fatal_exit_code=self._fatal[1] if self._fatal else 1,
        )

    def tree_planner(self, deletions: Deletions | None) -> TreePlanner:
        return TreePlanner(
            self.pair,
            on_exists=self.on_exists,
            why_excluded=build_filter(self.options),
            journal=self._journal,
            counters=self._planned,
            tell=self.tell,
            tell_all=self.tells_all,
            deletions=deletions,
        )

    @property
    def tells_all(self) -> bool:
        return self.hooks.on_result is not None or self.hooks.report is not None

    @property
    def planned(self) -> Counters:
        """Counters of the planning thread; nobody else writes them."""
        return self._planned

    def tell(self, result: Result) -> None:
        """Called by the planner, in its thread, for what needs no work."""
        with self._told_lock:
            self._told.append(result)

    # -- carrying ----------------------------------------------------------------------------

    def _carry_all(self, planner: Planner, carrier: Carries | None) -> bool:
        """True where the run was interrupted."""
        carrier = carrier or Carrier(
            self._strategies,
            self.options,
            stop=self.hooks.stop,
            part_log=self._part_log if self._journal is not None else None,
            moved=self._meter.moved,
            throttled=self._concurrency.slow_down,
        )

        def works() -> Iterator[Work]:
            yield from planner.works()
            self._planning_done = True

        groups = self._engine.outcomes(
            works(), carrier, concurrency=self._concurrency, stop=self.hooks.stop
        )
        try:
            for group in groups:
                for outcome in group:
                    self._take(outcome)
                self._take_told()
                self._progress("copying")
                if self._fatal is not None:
                    break
        except Interrupted:
            self.hooks.stop.stop()
        except UsageError:
            raise
        except StorageError as error:
            self._fatal = (str(error), error.exit_code)
        except OSError as error:
            self._fatal = (describe(error), 1)
        finally:
            close = getattr(groups, "close", None)
            if close is not None:
                close()
        self._take_told()
        return self.hooks.stop.stopped and not (self._planning_done and self._all_done())

    def _all_done(self) -> bool:
        planned, counters = self._planned, self.counters
        done = counters.copied + counters.failed + counters.skipped
        return planned.listed == done + planned.skipped + planned.failed + planned.excluded

    def _take(self, outcome: Outcome) -> None:
        result, counters = outcome.result, self.counters
        self._used[result.strategy or "-"] = self._used.get(result.strategy or "-", 0) + 1
        counters.retries += max(0, result.attempts - 1)
        if result.status == "failed":
            counters.failed += 1
            self._failed(result, outcome.error)
        elif result.action == "skip":
            counters.skipped += 1
            counters.bytes_skipped += result.size
            self._in_a_row = 0
            if self._journal is not None and outcome.same_as is not None:
                self._journal.still_done(result.key, outcome.source, outcome.same_as)
        else:
            counters.copied += 1
            counters.bytes_copied += result.size
            self._in_a_row = 0
            if self._journal is not None and outcome.stored is not None:
                self._journal.done(result.key, outcome.source, outcome.stored)
        self._publish(result)

    def _failed(self, result: Result, error: Exception | None) -> None:
        self._keep(result)
        if error is not None and isinstance(error, SERVICE_WIDE):
            self._in_a_row += 1
            if self._in_a_row >= HOPELESS and not self.counters.copied:
                code = getattr(error, "exit_code", 1)
                self._fatal = (
                    f"{self._in_a_row} objects failed one after another and none was copied; "
                    f"the last: {result.error}",
                    3 if code in (1, 3) else code,
                )
        else:
            self._in_a_row = 0
        most = self.options.max_errors
        if most is not None and self.counters.failed + self._planned.failed > most:
            self._fatal = (f"more than {most} objects failed (--max-errors)", 1)

    def _keep(self, result: Result) -> None:
        kept = self._differences if result.error_kind == "Difference" else self._failures
        if len(kept) < KEPT_FAILURES:
            kept.append(result)

    def _publish(self, result: Result) -> None:
        if self.hooks.on_result is not None:
            self.hooks.on_result(result)
        if self.hooks.report is not None:
            self.hooks.report.write(result)

    def _take_told(self) -> None:
        if not self._told:
            return
        with self._told_lock:
            told, self._told = self._told, []
        for result in told:
            if result.status == "failed":
                self._keep(result)
            elif result.action == "skip" and result.reason and not self.tells_all:
                self._warnings.append(f"{display(result.source)}: {result.reason}")
            self._publish(result)

    def _settle_counters(self, interrupted: bool) -> None:
        counters, planned = self.counters, self._planned
        counters.listed = planned.listed
        counters.bytes_listed = planned.bytes_listed
        counters.excluded = planned.excluded
        counters.skipped += planned.skipped
        counters.bytes_skipped += planned.bytes_skipped
        counters.failed += planned.failed
        if interrupted or self._fatal is not None:
            done = counters.copied + counters.skipped + counters.failed + counters.excluded
            counters.left = counters.listed - done
        self._planned = Counters()

    def _combined(self) -> Counters:
        planned, counters = self._planned, self.counters
        if not planned.listed:
            return counters
        return dataclasses.replace(
            counters,
            listed=planned.listed,
            bytes_listed=planned.bytes_listed,
            excluded=planned.excluded,
            skipped=counters.skipped + planned.skipped,
            bytes_skipped=counters.bytes_skipped + planned.bytes_skipped,
            failed=counters.failed + planned.failed,
        )

    def _progress(self, phase: str, *, force: bool = False) -> None:
        if self.hooks.on_progress is None or not (force or self._meter.due()):
            return
        if self.hooks.report is not None:
            self.hooks.report.flush()
        last = tuple(f"{display(f.source)}: {display(f.error or '')}" for f in self._failures[-3:])
        self.hooks.on_progress(
            self._meter.snapshot(
                self._combined(),
                listing_done=self._planning_done,
                concurrency=self._concurrency.limit,
                phase=phase,
                failures=last,
            )
        )

    # -- deleting ----------------------------------------------------------------------------

    def _delete(self, deletions: Deletions, trust: Trust) -> int | None:
        """The exit code of a refusal, or None."""
        if self._fatal is not None:
            return 1
        refused = refusal(deletions, trust, self.counters, self.options)
        if refused is not None:
            self._warnings.append(refused.reason)
            if refused.exit_code == 2:
                self._fatal = (refused.reason, refused.exit_code)
            return refused.exit_code
        destination = self.pair.destination
        for key, error in delete(destination, deletions, dry_run=self.options.dry_run):
            if error is None:
                self.counters.deleted += 1
            else:
                self.counters.delete_failed += 1
            result = Result(
                action="delete",
                status="failed" if error else ("planned" if self.options.dry_run else "done"),
                key=key[len(destination.prefix) :],
                source="",
                destination=destination.url(key),
                error=describe(error) if error else None,
                error_kind=type(error).__name__ if error else None,
            )
            if error is not None:
                self._keep(result)
            self._publish(result)
            self._progress("deleting")
        return None

    # -- journal -----------------------------------------------------------------------------

    def _open_journal(self, stack: ExitStack) -> Journal | None:
        where = self.options.journal
        if where == "none" or self.options.dry_run:
            return None
        source, destination = _identity(self.pair)
        explicit = isinstance(where, Path)
        path = where if isinstance(where, Path) else default_path(source, destination)
        try:
            return stack.enter_context(
                Journal(path, source=source, destination=destination, explicit=explicit)
            )
        except JournalBusy as error:
            if explicit or self.options.delete:
                raise UsageError(
                    f"{error}: another copy of this pair is under way; wait for it to end"
                ) from None
            self._warnings.append(f"{error}; this run goes on without a journal")
        except OSError as error:
            if explicit:
                raise UsageError(f"--journal {path}: {describe(error)}") from None
            self._warnings.append(f"no journal can be kept ({describe(error)})")
        return None

    def _part_log(self, work: Work) -> JournalPartLog:
        assert self._journal is not None
        return JournalPartLog(self._journal, work.key, work.job.entry, work.job.destination_key)


def _identity(pair: Pair) -> tuple[str, str]:
    return tuple(  # type: ignore[return-value]
        f"{end.store.identity}|{end.bucket}|{end.prefix}" for end in (pair.source, pair.destination)
    )


def _strategies(registry: Registry, name: str | None) -> Sequence[Strategy]:
    known = registry.strategies
    if name is None:
        return list(known.values())
    if name not in known:
        raise UsageError(f"--strategy: none is called {name!r}; there are: {_names(known)}")
    return [known[name], *(s for s in known.values() if s.name == "marker" and s.name != name)]


def _engine(registry: Registry, name: str) -> Engine:
    if name not in registry.engines:
        raise UsageError(
            f"--engine: none is called {name!r}; there are: {_names(registry.engines)}"
        )
    engine: Engine = registry.engines[name]
    return engine


def _names(table: Iterable[str]) -> str:
    return ", ".join(sorted(table)) or "none"


def _at_least(value: int, least: int, option: str) -> None:
    if value < least:
        raise UsageError(f"{option}: {value} is below {least}")
