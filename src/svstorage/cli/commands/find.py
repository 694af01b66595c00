"""``svstorage find``: addresses of the objects that match."""

from __future__ import annotations

import fnmatch

import click

from svstorage.cli.each import Each
from svstorage.cli.listing import Lister, entry_record
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import Target, buckets, locate_all
from svstorage.cli.units import Moment, Size
from svstorage.model import Entry


@subcommand(
    "find",
    epilog="""\b
Examples:
  svstorage find public: --name '*.jpg'
  svstorage find sv://acme-private --min-size 1G
  svstorage find private:logs --older-than 90d --json
  svstorage find private:tmp -0 | xargs -0 svstorage rm --literal
""",
)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@click.option("--name", metavar="GLOB", multiple=True, help="Match the last part of the key.")
@click.option("--path", metavar="GLOB", multiple=True, help="Match the key below the address.")
@click.option("--min-size", type=Size(), metavar="SIZE", help="At least this big: 10K, 5MiB.")
@click.option("--max-size", type=Size(), metavar="SIZE", help="At most this big.")
@click.option("--newer-than", type=Moment(), metavar="WHEN", help="Changed since: 2d or a date.")
@click.option("--older-than", type=Moment(), metavar="WHEN", help="Not changed since.")
@click.option("-0", "--print0", is_flag=True, help="End addresses in NUL, exact, for xargs -0.")
@pass_state
def command(
    state: State,
    addresses: tuple[str, ...],
    name: tuple[str, ...],
    path: tuple[str, ...],
    min_size: int | None,
    max_size: int | None,
    newer_than: float | None,
    older_than: float | None,
    print0: bool,
) -> int:
    """Find objects below an address by name, size and age.

    Prints one address a line. All conditions must hold; of several --name one is enough. In
    globs, * also crosses /.
    """
    lister, each = Lister(state), Each(state)

    def matches(target: Target, entry: Entry) -> bool:
        last = entry.key.rstrip("/").rpartition("/")[2]
        relative = target.relative(entry.key)
        seconds = None if entry.modified_ns is None else entry.modified_ns / 1e9
        return (
            (not name or any(fnmatch.fnmatchcase(last, glob) for glob in name))
            and (not path or any(fnmatch.fnmatchcase(relative, glob) for glob in path))
            and (min_size is None or entry.size >= min_size)
            and (max_size is None or entry.size <= max_size)
            and (newer_than is None or (seconds is not None and seconds >= newer_than))
            and (older_than is None or (seconds is not None and seconds < older_than))
        )

    def tell(target: Target, entry: Entry) -> None:
        if state.json:
            state.out.record(entry_record(target, entry))
        elif print0:
            state.out.raw(target.address(entry.key) + "\0")
        else:
            state.out.line(target.address(entry.key))

    for address in addresses or ("sv://",):
        with each.address(address):
            for place in locate_all(state, address):
                for target in buckets(state, place):
                    for entry in lister.entries(target):
                        if matches(target, entry):
                            tell(target, entry)
    return max(lister.exit_code, each.exit_code)
