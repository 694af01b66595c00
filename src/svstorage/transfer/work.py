"""One object to look at, what has become of it, and who can carry it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from svstorage.addresses import display
from svstorage.errors import KeyNotSupported
from svstorage.model import Entry, Stored
from svstorage.strategies.base import Job, Strategy
from svstorage.transfer.report import Result

if TYPE_CHECKING:
    from svstorage.transfer.lane import Lane
    from svstorage.transfer.pipelining import Landed, Missed

RATHER_NOT = 1_000.0


@dataclass(frozen=True, slots=True)
class Work:
    """One object that has to be looked at: carried, or first compared more closely."""

    job: Job
    key: str
    """Relative to the source root."""
    existing: Entry | None = None
    unsure: bool = False
    """The listings do not tell whether ``existing`` is the same: settle before carrying."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result with what the journal and the engine need to know beside it."""

    result: Result
    source: Entry
    stored: Stored | None = None
    error: Exception | None = None
    same_as: Entry | None = None
    """The destination's entry that was found to hold the same, after a closer look."""


class Carries(Protocol):
    """What an engine calls for each piece of work; never raises, but for `Interrupted`."""

    def carry(self, work: Work) -> Outcome: ...


class CarriesSmall(Protocol):
    """One that has a lane for small objects, too; an engine need not use it."""

    lane: Lane | None

    def landed(self, work: Work, landed: Landed) -> Outcome: ...

    def carry(self, work: Work, missed: Missed | None = None) -> Outcome: ...


def cheapest(
    strategies: Sequence[Strategy], job: Job, *, rather_not: str | None = None
) -> Strategy:
    """The rule of selection: see `svstorage.strategies.base`."""
    best: Strategy | None = None
    least = float("inf")
    for strategy in strategies:
        cost = strategy.can_carry(job)
        if cost is not None and strategy.name == rather_not:
            cost += RATHER_NOT
        if cost is not None and cost < least:
            best, least = strategy, cost
    if best is None:
        raise KeyNotSupported(f"{display(job.entry.key)}: no copy strategy can carry it there")
    return best
