"""``svstorage mb``: make buckets."""

from __future__ import annotations

import click

from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import locate_bucket
from svstorage.errors import ObjectExists


@subcommand(
    "mb",
    epilog="""\b
Examples:
  svstorage mb sv://acme-public sv://acme-private
  svstorage mb -p sv://acme-public        fine if it is there already
""",
)
@click.argument("addresses", metavar="sv://BUCKET...", nargs=-1, required=True)
@click.option("-p", "--ignore-existing", is_flag=True, help="No error if it is there already.")
@pass_state
def command(state: State, addresses: tuple[str, ...], ignore_existing: bool) -> int:
    """Make buckets.

    On Azure they are containers, on the local disk the folders of DATA_PATH/storage.
    """
    for target in [locate_bucket(state, address) for address in addresses]:
        made = True
        try:
            target.store.create_bucket(target.bucket)
        except ObjectExists:
            if not ignore_existing:
                raise
            made = False
        if state.json:
            state.out.record({"bucket": target.bucket, "made": made})
        else:
            state.out.note(f"{'made' if made else 'is there already:'} {target.address()}")
    return 0
