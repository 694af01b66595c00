"""``svstorage presign``: a URL that works without credentials."""

from __future__ import annotations

import time

import click

from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import locate, locate_objects
from svstorage.cli.units import Duration, human_time, moment_iso
from svstorage.errors import NotSupported, UsageError

_LONGEST = 7 * 86400
"""Seven days: the limit of AWS Signature Version 4 for query strings; we hold Azure to it too."""


@subcommand(
    "presign",
    epilog="""\b
Examples:
  svstorage presign public:photos/a.jpg
  svstorage presign --expires 15m private:report.pdf
  curl -T data.bin "$(svstorage presign --put private:in/data.bin)"
""",
)
@click.argument("address")
@click.option(
    "--expires", type=Duration(), default="1h", show_default=True, metavar="TIME",
    help="How long it works, at most 7d.",
)  # fmt: skip
@click.option("--put", is_flag=True, help="A URL to upload to, instead of one to download from.")
@pass_state
def command(state: State, address: str, expires: float, put: bool) -> int:
    """Print a URL that works without credentials until it expires.

    Whoever has the URL has access: treat it as a secret. With temporary credentials it ends
    when they do, however long --expires says.
    """
    seconds = int(expires)
    if not 1 <= seconds <= _LONGEST:
        raise UsageError("--expires: must be from 1s to 7d")
    targets = [locate(state, address)] if put else locate_objects(state, address)
    for target in targets:
        if not target.key:
            raise UsageError(f"{target.text}: name an object, not a bucket or folder")
        if not target.store.capabilities.presign:
            raise NotSupported(f"{target.text}: this storage has no presigned URLs")
        method = "PUT" if put else "GET"
        url = target.store.presign(
            target.bucket, target.key, expires=seconds, method="PUT" if put else "GET"
        )
        if state.json:
            ends = moment_iso(int((time.time() + seconds) * 1e9))
            state.out.record(
                {"address": target.address(), "method": method, "url": url, "expires": ends}
            )
        else:
            state.out.line(url)
            state.out.note(f"works for {human_time(seconds)}; whoever has it has access")
    return 0
