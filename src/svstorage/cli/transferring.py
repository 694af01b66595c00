"""Runs a transfer for a command: storages of both sides, signals, progress, the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from svstorage.cli import outcome, progress, transfer_options
from svstorage.cli.state import State
from svstorage.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    from svstorage.storage import Storage
    from svstorage.transfer.report import Report


def storages(state: State, values: dict[str, Any]) -> tuple[Storage | None, Storage | None]:
    """What ``sv://`` means on either side. None where the settings' own storage is meant, which
    is then connected only if an address needs it."""
    source, destination = values["from_env"], values["to_env"]
    return (
        state.connect(source, file_only=True) if source else state.storage_or_none,
        state.connect(destination, file_only=True) if destination else state.storage_or_none,
    )


def run(
    state: State,
    values: dict[str, Any],
    transfer: Callable[..., Report],
    *,
    checking: bool = False,
    tell_end: bool = True,
) -> Report:
    """Call one of the API's transfers with all that the options ask for, and tell its end."""
    from svstorage.transfer.stop import StopToken

    options = transfer_options.build(values)
    stop = StopToken()
    told = outcome.Told(state.out, checking=checking)
    wanted = not values.get("no_progress") and not options.dry_run
    with (
        stop_on_signals(state.out, stop),
        progress.shown(state.out, wanted=wanted) as on_progress,
    ):
        report = transfer(
            options=options, on_progress=on_progress, on_result=told, stop=stop
        )
    if tell_end:
        outcome.tell_end(state.out, report, stats=bool(values.get("stats")))
    return report
