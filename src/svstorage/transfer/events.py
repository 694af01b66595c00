"""What observers hear of runs, as they happen.

Texts in events (results, errors) hold no secret of ours; an address that somebody wrote may hold
one of theirs, so that whoever sends events elsewhere masks addresses.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from svstorage.model import Part
from svstorage.strategies.base import Pair
from svstorage.transfer.report import Report, Result
from svstorage.transfer.work import Work

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A copy, sync, check or one bucket of a migration begins. ``run`` is its name alone."""

    run: str
    operation: str
    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class ObjectEnded:
    """One object was copied, compared by reading, deleted or has failed.

    What needed no work is told where somebody asked for each object (a report file, the command),
    else only as a sum in `RunEnded`.
    """

    run: str
    result: Result


@dataclass(frozen=True, slots=True)
class TryFailed:
    """One try of an object has failed and another follows. ``attempt`` counts from 1."""

    run: str
    key: str
    attempt: int
    error: Exception


@dataclass(frozen=True, slots=True)
class PartEnded:
    """One part of a big object was confirmed."""

    run: str
    key: str
    part: Part


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run has ended; ``report`` is None where it was ended by ``error``."""

    run: str
    report: Report | None
    error: BaseException | None = None


Event = RunStarted | ObjectEnded | TryFailed | PartEnded | RunEnded


class Observer(Protocol):
    """Hears of all runs of this process, as a plugin registers it.

    `observe` is called in many threads, in the midst of the work: it must be quick and must not
    wait. One that raises is named in a warning and hears no more of that run.
    """

    name: str
    summary: str

    def observe(self, event: Event, /) -> None: ...


class Observers:
    """The observers of one run."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self.run = uuid.uuid4().hex
        self._observers = list(observers)
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._observers)

    def over(self, execute: Callable[[], Report], operation: str, pair: Pair) -> Report:
        """Execute the run, and tell of its begin and its end."""
        started = RunStarted(self.run, operation, pair.source.location, pair.destination.location)
        self.tell(started)
        try:
            report = execute()
        except BaseException as error:
            self.tell(RunEnded(self.run, None, error))
            raise
        self.tell(RunEnded(self.run, report))
        return report

    def ended(self, result: Result) -> None:
        self.tell(ObjectEnded(self.run, result))

    def on_the_way(self, work: Work, attempt: int, what: Exception | Part) -> None:
        """A try that failed, or a part that is finished."""
        self.tell(
            PartEnded(self.run, work.key, what)
            if isinstance(what, Part)
            else TryFailed(self.run, work.key, attempt, what)
        )

    def tell(self, event: Event) -> None:
        for observer in tuple(self._observers):
            try:
                observer.observe(event)
            except Exception as error:  # it is a plugin's; the copy goes on without it
                with self._lock:
                    if observer not in self._observers:
                        continue
                    self._observers.remove(observer)
                log.warning(
                    "the observer '%s' failed (%s: %s) and hears no more of this run",
                    observer.name, type(error).__name__, error,
                )  # fmt: skip
