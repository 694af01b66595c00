"""``svstorage ls``: buckets, folders and objects."""

from __future__ import annotations

from typing import Any

import click

from svstorage.cli.each import Each
from svstorage.cli.listing import Lister, entry_record
from svstorage.cli.options import subcommand
from svstorage.cli.retrying import retrying
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import Target, buckets, locate_all
from svstorage.cli.units import moment_iso, moment_text
from svstorage.model import BucketInfo, CommonPrefix, Entry


@subcommand(
    "ls",
    epilog="""\b
Examples:
  svstorage ls                            all buckets
  svstorage ls -l sv://acme-public/photos
  svstorage ls -R public:photos
  svstorage ls 'private:logs/2026-*.csv'
  svstorage ls --json sv://acme-public | jq -r .key
""",
)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@click.option("-l", "--long", is_flag=True, help="Size in bytes and modification time as well.")
@click.option("-e", "--etag", is_flag=True, help="With -l: the ETag as well.")
@click.option("-R", "--recursive", is_flag=True, help="All objects below, not just one level.")
@pass_state
def command(
    state: State, addresses: tuple[str, ...], long: bool, etag: bool, recursive: bool
) -> int:
    """List buckets, or what is in one.

    Folders end in /. Names are relative to the address, below a glob to the folder before its
    first wildcard. Control characters are shown escaped, and --json gives names exactly. An
    object named like a glob comes before the glob.
    """
    lister, each = Lister(state), Each(state)
    printer = _Printer(state, long or etag, etag)
    for number, address in enumerate(addresses or ("sv://",)):
        with each.address(address):
            for target in locate_all(state, address):
                if len(addresses) > 1 and not state.json and target.glob_folder is None:
                    if number:
                        state.out.line()
                    state.out.line(f"{target.text}:")
                _list(state, target, printer, lister, recursive=recursive)
    return max(lister.exit_code, each.exit_code)


def _list(
    state: State, target: Target, printer: _Printer, lister: Lister, *, recursive: bool
) -> None:
    if target.is_root:
        _buckets(state, target, printer, recursive, lister)
    elif target.glob_folder is not None and target.key.endswith("/") and not recursive:
        printer.item(target, CommonPrefix(target.key))
    else:
        for item in lister.walk(target, recursive=recursive):
            printer.item(target, item)


def _buckets(
    state: State, target: Target, printer: _Printer, recursive: bool, lister: Lister
) -> None:
    if recursive:
        for inside in buckets(state, target):
            for item in lister.walk(inside, recursive=True):
                printer.item(inside, item, f"{inside.bucket}/")
        return
    for bucket in retrying(target.store.list_buckets):
        printer.bucket(target, bucket)


class _Printer:
    def __init__(self, state: State, long: bool, etag: bool) -> None:
        self.out = state.out
        self.long = long
        self.etag = etag

    def bucket(self, target: Target, bucket: BucketInfo) -> None:
        if self.out.json:
            self.out.record(
                {
                    "type": "bucket",
                    "name": bucket.name,
                    "address": target.bucket_address(bucket.name),
                    "created": moment_iso(bucket.created_ns),
                }
            )
        else:
            when = f"{moment_text(bucket.created_ns)}  " if self.long else ""
            self.out.line(f"{when}{bucket.name}")

    def item(self, target: Target, item: Entry | CommonPrefix, before: str = "") -> None:
        if self.out.json:
            self.out.record(_record(target, item))
            return
        folder = isinstance(item, CommonPrefix)
        key = item.prefix if isinstance(item, CommonPrefix) else item.key
        name = before + target.relative(key)
        if not self.long:
            self.out.line(name)
            return
        size = "-" if folder else str(getattr(item, "size", 0))
        when = moment_text(getattr(item, "modified_ns", None))
        tag = f"  {getattr(item, 'etag', None) or '-':<36}" if self.etag else ""
        self.out.line(f"{size:>14}  {when}{tag}  {name}")


def _record(target: Target, item: Entry | CommonPrefix) -> dict[str, Any]:
    if isinstance(item, CommonPrefix):
        return {
            "type": "folder",
            "address": target.address(item.prefix),
            "bucket": target.bucket,
            "key": item.prefix,
        }
    return entry_record(target, item)
