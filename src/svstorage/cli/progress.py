"""Progress of a transfer: a bar on a terminal, a line every 30 seconds elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from svstorage.addresses import display
from svstorage.cli.units import human_size, human_time

if TYPE_CHECKING:
    from svstorage.cli.output import Output
    from svstorage.transfer.report import Progress

LINE_SECONDS = 30.0
WIDE = 100
"""Columns from which there is room for more than the counts of ten million objects."""


@contextlib.contextmanager
def shown(out: Output, *, wanted: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A callback that shows progress while the block runs; None where nothing is shown."""
    if not wanted or out.quiet:
        yield None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _Bar(out) as bar:
            yield bar.update
    else:
        yield _Lines(out).update


def line(progress: Progress) -> str:
    """One snapshot as a line of text."""
    counters = progress.counters
    done = counters.copied + counters.skipped + counters.failed + counters.excluded
    total = str(counters.listed) + ("" if progress.listing_done else "+")
    parts = [
        f"{progress.phase}: {done}/{total} objects",
        f"{human_size(counters.bytes_copied + progress.bytes_moving)} copied",
        f"{human_size(progress.rate)}/s",
    ]
    if progress.eta is not None:
        parts.append(f"{human_time(progress.eta)} left")
    if counters.failed:
        parts.append(f"{counters.failed} failed")
    if counters.deleted:
        parts.append(f"{counters.deleted} deleted")
    return ", ".join(parts)


class _Lines:
    """For logs and pipes."""

    def __init__(self, out: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self.out = out
        self.clock = clock
        self.due = clock() + LINE_SECONDS

    def update(self, progress: Progress) -> None:
        now = self.clock()
        if now >= self.due:
            self.due = now + LINE_SECONDS
            self.out.note(line(progress))


class _Bar:
    """rich's progress bar on stderr; messages go above it. rich is imported only here."""

    def __init__(self, out: Output) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self.out = out
        self.console = Console(stderr=True, highlight=False)
        self.wide = self.console.width >= WIDE
        width = 20 if self.wide else 10
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(width, complete_style="cyan", finished_style="green", pulse_style="cyan"),
            TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
            console=self.console,
            transient=True,
            # Drawn with each update, four times a second: a thread of rich's own would keep the
            # engine from forking (`svstorage.transfer.lane_process`).
            auto_refresh=False,
        )
        self.task = self.bar.add_task("listing", total=None, text="")
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> _Bar:
        self.stack.enter_context(self.bar)
        self.stack.enter_context(self.out.through(self._say))
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stack.close()

    def _say(self, text: str) -> None:
        from rich.text import Text

        # Not print(text): keys may look like rich's markup.
        self.console.print(Text(text), soft_wrap=True)

    def update(self, progress: Progress) -> None:
        counters = progress.counters
        done = counters.copied + counters.skipped + counters.failed + counters.excluded
        handled = counters.bytes_copied + counters.bytes_skipped + progress.bytes_moving
        sized = counters.bytes_listed > 0
        total = (counters.bytes_listed if sized else counters.listed) or None
        more = "" if progress.listing_done else "+"
        of_all = f" of {human_size(counters.bytes_listed)}{more}" if self.wide and sized else ""
        words = [
            f"{done}/{counters.listed}{more}",
            f"{human_size(handled)}{of_all}",
            f"{human_size(progress.rate)}/s",
        ]
        if progress.eta is not None:
            words.append(f"{human_time(progress.eta)} left")
        if counters.failed:
            words.append(f"{counters.failed} failed")
        self.bar.update(
            self.task,
            description=display(progress.phase),
            completed=handled if sized else done,
            total=total if progress.listing_done else None,
            text="  ".join(words),
            refresh=True,
        )
