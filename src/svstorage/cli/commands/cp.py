"""``svstorage cp``: copy files and objects."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from svstorage.cli import transfer_options, transferring
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state


@subcommand(
    "cp",
    epilog="""\b
Examples:
  svstorage cp report.pdf public:
  svstorage cp -r ./photos sv://acme-public/photos
  svstorage cp 'private:logs/2026-*.csv' ./logs/
  svstorage cp -r --from-env .env.disk --to-env .env.s3 sv://a-private sv://b-private
  svstorage cp -r --dry-run --exclude '*.tmp' ./data private:data
  pg_dump shop | svstorage cp - private:dumps/shop.sql
""",
)
@click.argument("sources", metavar="SRC...", nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option("-r", "-R", "--recursive", is_flag=True, help="Folders with all that is in them.")
@transfer_options.options(*transfer_options.COPY)
@pass_state
def command(
    state: State, sources: tuple[str, ...], destination: str, recursive: bool, **values: Any
) -> int:
    """Copy files and objects: local, any storage, either way.

    SRC may be several, and may hold globs (quote them from the shell). A DST that ends in / or
    is a folder takes the copies into it. Each object is confirmed by the destination; one that
    fails is named and does not stop the others. Interrupted, run it again: it goes on.

    SRC - is stdin and DST - is stdout, as with put and cat (a file of that name is ./-).
    """
    if "-" in (*sources, destination):
        return _pipe(state, sources, destination)
    from svstorage import api

    source_storage, destination_storage = transferring.storages(state, values, sources, destination)
    copy = partial(
        api.copy,
        list(sources) if len(sources) > 1 else sources[0],
        destination,
        source=source_storage,
        destination=destination_storage,
        recursive=recursive,
    )
    return transferring.run(state, values, copy).exit_code


def _pipe(state: State, sources: tuple[str, ...], destination: str) -> int:
    from svstorage.cli.commands import cat, put

    options = click.get_current_context()
    given = [
        param.opts[0]
        for param in options.command.params
        if isinstance(param, click.Option)
        and param.expose_value
        and options.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{given[0]} has no meaning for a pipe; see: put, cat")
    if destination == "-":
        if "-" in sources:
            raise click.UsageError("stdin to stdout: nothing for us to do")
        return cat.write_out(state, sources)
    if len(sources) > 1:
        raise click.UsageError("- must be the only source")
    return put.store(state, sys.stdin.buffer, destination)
