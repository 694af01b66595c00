"""How many objects move at once: as many as help, fewer as soon as the service complains."""

from __future__ import annotations

import resource
import threading
import time


class FixedConcurrency:
    """Exactly the number that was asked for."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.maximum = limit

    def enter(self) -> None:
        return None

    def leave(self, moved: int, objects: int) -> None:
        return None

    def slow_down(self) -> None:
        return None


class AdaptiveConcurrency:
    """Rises while throughput rises, halves when the service throttles.

    Throughput is measured in objects and in bytes over windows of half a second; a window that
    is better than the best so far by a tenth earns a higher limit, one that is clearly worse
    after a rise takes it back. Where small objects keep the interpreter busy all the time, more
    threads would only fight over its lock, so the limit stays; and where they do fight, which
    shows in the switches between threads for each object, it falls. A throttling answer halves
    the limit at once, at most once a second, so that a burst of them counts as one.
    """

    WINDOW = 0.5
    START = 8
    MINIMUM = 1
    BYTES_WORTH_AN_OBJECT = 256 * 1024
    BUSY = 0.8
    """CPU seconds of this process in a second: one interpreter can use little more than 1."""
    FIGHTING = 10
    """Switches for each object. One thread that waits for its answers makes about two; eight that
    get theirs at once make thirty, and take twice the CPU of two."""
    FIGHTERS = 2

    def __init__(self, maximum: int = 64) -> None:
        self.maximum = maximum
        self.limit = min(self.START, maximum)
        self._condition = threading.Condition()
        self._active = 0
        self._window_start = time.monotonic()
        self._cpu = time.process_time()
        self._switches = _switches()
        self._objects = 0
        self._bytes = 0
        self._best = 0.0
        self._halved = 0.0

    def enter(self) -> None:
        """Wait for a place."""
        with self._condition:
            while self._active >= self.limit:
                self._condition.wait()
            self._active += 1

    def leave(self, moved: int, objects: int) -> None:
        """Give the place back; ``objects`` of together ``moved`` bytes were carried."""
        with self._condition:
            self._active -= 1
            self._objects += objects
            self._bytes += moved
            now = time.monotonic()
            if now - self._window_start >= self.WINDOW:
                self._judge(now)
            self._condition.notify()

    def slow_down(self) -> None:
        """The service has complained."""
        with self._condition:
            now = time.monotonic()
            if now - self._halved > 1.0:
                self._halved = now
                self.limit = max(self.MINIMUM, self.limit // 2)
                self._best = 0.0

    def _judge(self, now: float) -> None:
        seconds = now - self._window_start
        worth = self._bytes / self.BYTES_WORTH_AN_OBJECT
        rate = (self._objects + worth) / seconds
        small = worth < self._objects
        cpu, switches = time.process_time(), _switches()
        busy = (cpu - self._cpu) / seconds > self.BUSY
        fighting = switches - self._switches > self.FIGHTING * self._objects
        self._objects = self._bytes = 0
        self._window_start, self._cpu, self._switches = now, cpu, switches
        if now - self._halved < 2.0:
            return
        if small and busy and fighting:
            self.limit = min(self.limit, max(self.FIGHTERS, self.limit // 2))
            self._best = max(self._best, rate)
            return
        if rate > self._best * 1.1:
            self._best = rate
            if not (small and busy):
                self.limit = min(self.maximum, self.limit + max(4, self.limit // 2))
                self._condition.notify_all()
        elif rate < self._best * 0.8 and self.limit > self.START:
            self.limit = max(self.START, self.limit - self.limit // 8)
            self._best *= 0.9


def _switches() -> int:
    """Switches between threads of this process so far, wanted and unwanted (getrusage(2))."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw
