"""``svstorage rm``: delete objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import click

from svstorage.cli.deleting import Deleter
from svstorage.cli.listing import Lister, head_or_none
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import Target, locate_all
from svstorage.errors import ObjectNotFound, UsageError


@subcommand(
    "rm",
    epilog="""\b
Examples:
  svstorage rm public:old.txt private:old.txt
  svstorage rm -r --dry-run private:tmp
  svstorage rm -r private:tmp
  svstorage rm 'private:logs/2024-*.csv'
""",
)
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("-r", "-R", "--recursive", is_flag=True, help="Everything below the address too.")
@click.option("-f", "--force", is_flag=True, help="No error where there is nothing to delete.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--literal", is_flag=True, help="Take *, ? and [ in addresses as they are.")
@pass_state
def command(
    state: State,
    addresses: tuple[str, ...],
    recursive: bool,
    force: bool,
    dry_run: bool,
    literal: bool,
) -> int:
    """Delete objects; with -r everything below an address.

    Asks nothing. Without -r, folders and whole buckets are refused before anything is deleted.
    With -r and a bucket, its objects go and the bucket stays (see rb).
    """
    lister = Lister(state)
    targets: list[Iterator[Target]] = []
    for address in addresses:
        found = locate_all(state, address, literal=literal)
        try:
            first = next(found)
        except ObjectNotFound:
            if not force:
                raise
            continue
        _refuse_folder(first, recursive)
        targets.append(itertools.chain([first], found))
    deleter = Deleter(state, dry_run=dry_run)
    for found in targets:
        for target in found:
            if target.glob_folder is not None and target.key.endswith("/") and not recursive:
                state.out.note(f"left alone: {target.text} is a folder (use -r)")
                continue
            keys = _keys(lister, target, recursive)
            if not deleter.delete(target, keys) and not force:
                deleter.failed(
                    target, target.key, "there is no such object or folder", "ObjectNotFound"
                )
    deleter.tell()
    return max(deleter.exit_code, lister.exit_code)


def _refuse_folder(target: Target, recursive: bool) -> None:
    """Raise `UsageError` for what only -r deletes; called before anything is deleted."""
    if target.is_root:
        raise UsageError(f"{target.text}: these are all buckets; name one")
    if recursive or target.glob_folder is not None:
        return
    if not target.key:
        what = "folder" if target.is_path else "whole bucket"
        raise UsageError(f"{target.text}: this is a {what}. To delete what is in it: rm -r")
    if head_or_none(target) is None and not target.key.endswith("/"):
        below = next(iter(target.store.list_level(target.bucket, target.folder)), None)
        if below is not None:
            raise UsageError(f"{target.text}: this is a folder. To delete what is in it: rm -r")


def _keys(lister: Lister, target: Target, recursive: bool) -> Iterator[str]:
    if recursive:
        try:
            for entry in lister.entries(target):
                yield entry.key
        except ObjectNotFound:
            if not lister.exit_code and not target.store.bucket_exists(target.bucket):
                raise
    elif target.glob_folder is not None or head_or_none(target) is not None:
        yield target.key
