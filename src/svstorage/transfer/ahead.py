"""An iterator that runs ahead of its reader, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

# Entries cross the thread border in lists: a queue operation for each would cost more than the
# listing itself. 512 entries are about 100 kB; eight lists in flight bound the memory.
BATCH = 512
BATCHES_AHEAD = 8


class ReadAhead(Iterator[T]):
    """Runs an iterator in a thread, a bounded way ahead of its reader.

    An error of the iterator is raised at the place where it happened, after all that came
    before it. Closing stops the thread at its next item.
    """

    def __init__(self, make: Callable[[], Iterator[T]], name: str) -> None:
        self._queue: Queue[tuple[list[T], BaseException | None, bool]] = Queue(BATCHES_AHEAD)
        self._closed = threading.Event()
        self._batch: Iterator[T] = iter(())
        self._error: BaseException | None = None
        self._last = False
        self._thread = threading.Thread(
            target=self._fill, args=(make,), name=f"svstorage-{name}", daemon=True
        )
        self._thread.start()

    def _fill(self, make: Callable[[], Iterator[T]]) -> None:
        batch: list[T] = []
        error: BaseException | None = None
        try:
            # The first items go over at once, so that work starts before a page is full.
            limit = 16
            for item in make():
                batch.append(item)
                if len(batch) >= limit:
                    if not self._send(batch, None, last=False):
                        return
                    batch, limit = [], BATCH
        except BaseException as caught:  # handed to the reader, which raises it
            error = caught
        self._send(batch, error, last=True)

    def _send(self, batch: list[T], error: BaseException | None, *, last: bool) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put((batch, error, last), timeout=0.2)
            except Full:
                continue
            return True
        return False

    def __next__(self) -> T:
        while True:
            for item in self._batch:
                return item
            if self._error is not None:
                error, self._error = self._error, None
                self._last = True
                raise error
            if self._last:
                raise StopIteration
            batch, self._error, self._last = self._queue.get()
            self._batch = iter(batch)
            if self._error is not None:
                self._last = False

    def close(self) -> None:
        self._closed.set()
        while True:
            try:
                self._queue.get_nowait()
            except Empty:
                break
        self._last = True
        self._batch = iter(())
