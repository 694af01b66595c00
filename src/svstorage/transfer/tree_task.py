"""What goes to other processes when a tree is spread over them, and what comes back.

All of it can be pickled and none of it holds a secret: the ends are references.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from svstorage.transfer.engine import Engine
from svstorage.transfer.options import OnExists, TransferOptions
from svstorage.transfer.reopening import EndReference
from svstorage.transfer.report import Counters, Result
from svstorage.transfer.spans import Span
from svstorage.transfer.stop import StopToken


@dataclass(frozen=True, slots=True)
class Shape:
    """What is done with a tree: a copy, or a check. See `svstorage.transfer.checking`."""

    check: bool = False
    extra_differs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeTask:
    """A run over one pair of trees, as each of its workers is told of it."""

    run: str
    """A name that no other run has."""
    operation: str
    source: EndReference
    destination: EndReference
    options: TransferOptions
    on_exists: OnExists
    shape: Shape
    collect_extra: bool
    """Name what only the destination has, for deletion when all is done."""
    journals: str | None
    """Folder of the ranges' journals; a relative one is below the worker's state folder."""
    forget: bool
    """The run before came to its end, and everything is to be written again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanReport:
    """How one range went. ``results`` has one for each object of it."""

    span: Span
    counters: Counters = field(default_factory=Counters)
    results: tuple[Result, ...] = ()
    extra: tuple[str, ...] = ()
    """Keys (exact, with the prefix) that only the destination has."""
    complete: bool = False
    """Both listings came to the end of the range."""
    problems: int = 0
    source_objects: int = 0
    destination_objects: int = 0
    warnings: tuple[str, ...] = ()
    strategies: dict[str, int] = field(default_factory=dict)
    fatal: str | None = None
    fatal_exit_code: int = 1


class Crew(Protocol):
    """Workers that carry ranges for one run. All methods are called in one thread."""

    def room(self) -> int:
        """How many more ranges it takes now; some more than it can work on, so that no worker
        has to wait."""
        ...

    def submit(self, span: Span) -> None:
        """Let a worker call `svstorage.transfer.span_run.run_span` for this range; again in
        another one if the worker is lost."""
        ...

    def collect(self, seconds: float) -> Sequence[SpanReport]:
        """What has ended since, each range once; waits so long for the first.

        Raises `StorageError` where the workers are lost for good.
        """
        ...

    def stop(self) -> None:
        """Begin no further range, and end those under way soon (they still report)."""
        ...

    def forget(self) -> None:
        """Remove the run's journals where the workers keep them."""
        ...

    def close(self) -> None: ...


class SpreadingEngine(Engine, Protocol):
    """An engine that can give ranges of a tree to other processes.

    What is no tree, or cannot be cut into ranges, goes through `outcomes` as with any engine.
    """

    def crew(self, task: TreeTask, *, options: Mapping[str, str], stop: StopToken) -> Crew:
        """Workers for this run; ``options`` are the engine's own.

        Raises `ConnectionFailed` where there are none.
        """
        ...
