"""One run over one pair: plan, engine, journal, report and deletions, tied together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from svstorage.errors import Interrupted, StorageError, UsageError
from svstorage.plugins import Registry
from svstorage.strategies.base import Pair
from svstorage.transfer import chosen
from svstorage.transfer.carry import Carrier, describe
from svstorage.transfer.concurrency import AdaptiveConcurrency, FixedConcurrency
from svstorage.transfer.deletion import Deletions, Trust, delete, refusal
from svstorage.transfer.engine import Concurrency
from svstorage.transfer.events import Observers
from svstorage.transfer.filters import build_filter
from svstorage.transfer.journal import Journal, JournalBusy, default_path
from svstorage.transfer.lane import Lane, open_lane
from svstorage.transfer.ledger import Ledger
from svstorage.transfer.meter import Meter
from svstorage.transfer.options import OnExists, TransferOptions
from svstorage.transfer.part_log import JournalPartLog, abort
from svstorage.transfer.plan import TreePlanner
from svstorage.transfer.reopening import EndReference
from svstorage.transfer.report import Progress, Report, Result
from svstorage.transfer.reporter import ReportFile
from svstorage.transfer.spans import Span
from svstorage.transfer.spread import spread_of
from svstorage.transfer.stop import StopToken
from svstorage.transfer.tree_task import Shape
from svstorage.transfer.work import Carries, Outcome, Work


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
    references: Callable[[Pair], Sequence[EndReference]] | None = None
    """How another process opens both ends; None where it cannot."""
    observed: bool = True
    """False in a worker: the process that runs the whole tells of it."""


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
        self._observers = Observers(registry.observers.values() if hooks.observed else ())
        self.ledger = Ledger(
            max_errors=options.max_errors,
            on_result=hooks.on_result,
            report=hooks.report,
            observe=self._observers.ended if self._observers else None,
        )
        # Stops with the caller's token, and also when the run gives up by itself.
        self.stop = hooks.stop.child()
        self._keep_journal = keep_journal
        self._strategies = chosen.strategies(registry, options.strategy)
        self.engine = chosen.engine(registry, options.engine, options.engine_options)
        self._meter = Meter()
        self._planning_done = False
        self._journal: Journal | None = None
        self._concurrency: Concurrency = (
            FixedConcurrency(options.concurrency) if options.concurrency else AdaptiveConcurrency()
        )

    # -- the whole ---------------------------------------------------------------------------

    def execute(
        self,
        planner_of: Callable[[Run, Deletions | None], Planner],
        carrier: Carries | None = None,
        shape: Shape | None = None,
    ) -> Report:
        """Carry everything the planner finds. Failures are in the report, not raised.

        ``carrier`` None copies; a check brings its own. ``shape`` says what is done where that
        is a whole tree: an engine may spread it over other processes.

        Raises:
            UsageError: the request itself is wrong; nothing was touched.
        """
        if self.options.delete and self.options.max_delete is not None:
            _at_least(self.options.max_delete, 0, "--max-delete")
        return self._observers.over(
            lambda: self._execute(planner_of, carrier, shape), self.operation, self.pair
        )

    def _execute(
        self,
        planner_of: Callable[[Run, Deletions | None], Planner],
        carrier: Carries | None,
        shape: Shape | None,
    ) -> Report:
        ledger = self.ledger
        with ExitStack() as stack:
            deletions = None
            if self.options.delete:
                deletions = Deletions()
                stack.callback(deletions.close)
            spread = spread_of(self, shape, self._spread_journals())
            lane = None
            if spread is None and carrier is None:
                # Before there are threads.
                lane = open_lane(
                    self.pair, self.options, self._strategies, self.stop, tree=shape is not None
                )
            if spread is not None:
                stack.enter_context(spread)
                trust = spread.trust
                self._carry_all(spread.groups(deletions))
                self._planning_done = spread.planned_all
            else:
                self._journal = ledger.journal = self._open_journal(stack)
                planner = planner_of(self, deletions)
                trust = planner.trust
                self._carry_all(self._outcomes(planner, carrier, lane))
            interrupted = self.hooks.stop.stopped and not (
                self._planning_done and ledger.all_done()
            )
            ledger.settle(stopped=interrupted)
            refused: int | None = None
            if deletions is not None and not interrupted:
                refused = self._delete(deletions, trust)
                interrupted = self.hooks.stop.stopped
            self._flush()
            clean = not (interrupted or ledger.fatal or ledger.counters.failed or refused)
            if clean and not self.options.dry_run:
                if self._journal is not None:
                    self._complete(self._journal)
                elif spread is not None:
                    spread.completed(keep=self._keep_journal)
        self._progress("done", force=True)
        return Report(
            operation=self.operation,
            source=self.pair.source.location,
            destination=self.pair.destination.location,
            counters=dataclasses.replace(ledger.counters),
            seconds=self._meter.seconds,
            failures=tuple(ledger.failures),
            differences=tuple(ledger.differences),
            interrupted=interrupted,
            dry_run=self.options.dry_run,
            warnings=tuple(ledger.warnings),
            strategies=dict(ledger.strategies),
            fatal=ledger.fatal[0] if ledger.fatal else None,
            fatal_exit_code=ledger.fatal[1] if ledger.fatal else 1,
        )

    def _flush(self) -> None:
        """What a local disk or the report held back so far goes out, or the run has failed."""
        flush = getattr(self.pair.destination.store, "flush", None)
        try:
            if flush is not None and not self.options.dry_run:
                flush()
            if self.hooks.report is not None:
                self.hooks.report.flush()
        except StorageError as error:
            self.ledger.give_up(str(error), error.exit_code)
        except OSError as error:
            self.ledger.give_up(f"the report cannot be written: {describe(error)}", 1)

    def tree_planner(self, deletions: Deletions | None, span: Span | None = None) -> TreePlanner:
        return TreePlanner(
            self.pair,
            on_exists=self.on_exists,
            why_excluded=build_filter(self.options),
            journal=self._journal,
            counters=self.ledger.planned,
            tell=self.ledger.tell,
            tell_all=self.ledger.tells_all,
            deletions=deletions,
            stop=self.stop,
            span=span,
        )

    # -- carrying ----------------------------------------------------------------------------

    @property
    def moved(self) -> Callable[[int], None]:
        """To be called with counts of bytes as they move."""
        return self._meter.moved

    def _outcomes(
        self, planner: Planner, carrier: Carries | None, lane: Lane | None
    ) -> Iterator[Sequence[Outcome]]:
        carrier = carrier or Carrier(
            self._strategies,
            self.options,
            stop=self.stop,
            part_log=self._part_log_for(self._journal) if self._journal is not None else None,
            moved=self._meter.moved,
            throttled=self._concurrency.slow_down,
            observe=self._observers.on_the_way if self._observers else None,
            lane=lane,
        )

        def works() -> Iterator[Work]:
            yield from planner.works()
            self._planning_done = True

        return self.engine.outcomes(works(), carrier, concurrency=self._concurrency, stop=self.stop)

    def _carry_all(self, groups: Iterator[Sequence[Outcome]]) -> None:
        ledger = self.ledger
        phase = "checking" if self.operation == "check" else "copying"
        try:
            # Told before anything moves: from here on a signal has to let go of what is in flight.
            self._progress(phase, force=True)
            for group in groups:
                for outcome in group:
                    ledger.take(outcome)
                ledger.take_told()
                self._progress(phase)
                if ledger.fatal is not None:
                    break
        except Interrupted:
            self.hooks.stop.stop()
        except UsageError:
            raise
        except StorageError as error:
            ledger.give_up(str(error), error.exit_code)
        except OSError as error:
            ledger.give_up(describe(error), 1)
        finally:
            # Nobody waits for a further try once the run has ended.
            self.stop.stop()
            ledger.closing = True
            close = getattr(groups, "close", None)
            if close is not None:
                close()
        ledger.take_told()

    def _progress(self, phase: str, *, force: bool = False) -> None:
        if self.hooks.on_progress is None or not (force or self._meter.due()):
            return
        if self.hooks.report is not None:
            self.hooks.report.flush()
        self.hooks.on_progress(
            self._meter.snapshot(
                self.ledger.combined() if self.ledger.planned.listed else self.ledger.counters,
                listing_done=self._planning_done,
                concurrency=self._concurrency.limit,
                phase=phase,
            )
        )

    # -- deleting ----------------------------------------------------------------------------

    def _delete(self, deletions: Deletions, trust: Trust) -> int | None:
        """The exit code of a refusal, or None."""
        ledger = self.ledger
        if ledger.fatal is not None:
            return 1
        refused = refusal(deletions, trust, ledger.counters, self.options)
        if refused is not None:
            ledger.warnings.append(refused.reason)
            # Failures are told one by one; without any, the exit code must say it all the same.
            if refused.exit_code == 2 or not ledger.counters.failed:
                ledger.give_up(refused.reason, refused.exit_code)
            return refused.exit_code
        destination = self.pair.destination
        for key, error in delete(
            destination, deletions, dry_run=self.options.dry_run, stop=self.hooks.stop
        ):
            if error is None:
                ledger.counters.deleted += 1
            else:
                ledger.counters.delete_failed += 1
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
                ledger.keep(result)
            ledger.publish(result)
            self._progress("deleting")
        return None

    # -- journal -----------------------------------------------------------------------------

    def _open_journal(self, stack: ExitStack) -> Journal | None:
        where = self.options.journal
        if where == "none" or self.options.dry_run:
            return None
        source, destination = identity(self.pair)
        explicit = isinstance(where, Path)
        path = where if isinstance(where, Path) else self._journal_path()
        try:
            journal = stack.enter_context(
                Journal(path, source=source, destination=destination, explicit=explicit)
            )
            if self.on_exists == "overwrite" and journal.was_complete:
                # Rows of a run that was cut off say where to go on; those of one that came to
                # its end do not outweigh the word that everything is to be written again.
                journal.forget_done()
            return journal
        except JournalBusy as error:
            if explicit or self.options.delete:
                raise UsageError(
                    f"{error}: another copy of this pair is under way; wait for it to end"
                ) from None
            self.ledger.warnings.append(f"{error}; this run goes on without a journal")
        except OSError as error:
            if explicit:
                raise UsageError(f"--journal {path}: {describe(error)}") from None
            self.ledger.warnings.append(f"no journal can be kept ({describe(error)})")
        return None

    def _journal_path(self) -> Path:
        source, destination = identity(self.pair)
        # A cp leaves nothing in its journal, a sync all it knows: each has its own.
        return default_path(source if self._keep_journal else f"cp {source}", destination)

    def _spread_journals(self) -> str | None:
        """The folder for the journals of ranges, for `TreeTask`."""
        where = self.options.journal
        if where == "none" or self.options.dry_run:
            return None
        if isinstance(where, Path):
            return f"{where.absolute()}.ranges"
        return f"{self._journal_path().stem}.ranges"

    def _part_log_for(self, journal: Journal) -> Callable[[Work], JournalPartLog]:
        end = self.pair.destination
        return lambda work: JournalPartLog(
            journal, work.key, work.job.entry, end, work.job.destination_key
        )

    def _complete(self, journal: Journal) -> None:
        """Everything is there. Uploads of objects that are gone from the source wait in vain."""
        for key, upload_id in journal.uploads():
            abort(self.pair.destination, key, upload_id)
        journal.complete(keep=self._keep_journal)


def identity(pair: Pair) -> tuple[str, str]:
    """What tells the journal of one pair from those of others."""
    return tuple(  # type: ignore[return-value]
        f"{end.store.identity}|{end.bucket}|{end.prefix}" for end in (pair.source, pair.destination)
    )


def journal_of(pair: Pair, named: Path) -> Path:
    """The journal of one of several pairs, where the user has named one file for all of them."""
    return named.with_name(f"{named.name}.{default_path(*identity(pair)).stem[:8]}")


def _at_least(value: int, least: int, option: str) -> None:
    if value < least:
        raise UsageError(f"{option}: {value} is below {least}")
