"""The protocol of execution engines: who carries the work, and how many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from svstorage.transfer.concurrency import AdaptiveConcurrency, FixedConcurrency
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Carries, Outcome, Work

Concurrency = AdaptiveConcurrency | FixedConcurrency


@dataclass(frozen=True, slots=True)
class EngineOption:
    """An option that an engine brings: ``--name VALUE`` beside ``--engine``.

    What was given is in `svstorage.transfer.options.TransferOptions.engine_options`.
    """

    name: str
    metavar: str
    help: str


class Engine(Protocol):
    """One way to execute work, as a plugin registers it.

    It may also have ``options``, a sequence of `EngineOption`, and ``crew``, which makes it a
    `svstorage.transfer.tree_task.SpreadingEngine`.

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
