"""``svstorage du``: how much is where."""

from __future__ import annotations

from dataclasses import dataclass

import click

from svstorage.cli.each import Each
from svstorage.cli.listing import Lister
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import Target, buckets, locate_all
from svstorage.cli.units import human_size


@dataclass(slots=True)
class _Sum:
    size: int = 0
    objects: int = 0

    def add(self, size: int, objects: int = 1) -> None:
        self.size += size
        self.objects += objects


@subcommand(
    "du",
    epilog="""\b
Examples:
  svstorage du -h                         every bucket
  svstorage du -h public:photos           each folder of photos, and the sum
  svstorage du -s sv://acme-private       the sum only
  svstorage du --json sv://acme-private
""",
)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@click.option("-s", "--summarize", is_flag=True, help="Only the sum of each address.")
@click.option("-h", "--human", is_flag=True, help="Sizes in KiB, MiB, GiB instead of bytes.")
@pass_state
def command(state: State, addresses: tuple[str, ...], summarize: bool, human: bool) -> int:
    """Sum up sizes: bytes, number of objects, address.

    One line for each folder directly below the address, then one for all of it. Here -h means
    human; help is --help.
    """
    lister, each = Lister(state), Each(state)
    show = _Show(state, human)
    for address in addresses or ("sv://",):
        with each.address(address):
            for target in locate_all(state, address):
                if not target.is_root:
                    _one(target, lister, show, summarize)
                    continue
                total = _Sum()
                for inside in buckets(state, target):
                    found = _one(inside, lister, show, summarize=True)
                    total.add(found.size, found.objects)
                show(target.text, total)
    return max(lister.exit_code, each.exit_code)


def _one(target: Target, lister: Lister, show: _Show, summarize: bool) -> _Sum:
    total = _Sum()
    folders: dict[str, _Sum] = {}
    # In an ordered listing a folder is done when the next one begins; else all are kept.
    ordered = target.store.capabilities.listing_order == "bytes"
    base = target.folder
    for entry in lister.entries(target):
        total.add(entry.size)
        name, slash, _rest = entry.key[len(base) :].partition("/")
        if summarize or not slash or not entry.key.startswith(base):
            continue
        if ordered and folders and name not in folders:
            _flush(target, folders, show)
        folders.setdefault(name, _Sum()).add(entry.size)
    _flush(target, folders, show)
    show(target.text, total)
    return total


def _flush(target: Target, folders: dict[str, _Sum], show: _Show) -> None:
    for name in sorted(folders):
        show(target.address(f"{target.folder}{name}/"), folders[name])
    folders.clear()


class _Show:
    def __init__(self, state: State, human: bool) -> None:
        self.out = state.out
        self.human = human

    def __call__(self, address: str, found: _Sum) -> None:
        if self.out.json:
            self.out.record({"address": address, "size": found.size, "objects": found.objects})
            return
        size = human_size(found.size) if self.human else str(found.size)
        self.out.line(f"{size:>14}  {found.objects:>9}  {address}")
