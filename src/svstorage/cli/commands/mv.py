"""``svstorage mv``: copy, confirm, delete the source."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from svstorage.cli import outcome, transfer_options, transferring
from svstorage.cli.moving import Mover
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state


@subcommand(
    "mv",
    epilog="""\b
Examples:
  svstorage mv public:draft.pdf public:final.pdf
  svstorage mv -r private:in private:done
  svstorage mv 'private:logs/2024-*.csv' ./archive/
""",
)
@click.argument("sources", metavar="SRC...", nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Folders with all that is in them.")
@transfer_options.options(
    *transfer_options.FILTERS,
    *transfer_options.WRITING,
    *transfer_options.HOW,
    *transfer_options.TOLD,
)
@pass_state
def command(
    state: State, sources: tuple[str, ...], destination: str, recursive: bool, **values: Any
) -> int:
    """Move files and objects: copy, confirm, then delete each source.

    A source is deleted only after the destination has confirmed its copy, and only if it is
    still what was copied. Within one storage the service copies by itself.
    """
    from svstorage import api

    values.update(from_env=None, to_env=None)
    source_storage, destination_storage = transferring.storages(state, values, sources, destination)
    copy = partial(
        api.copy,
        list(sources) if len(sources) > 1 else sources[0],
        destination,
        source=source_storage,
        destination=destination_storage,
        recursive=recursive,
    )
    mover = Mover(state)
    try:
        report = transferring.run(state, values, copy, tell_end=False, also=mover)
    finally:
        mover.finish()
    # Told only now: a source that could not be deleted is a part of how the move ended.
    report = mover.joined(report)
    outcome.tell_end(state.out, report, stats=bool(values.get("stats")))
    return report.exit_code
