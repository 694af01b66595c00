"""Asking a running transfer to end: what is done stays done, the rest is left for a re-run."""

from __future__ import annotations

import threading

from svstorage.errors import Interrupted


class StopToken:
    """Shared by whoever may stop a run and all that must notice."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        self._event.set()

    @property
    def stopped(self) -> bool:
        return self._event.is_set()

    @property
    def event(self) -> threading.Event:
        return self._event

    def check(self) -> None:
        """Raises `Interrupted` once the run has been asked to stop."""
        if self._event.is_set():
            raise Interrupted("stopped on request; run the same command again to go on")
