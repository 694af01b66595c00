"""What a transfer tells: one result for each object, counters that add up, a summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from svstorage.model import Checksum

Action = Literal["copy", "skip", "exclude", "delete", "check"]
Status = Literal["done", "failed", "planned"]


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one object; one line of the ``--report`` file.

    ``action`` ``skip`` with ``reason`` says why nothing was to be done. ``error`` is set when
    ``status`` is ``failed``, and holds no secret.
    """

    action: Action
    status: Status
    key: str
    """Relative to the source root, exact."""
    source: str
    destination: str
    size: int = 0
    checksum: Checksum | None = None
    attempts: int = 0
    seconds: float = 0.0
    strategy: str | None = None
    reason: str | None = None
    error: str | None = None
    error_kind: str | None = None
    """Class name of the error, for machines."""


@dataclass(slots=True)
class Counters:
    """``listed == copied + skipped + failed + excluded`` once a run has ended (or was stopped:
    then ``left`` makes up the difference)."""

    listed: int = 0
    copied: int = 0
    skipped: int = 0
    failed: int = 0
    excluded: int = 0
    deleted: int = 0
    delete_failed: int = 0
    left: int = 0
    bytes_listed: int = 0
    bytes_copied: int = 0
    bytes_skipped: int = 0
    retries: int = 0

    def add_up(self) -> bool:
        done = self.copied + self.skipped + self.failed + self.excluded + self.left
        return self.listed == done


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot for progress callbacks, about four times a second."""

    counters: Counters
    bytes_moving: int
    """Bytes of objects still on their way that have moved so far."""
    listing_done: bool
    seconds: float
    rate: float
    """Bytes a second, smoothed."""
    eta: float | None
    """Seconds left by objects and bytes; None while the listing still runs."""
    concurrency: int
    phase: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a transfer ended."""

    operation: str
    source: str
    destination: str
    counters: Counters
    seconds: float
    failures: tuple[Result, ...] = ()
    """The first thousand failures; the report file holds all."""
    differences: tuple[Result, ...] = ()
    """For check: the first thousand objects that differ."""
    interrupted: bool = False
    dry_run: bool = False
    warnings: tuple[str, ...] = ()
    strategies: dict[str, int] = field(default_factory=dict)
    parts: tuple[Report, ...] = ()
    """For migrate: one report for each bucket."""
    fatal: str | None = None
    """Why the run stopped before its end (the storage is gone, credentials refused …)."""
    fatal_exit_code: int = 1

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 all done; 1 some failed or differ; 3 storage unusable; 130 interrupted."""
        if self.interrupted:
            return 130
        if self.fatal:
            return self.fatal_exit_code
        counters = self.counters
        wrong = counters.failed or counters.delete_failed or self.differences
        if wrong or not counters.add_up() or any(part.exit_code for part in self.parts):
            return 1
        return 0
