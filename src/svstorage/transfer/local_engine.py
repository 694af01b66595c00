"""The engine of one process: threads around libraries that let go of the interpreter lock.

Small objects go through the queues in batches, since a queue operation for each would cost as
much as the object itself; big ones go alone, so that they spread over the threads. Where the
carrier has a lane for small objects, these go there, and only what failed there comes here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import cast

from svstorage.errors import Interrupted
from svstorage.hookspecs import hookimpl
from svstorage.plugins import Registry
from svstorage.transfer.engine import Concurrency
from svstorage.transfer.lane import Lane
from svstorage.transfer.pipelining import Landed, Missed, Try
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Carries, CarriesSmall, Outcome, Work

BATCH_OBJECTS = 8
BATCH_BYTES = 1 << 20
TICK_SECONDS = 0.25
LAST_WORDS_SECONDS = 30.0
"""How long a reader that gives up waits, for all threads together."""


class LocalEngine:
    name = "local"
    summary = "threads in this process"

    def outcomes(
        self,
        works: Iterator[Work],
        carrier: Carries,
        *,
        concurrency: Concurrency,
        stop: StopToken,
    ) -> Iterator[Sequence[Outcome]]:
        crew = _Crew(works, carrier, concurrency, stop)
        try:
            yield from crew.outcomes()
        finally:
            crew.dismiss()


_Task = tuple[Work, Missed | None]
"""What is to be carried, and the first try of it that has failed in the lane."""


class _Crew:
    """One feeder, many workers, and the queues between them."""

    def __init__(
        self, works: Iterator[Work], carrier: Carries, concurrency: Concurrency, stop: StopToken
    ) -> None:
        self._works = works
        self._carrier = carrier
        self._concurrency = concurrency
        self._stop = stop
        self._lane: Lane | None = getattr(carrier, "lane", None)
        self._tasks: SimpleQueue[list[_Task] | None] = SimpleQueue()
        self._results: SimpleQueue[list[Outcome] | None] = SimpleQueue()
        # Batches handed out and not yet taken: enough that no worker waits, bounded in memory.
        self._room = threading.Semaphore(concurrency.maximum * 2)
        self._workers: list[threading.Thread] = []
        self._hiring = threading.Lock()
        self._error: BaseException | None = None
        self._dismissed = threading.Event()
        self._feeder = threading.Thread(target=self._feed, name="svstorage-plan", daemon=True)

    def outcomes(self) -> Iterator[Sequence[Outcome]]:
        self._feeder.start()
        ended = 0
        expected: int | None = None
        while expected is None or ended < expected:
            try:
                group = self._results.get(timeout=TICK_SECONDS)
            except Empty:
                yield ()
                continue
            if group is not None:
                yield group
                continue
            # None: the feeder has ended (first), or a worker has.
            if expected is None:
                expected = len(self._workers)
            else:
                ended += 1
        if self._error is not None:
            raise self._error

    def dismiss(self) -> None:
        """Let everything go, also when the reader gives up early."""
        self._dismissed.set()
        self._room.release()
        until = time.monotonic() + LAST_WORDS_SECONDS
        if self._lane is not None:
            self._lane.end()
            self._lane.close(LAST_WORDS_SECONDS)
        for thread in (self._feeder, *self._workers):
            if thread.is_alive():
                thread.join(timeout=max(0.0, until - time.monotonic()))

    @property
    def _ending(self) -> bool:
        return self._stop.stopped or self._dismissed.is_set()

    def _feed(self) -> None:
        batch: list[_Task] = []
        size = 0
        lane = self._lane
        try:
            if lane is not None:
                lane.start(self._tried)
            for work in self._works:
                if self._ending:
                    break
                if lane is not None:
                    if lane.takes(work):
                        lane.put(work)
                        continue
                    if lane.is_due():
                        lane.flush()
                batch.append((work, None))
                size += work.job.entry.size
                # The first works go out one by one: they start at once and on all threads.
                full = len(batch) >= BATCH_OBJECTS or size >= BATCH_BYTES
                if full or len(self._workers) < self._concurrency.limit:
                    self._hand_out(batch)
                    batch, size = [], 0
            if batch and not self._ending:
                self._hand_out(batch)
        except BaseException as error:  # raised again in the reader's thread
            self._error = error
            if batch and self._workers:
                self._hand_out(batch)
        finally:
            close = getattr(self._works, "close", None)
            if close is not None:
                close()
            if lane is not None:
                if not self._ending:
                    lane.flush()
                lane.end()
                lane.wait()  # what failed there has been handed out by then
            # Order matters: workers that end must find the reader knowing their number.
            self._results.put(None)
            for _ in self._workers:
                self._tasks.put(None)

    def _tried(self, works: Sequence[Work], tries: Sequence[Try]) -> None:
        """What comes out of the lane, in its threads."""
        try:
            self._take(works, tries)
        except BaseException as error:  # raised again in the reader's thread
            self._error = error
            raise

    def _take(self, works: Sequence[Work], tries: Sequence[Try]) -> None:
        carrier = cast(CarriesSmall, self._carrier)
        landed: list[Outcome] = []
        others: list[_Task] = []
        for work, one in zip(works, tries, strict=True):
            if isinstance(one, Landed):
                landed.append(carrier.landed(work, one))
            else:
                others.append((work, one))
        if landed:
            self._results.put(landed)
        if others and not self._ending:
            self._hand_out(others)

    def _hand_out(self, batch: list[_Task]) -> None:
        self._room.acquire()
        with self._hiring:
            if len(self._workers) < self._concurrency.limit:
                self._hire()
        self._tasks.put(batch)

    def _hire(self) -> None:
        worker = threading.Thread(
            target=self._work, name=f"svstorage-copy-{len(self._workers)}", daemon=True
        )
        try:
            worker.start()
        except RuntimeError:  # a container's limit: those that there are do the work
            if not self._workers:
                raise
        else:
            self._workers.append(worker)

    def _work(self) -> None:
        concurrency, carry = self._concurrency, cast(CarriesSmall, self._carrier).carry
        try:
            while (batch := self._tasks.get()) is not None:
                self._room.release()
                outcomes: list[Outcome] = []
                concurrency.enter()
                moved = 0
                try:
                    for work, missed in batch:
                        if self._ending:
                            break
                        outcome = carry(work, missed) if missed is not None else carry(work)
                        moved += outcome.result.size
                        outcomes.append(outcome)
                except Interrupted:
                    pass  # what was begun was dropped by its strategy; a re-run carries it
                finally:
                    concurrency.leave(moved, len(outcomes))
                if outcomes:
                    self._results.put(outcomes)
        finally:
            self._results.put(None)


@hookimpl
def svstorage_register_engines(registry: Registry) -> None:
    """Registered like any plugin's."""
    registry.add_engine(LocalEngine())
