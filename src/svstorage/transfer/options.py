"""What can be asked of a copy, a sync, a migration or a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from svstorage.errors import UsageError
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

    Raises:
        UsageError: a value that means nothing. A misspelt ``on_exists`` must not overwrite.
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

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            value = getattr(self, name)
            if value not in words:
                known = ", ".join(str(word) for word in words)
                raise UsageError(f"{name}: {value!r} is none of these: {known}")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}: {value} is below {least}")
        if self.bwlimit is not None and self.bwlimit <= 0:
            raise UsageError("bwlimit: write the bytes a second, more than none")
        for name in ("include", "exclude"):
            globs = getattr(self, name)
            if isinstance(globs, (str, bytes)):  # or else its letters would be the globs
                raise UsageError(f"{name}: give a list of globs, as [{globs!r}]")
            object.__setattr__(self, name, tuple(globs))
        for name in ("journal", "report"):
            path = getattr(self, name)
            if isinstance(path, str) and path != "none":
                object.__setattr__(self, name, Path(path))


_WORDS: dict[str, tuple[str | None, ...]] = {
    "verify": get_args(Verify),
    "on_exists": (None, *get_args(OnExists)),
    "links": get_args(Links),
}
_LEAST = {"concurrency": 1, "retries": 0, "max_errors": 1, "min_size": 0, "max_size": 0}
