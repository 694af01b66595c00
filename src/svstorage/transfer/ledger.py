"""The books of one run: what has become of each object, and when to give up."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from svstorage.addresses import display
from svstorage.transfer.carry import SERVICE_WIDE, describe
from svstorage.transfer.journal import Journal
from svstorage.transfer.report import Counters, Result
from svstorage.transfer.reporter import ReportFile
from svstorage.transfer.work import Outcome

if TYPE_CHECKING:
    from svstorage.transfer.tree_task import SpanReport

log = logging.getLogger(__name__)

KEPT_FAILURES = 1_000
MOST_TOLD = 30_000  # some 15 MB; drained at least four times a second
# This many failures in a row that speak about the service, with not one success between
# them, mean that the service is gone or refuses us: going on would only take long.
HOPELESS = 64
# Refusals may be about one folder of a tree, so they have to be many more.
HOPELESS_REFUSALS = 1_000
# Nor does it take so many where each takes long: this many, and so many seconds without success.
FEW = 8
PATIENCE_SECONDS = 60.0


class Ledger:
    """Counts, keeps the first failures, and passes each result on. One thread calls it, but for
    `tell`, which the planner calls in its own."""

    def __init__(
        self,
        *,
        max_errors: int | None,
        on_result: Callable[[Result], None] | None,
        report: ReportFile | None,
        observe: Callable[[Result], None] | None = None,
    ) -> None:
        self.counters = Counters()
        self.planned = Counters()
        """Counters of the planning thread; nobody else writes them."""
        self.failures: list[Result] = []
        self.differences: list[Result] = []
        self.warnings: list[str] = []
        self.strategies: dict[str, int] = {}
        self.fatal: tuple[str, int] | None = None
        """Why the run must end before its end, and the exit code that says so."""
        self.journal: Journal | None = None
        self.tells_all = on_result is not None or report is not None
        self._max_errors = max_errors
        self._on_result = on_result
        self._report = report
        self._observe = observe
        self.closing = False
        """The run is about to end: nobody waits for room any more."""
        self._told_room = threading.Condition()
        self._told: list[Result] = []
        self._in_a_row = 0
        self._any_success = False
        self._success_at = time.monotonic()

    # -- what happened -------------------------------------------------------------------------

    def tell(self, result: Result) -> None:
        """Called by the planner, in its thread, for what needs no work."""
        with self._told_room:
            # Who writes the results may be slower than who plans: they must not pile up.
            while len(self._told) >= MOST_TOLD and not self.closing:
                self._told_room.wait(0.2)
            self._told.append(result)

    def take_told(self) -> None:
        """Enter what the planner has told since."""
        if not self._told:
            return
        with self._told_room:
            told, self._told = self._told, []
            self._told_room.notify_all()
        for result in told:
            if result.status == "failed":
                self.keep(result)
            elif result.action == "skip" and result.reason and not self.tells_all:
                self.warn(f"{display(result.source)}: {result.reason}")
            self.publish(result)
        self._mind_max_errors()

    def take(self, outcome: Outcome) -> None:
        """Enter the outcome of one piece of work."""
        result, counters = outcome.result, self.counters
        name = result.strategy or "-"
        self.strategies[name] = self.strategies.get(name, 0) + 1
        counters.retries += max(0, result.attempts - 1)
        if result.status == "failed":
            counters.failed += 1
            self._failed(result, outcome.error)
        elif result.action in ("skip", "check"):
            counters.skipped += 1
            counters.bytes_skipped += result.size
            self._succeeded()
            if self.journal is not None and outcome.same_as is not None:
                self.journal.still_done(result.key, outcome.source, outcome.same_as)
        else:
            counters.copied += 1
            counters.bytes_copied += result.size
            self._succeeded()
            if self.journal is not None and outcome.stored is not None:
                self.journal.done(result.key, outcome.source, outcome.stored)
        self.publish(result)

    def enter_span(self, report: SpanReport) -> None:
        """Enter how a range went that another process has carried."""
        counters, planned, theirs = self.counters, self.planned, report.counters
        for name in ("copied", "skipped", "failed", "bytes_copied", "bytes_skipped", "retries"):
            setattr(counters, name, getattr(counters, name) + getattr(theirs, name))
        planned.excluded += theirs.excluded
        # What was there when the range was cut stood for what its worker found.
        listed, size = theirs.listed, theirs.bytes_listed
        if not report.complete:
            listed, size = max(listed, report.span.objects), max(size, report.span.size)
        planned.listed += listed - report.span.objects
        planned.bytes_listed += size - report.span.size
        for strategy, count in report.strategies.items():
            self.strategies[strategy] = self.strategies.get(strategy, 0) + count
        for warning in report.warnings:
            if warning not in self.warnings:
                self.warn(warning)
        for result in report.results:
            if result.status == "failed":
                self.keep(result)
            self.publish(result)
        if report.fatal is not None:
            self.give_up(report.fatal, report.fatal_exit_code)
        self._mind_max_errors()

    def _failed(self, result: Result, error: Exception | None) -> None:
        self.keep(result)
        if error is not None and _service_wide(error):
            self._in_a_row += 1
            if self._is_hopeless(error):
                code = getattr(error, "exit_code", 1)
                self.give_up(
                    f"{self._in_a_row} objects failed one after another; the last: {result.error}",
                    3 if code in (1, 3) else code,
                )
        else:
            self._in_a_row = 0
        self._mind_max_errors()

    def _succeeded(self) -> None:
        self._in_a_row = 0
        self._any_success = True
        self._success_at = time.monotonic()

    def _is_hopeless(self, error: Exception) -> bool:
        if isinstance(error, PermissionError):
            return self._in_a_row >= HOPELESS_REFUSALS and not self._any_success
        if self._in_a_row >= HOPELESS and not self._any_success:
            return True
        waited = time.monotonic() - self._success_at
        return self._in_a_row >= FEW and waited > PATIENCE_SECONDS

    def _mind_max_errors(self) -> None:
        most = self._max_errors
        if most is not None and self.counters.failed + self.planned.failed > most:
            self.give_up(f"more than {most} objects failed (--max-errors)", 1)

    def give_up(self, why: str, exit_code: int) -> None:
        """The first reason stands."""
        if self.fatal is None:
            self.fatal = (why, exit_code)

    def warn(self, text: str) -> None:
        """Add a warning to the report; the first thousand are kept."""
        if len(self.warnings) < KEPT_FAILURES:
            self.warnings.append(text)

    def keep(self, result: Result) -> None:
        kept = self.differences if result.error_kind == "Difference" else self.failures
        if len(kept) < KEPT_FAILURES:
            kept.append(result)

    def publish(self, result: Result) -> None:
        if self._observe is not None:
            self._observe(result)
        if self._on_result is not None:
            self._on_result(result)
        if self._report is not None:
            try:
                self._report.write(result)
            except OSError as error:
                self._report = None
                self.give_up(f"the report cannot be written: {describe(error)}", 1)

    # -- sums ----------------------------------------------------------------------------------

    def all_done(self) -> bool:
        """True where nothing that was planned is left."""
        planned, counters = self.planned, self.counters
        done = counters.copied + counters.failed + counters.skipped
        return planned.listed == done + planned.skipped + planned.failed + planned.excluded

    def combined(self) -> Counters:
        """Both threads' counters as one."""
        planned, counters = self.planned, self.counters
        return dataclasses.replace(
            counters,
            listed=planned.listed,
            bytes_listed=planned.bytes_listed,
            excluded=planned.excluded,
            skipped=counters.skipped + planned.skipped,
            bytes_skipped=counters.bytes_skipped + planned.bytes_skipped,
            failed=counters.failed + planned.failed,
        )

    def settle(self, *, stopped: bool) -> None:
        """The planner has ended: its counters are entered, and what is left is named so."""
        self.counters = counters = self.combined()
        self.planned = Counters()
        if stopped or self.fatal is not None:
            done = counters.copied + counters.skipped + counters.failed + counters.excluded
            counters.left = counters.listed - done


def _service_wide(error: Exception) -> bool:
    """Does the error speak about the service? One of the local disk is about one file."""
    return isinstance(error, SERVICE_WIDE) and not isinstance(error.__cause__, OSError)
