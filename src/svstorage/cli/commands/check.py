"""``svstorage check``: compare two places."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from svstorage.cli import transfer_options, transferring
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state


@subcommand(
    "check",
    epilog="""\b
Examples:
  svstorage check ./photos public:photos
  svstorage check --checksum sv://acme-private ./backup/acme-private
  svstorage check --from-env .env.disk --to-env .env.s3 --json sv://a-public sv://a-public
""",
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--checksum", "read_back", is_flag=True,
    help="Read both sides where they offer no checksum to compare.",
)  # fmt: skip
@transfer_options.options(
    *transfer_options.STORAGES,
    *transfer_options.FILTERS,
    *transfer_options.CHECKING,
    *transfer_options.HOW,
    *transfer_options.TOLD,
)
@pass_state
def command(state: State, source: str, destination: str, **values: Any) -> int:
    """Compare names, sizes and checksums; list what differs.

    Exit code 0 when both hold the same, 1 when anything differs. Changes nothing.
    """
    from svstorage import api

    source_storage, destination_storage = transferring.storages(
        state, values, [source], destination
    )
    check = partial(
        api.check, source, destination, source=source_storage, destination=destination_storage
    )
    return transferring.run(state, values, check, checking=True).exit_code
