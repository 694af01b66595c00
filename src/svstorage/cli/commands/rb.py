"""``svstorage rb``: remove buckets."""

from __future__ import annotations

from contextlib import suppress

import click

from svstorage.cli.deleting import Deleter
from svstorage.cli.failure import message_of
from svstorage.cli.listing import Lister, resumed_level
from svstorage.cli.options import subcommand
from svstorage.cli.retrying import PASSING, retrying
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import Target, locate_bucket
from svstorage.errors import BucketNotFound, ObjectError


@subcommand(
    "rb",
    epilog="""\b
Examples:
  svstorage rb sv://acme-scratch
  svstorage rb --force sv://acme-scratch  with all that is in it
""",
)
@click.argument("addresses", metavar="sv://BUCKET...", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Delete all objects in it first. There is no way back.")
@pass_state
def command(state: State, addresses: tuple[str, ...], force: bool) -> int:
    """Remove empty buckets; with --force, full ones too."""
    lister, deleter = Lister(state), Deleter(state)
    failed = False
    for target in [locate_bucket(state, address) for address in addresses]:
        try:
            _remove(target, lister, deleter if force else None)
        except ObjectError as caught:
            error = _told(target, caught)
            if len(addresses) == 1:
                raise error from caught
            failed = True  # and does not stop the others
            state.out.failure(
                message_of(error), kind=type(error).__name__, address=target.address(), exit_code=1
            )
            continue
        if state.json:
            state.out.record({"bucket": target.bucket, "removed": True})
        else:
            state.out.note(f"removed {target.address()}")
    return 1 if failed else 0


def _told(target: Target, error: ObjectError) -> ObjectError:
    """The same words whatever the storage."""
    if isinstance(error, BucketNotFound):
        return BucketNotFound(f"{target.address()}: there is no such bucket")
    return error


def _remove(target: Target, lister: Lister, deleter: Deleter | None) -> None:
    if deleter is not None:
        before = deleter.failures, lister.problems
        deleter.delete(target, (entry.key for entry in lister.entries(target)))
        if (deleter.failures, lister.problems) != before:
            raise ObjectError(f"{target.address()}: not removed, as objects in it are left")
    elif next(resumed_level(target, ""), None) is not None:
        raise ObjectError(
            f"{target.address()}: it is not empty. To delete what is in it too: rb --force"
        )
    try:
        target.store.delete_bucket(target.bucket)
    except PASSING:
        retrying(lambda: _remove_again(target))


def _remove_again(target: Target) -> None:
    with suppress(BucketNotFound):  # it was removed, and the answer got lost
        target.store.delete_bucket(target.bucket)
