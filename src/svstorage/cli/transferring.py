"""Runs a transfer for a command: storages of both sides, signals, progress, the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svstorage.addresses import Kind, parse
from svstorage.cli import outcome, progress, transfer_options
from svstorage.cli.state import State
from svstorage.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    from svstorage.storage import Storage
    from svstorage.transfer.report import Progress, Report, Result


def storages(
    state: State, values: dict[str, Any], sources: Sequence[str], destination: str
) -> tuple[Storage | None, Storage | None]:
    """What ``sv://`` means on either side; None where nothing on that side asks for it, so that
    a copy between local folders needs no valid settings."""
    return (
        _side(state, values["from_env"], sources),
        _side(state, values["to_env"], [destination]),
    )


def _side(state: State, env_file: Path | None, addresses: Sequence[str]) -> Storage | None:
    if env_file is not None:
        return state.connect(env_file, file_only=True)
    if state.env_file is not None or any(_needs_storage(text) for text in addresses):
        return state.storage
    return None


def _needs_storage(text: str) -> bool:
    parsed = parse(text)
    return parsed.kind in (Kind.STORAGE, Kind.SHORT) and parsed.storage is None


def run(
    state: State,
    values: dict[str, Any],
    transfer: Callable[..., Report],
    *,
    checking: bool = False,
    tell_end: bool = True,
    also: Callable[[Result], None] | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Report:
    """Call one of the API's transfers with all that the options ask for, and tell its end.

    ``also`` hears of every result and ``watch`` of all progress, in this thread.
    """
    from svstorage.transfer.stop import StopToken

    options = transfer_options.build(values)
    stop = StopToken()
    told = outcome.Told(state.out, checking=checking)

    begun = threading.Event()

    def on_result(result: Result) -> None:
        if not begun.is_set():
            begun.set()
        told(result)
        if also is not None:
            also(result)

    wanted = not values.get("no_progress") and not options.dry_run
    with (
        stop_on_signals(state.out, stop, begun),
        progress.shown(state.out, wanted=wanted) as show,
    ):

        def on_progress(snapshot: Progress) -> None:
            begun.set()
            for hear in (show, watch):
                if hear is not None:
                    hear(snapshot)

        report = transfer(options=options, on_progress=on_progress, on_result=on_result, stop=stop)
    if tell_end:
        stats = bool(values.get("stats"))
        outcome.tell_end(state.out, report, stats=stats, by_size=told.by_size)
    return report
