"""Bytes and objects over time: rate, time left, and snapshots for progress displays."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque

from svstorage.transfer.report import Counters, Progress

SMOOTHING_SECONDS = 10.0
SNAPSHOT_SECONDS = 0.25


class Meter:
    """Counts what moves. `moved` is called from many threads, `snapshot` from one."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._lock = threading.Lock()
        self._bytes = 0
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=64)
        self._last_snapshot = 0.0

    def moved(self, count: int) -> None:
        with self._lock:
            self._bytes += count

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last_snapshot < SNAPSHOT_SECONDS:
            return False
        self._last_snapshot = now
        return True

    def snapshot(
        self,
        counters: Counters,
        *,
        listing_done: bool,
        concurrency: int,
        phase: str,
    ) -> Progress:
        now = time.monotonic()
        finished = counters.copied + counters.skipped + counters.failed + counters.excluded
        self._samples.append((now, self._bytes, finished))
        while len(self._samples) > 2 and now - self._samples[0][0] > SMOOTHING_SECONDS:
            self._samples.popleft()
        then, old_bytes, old_finished = self._samples[0]
        elapsed = max(now - then, 1e-3)
        rate = max(0.0, (self._bytes - old_bytes) / elapsed)
        return Progress(
            counters=dataclasses.replace(counters),
            bytes_moving=max(0, self._bytes - counters.bytes_copied),
            listing_done=listing_done,
            seconds=now - self.started,
            rate=rate,
            eta=self._eta(counters, finished, rate, (finished - old_finished) / elapsed)
            if listing_done
            else None,
            concurrency=concurrency,
            phase=phase,
        )

    def _eta(
        self, counters: Counters, finished: int, rate: float, objects_rate: float
    ) -> float | None:
        """The slower of two forecasts: many small objects are not a matter of bytes."""
        left_objects = counters.listed - finished
        left_bytes = counters.bytes_listed - counters.bytes_skipped - self._bytes
        if left_objects <= 0:
            return 0.0
        forecasts = []
        if rate > 0 and left_bytes > 0:
            forecasts.append(left_bytes / rate)
        if objects_rate > 0:
            forecasts.append(left_objects / objects_rate)
        return max(forecasts) if forecasts else None
