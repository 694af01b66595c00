"""``svstorage sync``: make a destination hold what a source holds."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from svstorage.cli import transfer_options, transferring
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state


@subcommand(
    "sync",
    epilog="""\b
Examples:
  svstorage sync ./site public:site
  svstorage sync --delete --dry-run ./site public:site
  svstorage sync --from-env .env.disk --to-env .env.s3 sv://acme-private sv://acme-private
""",
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@transfer_options.options(*transfer_options.DELETING, *transfer_options.COPY)
@pass_state
def command(state: State, source: str, destination: str, **values: Any) -> int:
    """Make DST hold what SRC holds; copies only what is new or changed.

    Nothing is deleted without --delete, nor when any listing or copy failed before, nor beyond
    --max-delete.
    """
    from svstorage import api

    source_storage, destination_storage = transferring.storages(
        state, values, [source], destination
    )
    sync = partial(
        api.sync, source, destination, source=source_storage, destination=destination_storage
    )
    return transferring.run(state, values, sync).exit_code
