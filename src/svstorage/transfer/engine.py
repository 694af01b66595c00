"""The protocol of execution engines: who carries the work, and how many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from svstorage.transfer.carry import Carries, Outcome, Work
from svstorage.transfer.concurrency import AdaptiveConcurrency, FixedConcurrency
from svstorage.transfer.stop import StopToken

Concurrency = AdaptiveConcurrency | FixedConcurrency


class Engine(Protocol):
    """One way to execute work, as a plugin registers it.

    `outcomes` pulls from ``works`` (an error of which it passes on after the outcomes of what
    came before), carries each by ``carrier.carry`` and yields outcomes in small groups, in any
    order. It yields an empty group every quarter of a second when nothing happened, so that the
    caller can show progress. Once ``stop`` is set it pulls no more work and ends soon.
    """

    name: str
    summary: str

    def outcomes(
        self,
        works: Iterator[Work],
        carrier: Carries,
        *,
        concurrency: Concurrency,
        stop: StopToken,
    ) -> Iterator[Sequence[Outcome]]: ...
