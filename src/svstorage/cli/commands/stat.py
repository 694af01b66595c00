"""``svstorage stat``: all that is known of an object."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from svstorage.cli.each import Each
from svstorage.cli.listing import entry_record
from svstorage.cli.options import subcommand
from svstorage.cli.retrying import retrying
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import Target, locate_objects
from svstorage.cli.units import human_size, moment_iso
from svstorage.model import ObjectInfo


@subcommand(
    "stat",
    epilog="""\b
Examples:
  svstorage stat public:photos/a.jpg
  svstorage stat --json sv://acme-private/model.pt | jq .metadata
""",
)
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@pass_state
def command(state: State, addresses: tuple[str, ...]) -> int:
    """Show size, time, ETag, headers and metadata of objects."""
    each, told = Each(state), 0
    for address in addresses:
        with each.address(address):
            for target in locate_objects(state, address):
                info = retrying(partial(target.store.head, target.bucket, target.key))
                if state.json:
                    state.out.record(_record(target, info))
                    continue
                if told:
                    state.out.line()
                _show(state, target, info)
                told += 1
    return each.exit_code


def _record(target: Target, info: ObjectInfo) -> dict[str, Any]:
    attributes = info.attributes
    return {
        **entry_record(target, info.entry),
        "content_type": attributes.content_type,
        "content_encoding": attributes.content_encoding,
        "content_language": attributes.content_language,
        "content_disposition": attributes.content_disposition,
        "cache_control": attributes.cache_control,
        "metadata": dict(attributes.metadata),
        "tags": None if attributes.tags is None else dict(attributes.tags),
    }


def _show(state: State, target: Target, info: ObjectInfo) -> None:
    entry, attributes = info.entry, info.attributes
    size = f"{entry.size} bytes"
    digest = entry.checksum
    rows: list[tuple[str, str | None]] = [
        ("Address", target.address()),
        ("Size", size if entry.size < 1024 else f"{size} ({human_size(entry.size)})"),
        ("Modified", moment_iso(entry.modified_ns)),
        ("ETag", entry.etag),
        ("Checksum", f"{digest.algorithm} {digest.value}" if digest else None),
        ("Content-Type", attributes.content_type),
        ("Content-Encoding", attributes.content_encoding),
        ("Content-Language", attributes.content_language),
        ("Content-Disposition", attributes.content_disposition),
        ("Cache-Control", attributes.cache_control),
        *((f"Metadata {name}", value) for name, value in sorted(attributes.metadata.items())),
        *((f"Tag {name}", value) for name, value in sorted((attributes.tags or {}).items())),
    ]
    shown = [(name, value) for name, value in rows if value is not None]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        state.out.line(f"{name:<{width}}  {value}")
