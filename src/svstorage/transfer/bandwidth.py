"""One limit on the bytes a second of a whole run, shared by all its threads."""

from __future__ import annotations

import threading
import time

from svstorage.transfer.stop import StopToken


class BandwidthLimit:
    """A token bucket that lets a quarter of a second's worth through at once."""

    BURST_SECONDS = 0.25

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def wait(self, count: int, stop: StopToken) -> None:
        """Take ``count`` bytes out, sleeping until they are due. Raises `Interrupted`."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - self.BURST_SECONDS) + count / self._rate
            due = self._free_at - self.BURST_SECONDS
        if due > now:
            stop.event.wait(due - now)
            stop.check()
