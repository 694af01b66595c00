"""``svstorage rb``: remove buckets."""

from __future__ import annotations

import click

from svstorage.cli.deleting import Deleter
from svstorage.cli.listing import Lister
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import locate_bucket
from svstorage.errors import ObjectError


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
    for target in [locate_bucket(state, address) for address in addresses]:
        if force:
            deleter.delete(target, (entry.key for entry in lister.entries(target)))
            if deleter.failures or lister.exit_code:
                raise ObjectError(f"{target.address()}: not removed, as objects in it are left")
        elif next(iter(target.store.list_level(target.bucket)), None) is not None:
            raise ObjectError(
                f"{target.address()}: it is not empty. To delete what is in it too: rb --force"
            )
        target.store.delete_bucket(target.bucket)
        if state.json:
            state.out.record({"bucket": target.bucket, "removed": True})
        else:
            state.out.note(f"removed {target.address()}")
    return 0
