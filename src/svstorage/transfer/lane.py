"""The lane of small objects: tried once by a pipelining thread or process, else told why not.

What fails there goes on as any other object does (`Carrier.carry`), with its first try counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

from svstorage.strategies.base import Context, Job, Pair, PipelinedStrategy, Strategy
from svstorage.transfer.lane_process import Crew, hire
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.pipelining import Batch, Pipelining, Try
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Work, cheapest

log = logging.getLogger(__name__)

LARGEST = 128 * 1024
"""Bytes of an object that the lane takes: a bigger one is no longer a matter of its request."""
BATCH_OBJECTS = 64
BATCH_BYTES = 2 << 20
_BATCH_KEYS = 16 * 1024
"""Characters of the keys in a batch: it has to fit into the buffer of a socket."""
_FIRST_BATCH = 8
_SOON = 0.05
"""Seconds that an object waits for others to go with."""
_WAITING_BATCHES = 4
"""For each runner: enough that none waits, few enough that memory stays small."""
_TROUBLE = 16
"""So many misses among the last `_LOOKED_BACK` close the lane: the others know how to wait."""
_LOOKED_BACK = 256


class Runner(Protocol):
    """Tries batches in order, one thread's own."""

    def run(self, source: _Source) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _WorkBatch:
    works: list[Work]
    batch: Batch


class _Source:
    """The batches for one runner, out of the queue of all."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._taken: deque[_WorkBatch] = deque()

    def take(self, *, wait: bool) -> Batch | None:
        one = self._lane.next(wait=wait)
        if one is None:
            return None
        self._taken.append(one)
        return one.batch

    def give_back(self, batch: Batch) -> None:
        self._lane.deliver(self._taken.popleft().works, batch.tries)

    def give_up(self) -> None:
        """Whatever was taken and not given back is to be carried another way."""
        while self._taken:
            one = self._taken.popleft()
            missing = len(one.works) - len(one.batch.tries)
            self._lane.deliver(one.works, [*one.batch.tries, *[None] * missing])


class Lane:
    """Takes small objects in one thread, and delivers their tries in others."""

    def __init__(
        self,
        pair: Pair,
        choose: Callable[[Job], Strategy],
        options: TransferOptions,
        *,
        stop: StopToken,
        crew: Crew | None = None,
    ) -> None:
        self._stop = stop
        self._runners: list[Runner] = list(crew.runners(stop)) if crew is not None else []
        if not self._runners:
            context = Context(verify=options.verify, check_stop=stop.check)
            self._runners = [
                Pipelining(
                    pair,
                    choose,
                    context,
                    stopped=lambda: stop.stopped,
                    window=options.concurrency,
                )
            ]
        self._queue: SimpleQueue[_WorkBatch | None] = SimpleQueue()
        self._room = threading.Semaphore(_WAITING_BATCHES * len(self._runners))
        self._deliver: Callable[[Sequence[Work], Sequence[Try]], None] | None = None
        self._works: list[Work] = []
        self._bytes = self._characters = 0
        self._since = 0.0
        self._batches = 0
        self._recent: deque[bool] = deque(maxlen=_LOOKED_BACK)
        self._threads: list[threading.Thread] = []
        self.open = True
        """False once too much has gone wrong: what comes now is for others to carry."""

    # -- one thread puts in -------------------------------------------------------------------

    def start(self, deliver: Callable[[Sequence[Work], Sequence[Try]], None]) -> None:
        """``deliver`` is called from the lane's threads, with as many tries as works."""
        self._deliver = deliver
        for number, runner in enumerate(self._runners):
            thread = threading.Thread(
                target=self._run, args=(runner,), name=f"svstorage-small-{number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def takes(self, work: Work) -> bool:
        entry = work.job.entry
        return self.open and entry.size <= LARGEST and not work.unsure and entry.key[-1:] != "/"

    def put(self, work: Work) -> None:
        """Take one more; waits where too much is under way already."""
        works = self._works
        if not works:
            self._since = time.monotonic()
        works.append(work)
        self._bytes += work.job.entry.size
        self._characters += len(work.job.destination_key)
        full = (
            len(works) >= min(BATCH_OBJECTS, _FIRST_BATCH + self._batches)
            or self._bytes >= BATCH_BYTES
            or self._characters >= _BATCH_KEYS
        )
        if full or self.is_due():
            self.flush()

    def is_due(self) -> bool:
        """Whether something has waited long enough for company."""
        return bool(self._works) and time.monotonic() - self._since > _SOON

    def flush(self) -> None:
        """Send off what waits for company."""
        if not self._works:
            return
        works, self._works = self._works, []
        self._bytes = self._characters = 0
        while not self._room.acquire(timeout=0.25):
            if self._stop.stopped:
                return
        self._batches += 1
        self._queue.put(_WorkBatch(works, Batch([work.job for work in works])))

    def end(self) -> None:
        """Nothing more comes."""
        for _ in self._runners:
            self._queue.put(None)

    def wait(self) -> None:
        """Until all that was put in has been delivered."""
        for thread in self._threads:
            thread.join()

    def close(self, seconds: float) -> None:
        """Wait for what is under way, at most so long, and let everything go."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))
        for runner in self._runners:
            runner.close()

    # -- the lane's threads -------------------------------------------------------------------

    def next(self, *, wait: bool) -> _WorkBatch | None:
        """See `Source.take`."""
        try:
            one = self._queue.get(block=wait)
        except Empty:
            return None
        if one is None:
            self._queue.put(None)  # it may be asked again
            raise EOFError
        self._room.release()
        return one

    def deliver(self, works: Sequence[Work], tries: Sequence[Try]) -> None:
        assert self._deliver is not None  # noqa: S101 - start comes first
        for one in tries:
            self._recent.append(one is None or hasattr(one, "error"))
        if self.open and sum(self._recent) >= _TROUBLE:
            self.open = False
        self._deliver(works, tries)

    def _run(self, runner: Runner) -> None:
        source = _Source(self)
        try:
            runner.run(source)
            return
        except (EOFError, OSError):
            log.warning("a process for small objects has died; its objects are carried by others")
        except Exception as error:  # a defect: no object may be lost by it
            log.warning("small objects are carried one by one from here on: %r", error)
        self.open = False
        source.give_up()
        with contextlib.suppress(EOFError):
            while (one := self.next(wait=True)) is not None:
                self.deliver(one.works, [None] * len(one.works))


def open_lane(
    pair: Pair,
    options: TransferOptions,
    strategies: Sequence[Strategy],
    stop: StopToken,
    *,
    tree: bool,
) -> Lane | None:
    """A lane for the small objects of this run, or None where they cannot go through one.

    Processes are worth while for a ``tree`` only.
    """
    plain = not (options.dry_run or options.tags or options.bwlimit)
    usable = (
        plain
        and options.on_exists != "error"
        and options.concurrency != 1
        and any(isinstance(s, PipelinedStrategy) and s.pipelines(pair) for s in strategies)
    )
    if not usable:
        return None
    choose = partial(cheapest, strategies)
    crew = hire(_processes(), pair, choose, options) if tree else None
    return Lane(pair, choose, options, stop=stop, crew=crew)


def _processes() -> int:
    """How many are worth while: the one that plans keeps some four of them busy."""
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
