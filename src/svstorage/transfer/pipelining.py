"""Many small objects in one thread: requests are sent before earlier ones are answered.

Threads that each wait for one answer fight over the interpreter lock, and take twice the CPU,
wherever the service answers at once. One thread with several requests under way waits as little
and fights with nobody.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from svstorage.errors import Interrupted, Throttled
from svstorage.model import Checksum, Stored
from svstorage.providers.base import Sequential
from svstorage.strategies.base import (
    Confirmed,
    Context,
    Job,
    Pair,
    PipelinedStrategy,
    Strategy,
)
from svstorage.transfer.verify import confirm

START = 8
LARGEST_WINDOW = 64
PATIENCE = 2.0
"""Seconds without growth after the service has complained."""


@dataclass(frozen=True, slots=True)
class Landed:
    """An object that is there, and confirmed."""

    stored: Stored
    checksum: Checksum | None
    strategy: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Missed:
    """An object whose one try failed; ``bad`` is what it published and found to be wrong."""

    error: Exception
    bad: Stored | None = None
    strategy: str | None = None


class NotForHere(Exception):
    """The cheapest strategy for this object cannot have several under way."""


Try = Landed | Missed | None
"""None: it was not begun."""


@dataclass(slots=True)
class Batch:
    """Some jobs, and what became of each of them."""

    jobs: Sequence[Job]
    tries: list[Try] = field(default_factory=list)


class Source(Protocol):
    """Where batches come from."""

    def take(self, *, wait: bool) -> Batch | None:
        """The next one; None where there is none, for now, and nobody wants to ``wait``.

        Raises `EOFError` after the last.
        """
        ...

    def give_back(self, batch: Batch) -> None:
        """All jobs of the batch have their try. Batches come back in the order they came."""
        ...


class Pipelining:
    """Tries each object once. One thread's own."""

    def __init__(
        self,
        pair: Pair,
        choose: Callable[[Job], Strategy],
        context: Context,
        *,
        stopped: Callable[[], bool],
        window: int | None = None,
    ) -> None:
        """``choose`` tells the strategy of a job. ``window`` is the number of requests under
        way; None adapts it: it grows while waiting for answers takes time and more requests
        bring more objects, and halves when the service complains."""
        self._pair = pair
        self._choose = choose
        self._context = context
        self._stopped = stopped
        self._fixed = window is not None
        self.window = window or START
        self._able: dict[Strategy, bool] = {}
        self._landed = 0
        self._since = time.perf_counter()
        self._cpu = time.thread_time()
        self._best = 0.0

    def run(self, source: Source) -> None:
        """Try all that comes; objects that are not begun when the run is stopped have None."""
        with ExitStack() as stack:
            for store in (self._pair.source.store, self._pair.destination.store):
                if isinstance(store, Sequential):
                    stack.enter_context(store.in_sequence())
            self._run(source)

    def _run(self, source: Source) -> None:
        # In the order of their requests: job, strategy, what `begin` gave (or an error), batch.
        under_way: deque[tuple[Job, PipelinedStrategy | None, Any, float, Batch]] = deque()
        batch: Batch | None = None
        while True:
            try:
                batch = source.take(wait=not under_way)
            except EOFError:
                break
            if batch is None:
                self._end(under_way.popleft(), source)
                continue
            for job in batch.jobs:
                while len(under_way) >= self.window:
                    self._end(under_way.popleft(), source)
                under_way.append((job, *self._begin(job), time.perf_counter(), batch))
        while under_way:
            self._end(under_way.popleft(), source)

    def close(self) -> None:
        """Nothing is held between two runs."""

    def _begin(self, job: Job) -> tuple[PipelinedStrategy | None, Any]:
        if self._stopped():
            return None, None
        try:
            strategy = self._choose(job)
            able = self._able.get(strategy)
            if able is None:
                able = isinstance(strategy, PipelinedStrategy) and strategy.pipelines(self._pair)
                self._able[strategy] = able
            if not able:
                return None, NotForHere()
            pipelined = cast(PipelinedStrategy, strategy)
            return pipelined, pipelined.begin(job, self._context)
        except Exception as error:
            return None, error

    def _end(
        self,
        one: tuple[Job, PipelinedStrategy | None, Any, float, Batch],
        source: Source,
    ) -> None:
        job, strategy, begun, started, batch = one
        if strategy is not None:
            batch.tries.append(self._ended(job, strategy, begun, started))
        else:
            batch.tries.append(None if begun is None else self._missed(begun))
        if len(batch.tries) == len(batch.jobs):
            source.give_back(batch)

    def _ended(self, job: Job, strategy: PipelinedStrategy, begun: Any, started: float) -> Try:
        confirmed: Confirmed | None = None
        try:
            confirmed = strategy.end(job, begun, self._context)
            stored, checksum = confirm(
                job, confirmed, self._context.verify, self._context.check_stop
            )
        except Interrupted:
            return None
        except Exception as error:
            return self._missed(error, confirmed.stored if confirmed else None, strategy.name)
        now = time.perf_counter()
        self._landed += 1
        if self._landed >= 4 * self.window and not self._fixed:
            self._judge(now)
        return Landed(stored, checksum, strategy.name, round(now - started, 6))

    def _missed(
        self, error: Exception, bad: Stored | None = None, strategy: str | None = None
    ) -> Missed:
        if isinstance(error, Throttled) and not self._fixed:
            self.window = max(1, self.window // 2)
            self._begin_to_judge(time.perf_counter() + PATIENCE)
            self._best = 0.0
        return Missed(error, bad, strategy)

    def _judge(self, now: float) -> None:
        seconds = now - self._since
        if seconds <= 0:
            return  # the service has complained not long ago
        rate = self._landed / seconds
        waiting = time.thread_time() - self._cpu < 0.7 * seconds
        self._begin_to_judge(now)
        if waiting and rate > self._best * 1.1:
            self._best = rate
            self.window = min(LARGEST_WINDOW, self.window * 2)

    def _begin_to_judge(self, now: float) -> None:
        self._since, self._landed, self._cpu = now, 0, time.thread_time()
