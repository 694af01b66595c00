"""``svstorage rm``: delete objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import click

from svstorage.cli.deleting import Deleter
from svstorage.cli.each import what_is_missing
from svstorage.cli.failure import message_of
from svstorage.cli.listing import Lister, head_or_none, resumed_level
from svstorage.cli.options import subcommand
from svstorage.cli.retrying import retrying
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import Target, locate, locate_all
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
    deleter = Deleter(state, dry_run=dry_run)
    targets: list[Iterator[Target]] = []
    for address in addresses:
        found = locate_all(state, address, literal=literal)
        try:
            first = next(found)
            _refuse_folder(first, recursive)
        except ObjectNotFound as error:
            if not force:
                _missing(deleter, locate(state, address), error, alone=len(addresses) == 1)
            continue
        targets.append(itertools.chain([first], found))
    for found in targets:
        for target in found:
            if target.glob_folder is not None and target.key.endswith("/") and not recursive:
                state.out.note(f"left alone: {target.text} is a folder (use -r)")
                continue
            try:
                count = deleter.delete(target, _keys(lister, target, recursive))
            except ObjectNotFound as error:  # of the bucket
                if not force:
                    _missing(deleter, target, error, alone=len(addresses) == 1)
                continue
            if not count and not force:
                deleter.failed(
                    target, target.key, "there is no such object or folder", "ObjectNotFound"
                )
    deleter.tell()
    return max(deleter.exit_code, lister.exit_code)


def _missing(deleter: Deleter, target: Target, error: ObjectNotFound, *, alone: bool) -> None:
    """As with rm(1): what is not there is named, and the others are deleted."""
    reason = message_of(error).removeprefix(f"{target.text}: ")
    if not reason.startswith(("there is no such", "nothing matches")):
        reason = what_is_missing(deleter.state, target.text, error)
    if alone:
        raise type(error)(f"{target.text}: {reason}")
    deleter.failed(target, target.key, reason, type(error).__name__)


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
        below = next(resumed_level(target, target.folder), None)
        if below is not None:
            raise UsageError(f"{target.text}: this is a folder. To delete what is in it: rm -r")


def _keys(lister: Lister, target: Target, recursive: bool) -> Iterator[str]:
    if recursive:
        try:
            for entry in lister.entries(target):
                yield entry.key
        except ObjectNotFound:
            if not lister.exit_code and not _has_bucket(target):
                raise
    elif target.glob_folder is not None or head_or_none(target) is not None:
        yield target.key


def _has_bucket(target: Target) -> bool:
    return retrying(lambda: target.store.bucket_exists(target.bucket))
