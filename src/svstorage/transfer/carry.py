"""One object, carried: strategy chosen, tried, confirmed, tried again, or failed by name."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from svstorage.addresses import display
from svstorage.errors import (
    ChecksumMismatch,
    ConnectionFailed,
    CredentialsExpired,
    Interrupted,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)
from svstorage.model import Checksum, Entry, Part, Stored
from svstorage.strategies.base import Context, Job, NoPartLog, PartLog, Strategy
from svstorage.strategies.part_plan import PARTS_THRESHOLD
from svstorage.transfer import compare
from svstorage.transfer.bandwidth import BandwidthLimit
from svstorage.transfer.lane import Lane
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.part_log import MemoryPartLog, RunPartLog, ToldPartLog
from svstorage.transfer.pipelining import Landed, Missed
from svstorage.transfer.report import Action, Result, Status
from svstorage.transfer.retry import PASSING
from svstorage.transfer.stop import StopToken
from svstorage.transfer.verify import confirm
from svstorage.transfer.versions import source_version
from svstorage.transfer.work import Outcome, Work, cheapest

log = logging.getLogger(__name__)

RETRYABLE = (
    ConnectionFailed,
    Throttled,
    ServiceError,
    ChecksumMismatch,
    CredentialsExpired,
    ObjectChanged,
)
# Errors that speak about the service, not about one object.
SERVICE_WIDE = (ConnectionFailed, Throttled, ServiceError, PermissionError)
LONGEST_WAIT = 20.0


class Carrier:
    """Carries one object after another by the rules of one run. Safe in many threads."""

    def __init__(
        self,
        strategies: Sequence[Strategy],
        options: TransferOptions,
        *,
        stop: StopToken,
        part_log: Callable[[Work], RunPartLog] | None = None,
        moved: Callable[[int], None] = lambda count: None,
        throttled: Callable[[], None] = lambda: None,
        observe: Callable[[Work, int, Exception | Part], None] | None = None,
        lane: Lane | None = None,
    ) -> None:
        self.lane = lane
        self._strategies = strategies
        self._options = options
        self._stop = stop
        self._part_log = part_log
        self._moved = moved
        self._throttled = throttled
        self._observe = observe
        self._limit = BandwidthLimit(options.bwlimit) if options.bwlimit else None

    def choose(self, job: Job, *, rather_not: str | None = None) -> Strategy:
        """The cheapest strategy that can carry the job exactly.

        ``rather_not`` names one that is taken only where no other can.
        """
        return cheapest(self._strategies, job, rather_not=rather_not)

    def landed(self, work: Work, landed: Landed) -> Outcome:
        """The outcome of an object that the lane of small ones has carried."""
        attempt = _Attempt(work)
        attempt.count = 1
        attempt.strategy, attempt.stored = landed.strategy, landed.stored
        attempt.checksum = landed.checksum
        self._moved(work.job.entry.size)
        return self._outcome(attempt, time.monotonic() - landed.seconds, action="copy")

    def carry(self, work: Work, missed: Missed | None = None) -> Outcome:
        """Carry one object, with retries. Never raises, but for `Interrupted`.

        ``missed`` is a first try that failed elsewhere.
        """
        started = time.monotonic()
        attempt = _Attempt(work)
        try:
            if work.unsure and work.existing is not None and self._is_same(work, work.existing):
                outcome = self._outcome(attempt, started, action="skip", reason="unchanged")
                return replace(outcome, same_as=work.existing)
            if self._options.dry_run:
                return self._outcome(attempt, started, action="copy", status="planned")
            attempt.count = 1
            try:
                if missed is not None and isinstance(missed.error, RETRYABLE):
                    attempt.strategy, attempt.bad = missed.strategy, missed.bad
                    raise missed.error
                self._once(attempt)
            except RETRYABLE as error:
                if self._options.retries < 1:
                    raise
                self._again(attempt, error)
        except Interrupted:
            attempt.forget_parts()
            self._remove_bad(attempt)
            raise
        except (StorageError, OSError) as error:
            return self._failed(attempt, started, error)
        except Exception as error:
            # A defect of ours or of a plugin: it costs this one object, by name, and not the run.
            log.debug("unexpected error for %s", display(work.key), exc_info=True)
            return self._failed(attempt, started, error)
        return self._outcome(attempt, started, action="copy")

    def _is_same(self, work: Work, existing: Entry) -> bool:
        pair = work.job.pair
        return compare.settle(
            pair.source, work.job.entry, pair.destination, existing, self._stop.check
        )

    def _once(self, attempt: _Attempt) -> None:
        job = attempt.job
        strategy = self.choose(job, rather_not=attempt.avoid) if attempt.avoid else self.choose(job)
        attempt.strategy = strategy.name
        context = Context(
            verify=self._options.verify,
            tags=self._options.tags,
            parts=self._parts_of(attempt),
            progress=self._progress_for(attempt, self._limit),
            resumed=self._progress_for(attempt, None),
            check_stop=self._stop.check,
            throttled=self._throttled,
            part_tries=1 + self._options.retries,  # the strategy has a limit of its own
        )
        if self._options.on_exists == "error" and attempt.work.existing is not None:
            raise ObjectExists(f"{display(job.destination_key)}: it is there already")
        try:
            confirmed = strategy.carry(job, context)
            try:
                attempt.stored, attempt.checksum = confirm(
                    job, confirmed, self._options.verify, self._stop.check
                )
            except ChecksumMismatch:
                attempt.bad = confirmed.stored
                raise
            attempt.bad = None
        except BaseException:
            self._moved(-attempt.moved)
            attempt.moved = 0
            raise

    def _parts_of(self, attempt: _Attempt) -> PartLog:
        """Where the parts of a big object are remembered between its tries, and between runs."""
        if attempt.job.entry.size < PARTS_THRESHOLD:
            return _NO_PARTS
        if attempt.parts is None:
            job = attempt.job
            attempt.parts = (
                self._part_log(attempt.work)
                if self._part_log
                else MemoryPartLog(job.pair.destination, job.destination_key)
            )
        observe = self._observe
        if observe is not None:
            return ToldPartLog(
                attempt.parts, lambda part: observe(attempt.work, attempt.count, part)
            )
        return attempt.parts

    def _again(self, attempt: _Attempt, error: Exception) -> None:
        """Further tries, waiting with full jitter between them (tenacity)."""
        import tenacity

        jitter = tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)
        last: list[Exception] = [error]

        def wait(state: tenacity.RetryCallState) -> float:
            waiting = float(jitter(state))
            asked = getattr(last[0], "retry_after", None)
            return max(waiting, min(float(asked), LONGEST_WAIT)) if asked else waiting

        def note(error: Exception) -> None:
            last[0] = error
            # `retries` further tries follow the first.
            if self._observe is not None and attempt.count <= self._options.retries:
                self._observe(attempt.work, attempt.count, error)
            if isinstance(error, Throttled):
                self._throttled()
                if error.retry_after is None:
                    # obstore does not tell what the service asked for; another way may.
                    attempt.avoid = attempt.strategy
            if isinstance(error, ObjectChanged):
                attempt.look_again()

        def try_once() -> None:
            self._stop.check()
            attempt.count += 1
            try:
                self._once(attempt)
            except RETRYABLE as error:
                note(error)
                raise

        note(error)
        # The first wait belongs before the first further try: tenacity waits between tries.
        self._stop.event.wait(wait(_first_state()))
        tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RETRYABLE),
            stop=tenacity.stop_after_attempt(self._options.retries),
            wait=wait,
            sleep=tenacity.sleep_using_event(self._stop.event),
            reraise=True,
        )(try_once)

    def _progress_for(
        self, attempt: _Attempt, limit: BandwidthLimit | None
    ) -> Callable[[int], None]:
        stop, moved = self._stop, self._moved

        def progress(count: int) -> None:
            if limit is not None and count > 0:
                limit.wait(count, stop)  # first: what still waits has not moved
            attempt.moved += count
            moved(count)

        return progress

    def _failed(self, attempt: _Attempt, started: float, error: Exception) -> Outcome:
        attempt.forget_parts()
        self._remove_bad(attempt)
        outcome = self._outcome(attempt, started, action="copy", error=error)
        return replace(outcome, error=error)

    def _remove_bad(self, attempt: _Attempt) -> None:
        """Bytes that are known to be wrong must not stay under a final name."""
        bad = attempt.bad
        if bad is None:
            return
        destination, key = attempt.job.pair.destination, attempt.job.destination_key
        with contextlib.suppress(StorageError, OSError):
            there = destination.store.head(destination.bucket, key).entry
            if there.etag == bad.etag:
                destination.store.delete(destination.bucket, key)

    def _outcome(
        self,
        attempt: _Attempt,
        started: float,
        *,
        action: Action,
        status: Status = "done",
        reason: str | None = None,
        error: Exception | None = None,
    ) -> Outcome:
        job = attempt.job
        result = Result(
            action=action,
            status="failed" if error else status,
            key=attempt.work.key,
            source=job.pair.source.url(job.entry.key),
            destination=job.pair.destination.url(job.destination_key),
            size=job.entry.size,
            checksum=attempt.checksum,
            attempts=attempt.count,
            seconds=round(time.monotonic() - started, 6),
            strategy=attempt.strategy,
            reason=reason,
            error=describe(error) if error else None,
            error_kind=type(error).__name__ if error else None,
        )
        stored = attempt.stored if not error else None
        return Outcome(result, job.entry, stored)


class _Attempt:
    """The state of one object while it is being tried."""

    __slots__ = (
        "avoid", "bad", "checksum", "count", "job", "moved", "parts", "stored", "strategy",
        "work",
    )  # fmt: skip

    def __init__(self, work: Work) -> None:
        self.work = work
        self.job = work.job
        self.count = 0
        self.moved = 0
        self.strategy: str | None = None
        self.avoid: str | None = None
        self.bad: Stored | None = None
        """What a try has published and found to be wrong, until another one has replaced it."""
        self.stored: Stored | None = None
        self.checksum: Checksum | None = None
        self.parts: RunPartLog | None = None

    def forget_parts(self) -> None:
        """The tries have come to an end without success."""
        if self.parts is not None:
            self.parts.ended(failed=True)
            self.parts = None

    def look_again(self) -> None:
        """The source has changed: the next try carries the version that is there now."""
        source = self.job.pair.source
        try:
            entry = source.store.head(source.bucket, self.job.entry.key).entry
        except ObjectNotFound:
            raise ObjectNotFound(
                f"{display(self.job.entry.key)}: it vanished while it was copied"
            ) from None
        except PASSING:
            return  # the next try will fail as this one did, and look again
        if source_version(entry) != source_version(self.job.entry):
            self.forget_parts()
        self.job = replace(self.job, entry=entry)
        self.work = replace(self.work, job=self.job)


_NO_PARTS = NoPartLog()


def _first_state() -> Any:
    from tenacity import RetryCallState, Retrying

    return RetryCallState(Retrying(), None, (), {})


def describe(error: Exception) -> str:
    """One line for people; for errors of the operating system with its own words."""
    if isinstance(error, StorageError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {display(str(error.filename))}" if error.filename else "")
    return f"internal error: {type(error).__name__}: {error}"
