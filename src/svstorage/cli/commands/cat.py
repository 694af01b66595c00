"""``svstorage cat``: the bytes of objects."""

from __future__ import annotations

from collections.abc import Sequence

import click

from svstorage.cli.each import Each
from svstorage.cli.options import subcommand
from svstorage.cli.reading import chunks
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import locate_objects
from svstorage.cli.units import Size


@subcommand(
    "cat",
    epilog="""\b
Examples:
  svstorage cat public:readme.txt
  svstorage cat private:logs/a.gz | zcat
  svstorage cat --offset 1M --count 64K sv://acme-private/big.bin | xxd
  svstorage cat 'private:logs/2026-01-*.csv' > january.csv
""",
)
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--offset", type=Size(), default="0", metavar="SIZE", help="Begin at this byte.")
@click.option("--count", type=Size(), metavar="SIZE", help="At most this many bytes.")
@pass_state
def command(state: State, addresses: tuple[str, ...], offset: int, count: int | None) -> int:
    """Write the bytes of objects to stdout, one after the other.

    An object that is replaced while it is read is an error, never a mixture. With several
    addresses, one that fails does not stop the others; the exit code is then 1.
    """
    return write_out(state, addresses, offset, count)


def write_out(
    state: State, addresses: Sequence[str], offset: int = 0, count: int | None = None
) -> int:
    """The bytes of all addresses to stdout; the exit code."""
    stdout, each = state.out.binary(), Each(state)
    for address in addresses:
        with each.address(address):
            for target in locate_objects(state, address):
                for chunk in chunks(target, start=offset, length=count):
                    stdout.write(chunk)
    stdout.flush()
    return each.exit_code
