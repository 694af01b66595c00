"""What can be asked of a copy, a sync, a migration or a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from svstorage.strategies.base import Verify

OnExists = Literal["overwrite", "skip", "changed", "error"]
Links = Literal["follow", "skip", "copy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOptions:
    """Options of a transfer; the defaults are those of the command line.

    ``include`` and ``exclude`` are globs over the key relative to the source (``*`` stays
    within a folder, ``**`` crosses folders; a pattern without ``/`` matches the last component).
    Sizes are in bytes; ``newer_than`` and ``older_than`` are seconds since 1970 UTC.
    ``concurrency`` None adapts; ``bwlimit`` is bytes a second over the whole run; ``retries``
    counts further tries of one object after the first (within each try, a part of a big object has
    up to three, if ``retries`` is as much). ``max_errors`` None goes on to the end.
    ``max_delete`` None means 10 % of the destination or 1,000 objects, whichever is larger.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    newer_than: float | None = None
    older_than: float | None = None
    dry_run: bool = False
    verify: Verify = "checksum"
    on_exists: OnExists | None = None
    """None: ``overwrite`` for copy, ``changed`` for sync and migrate."""
    concurrency: int | None = None
    bwlimit: float | None = None
    retries: int = 5
    strategy: str | None = None
    engine: str = "local"
    engine_options: Mapping[str, str] = field(default_factory=dict)
    """Options of the engine's own, by name (see `svstorage.transfer.engine.EngineOption`)."""
    journal: Path | Literal["none"] | None = None
    """None: one in the user's state folder, per source and destination. A path is that of the
    file; where there are several sources or buckets, each has one beside it, its name longer."""
    report: Path | None = None
    max_errors: int | None = None
    delete: bool = False
    max_delete: int | None = None
    allow_empty_source: bool = False
    links: Links = "follow"
    tags: bool = False
    read_back: bool = False
    """``check --checksum``: read both ends where no comparable checksum is offered."""
