"""Asking a running transfer to end: what is done stays done, the rest is left for a re-run."""

from __future__ import annotations

import threading
import weakref

from svstorage.errors import Interrupted


class StopToken:
    """Shared by whoever may stop a run and all that must notice."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._children: weakref.WeakSet[StopToken] = weakref.WeakSet()
        self._lock = threading.RLock()  # a signal handler may stop what its own thread holds

    def stop(self) -> None:
        self._event.set()
        with self._lock:
            children = list(self._children)
        for child in children:
            child.stop()

    def child(self) -> StopToken:
        """A token that stops with this one, and can be stopped without it."""
        child = StopToken()
        with self._lock:
            self._children.add(child)
        if self.stopped:
            child.stop()
        return child

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
