"""``svstorage put``: one object from stdin or a file."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, BinaryIO

import click

from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.cli.targets import locate
from svstorage.errors import UsageError
from svstorage.model import Attributes

_CHUNK = 1 << 20


@subcommand(
    "put",
    epilog="""\b
Examples:
  pg_dump shop | svstorage put - private:dumps/shop.sql
  tar c ./notes | zstd | svstorage put - sv://acme-private/notes.tar.zst
  svstorage put --content-type text/html page public:index.html
""",
)
@click.argument("source", metavar="-|FILE", type=click.File("rb"))
@click.argument("address")
@click.option("--content-type", metavar="TYPE", help="Content-Type of the object.")
@pass_state
def command(state: State, source: BinaryIO, address: str, content_type: str | None) -> int:
    """Store stdin (-) or a file as one object, whatever its size.

    The object appears only once all of the input was read and stored: where reading fails or
    you interrupt, nothing is published. But a pipe's end looks the same when the program
    before it failed: use `set -o pipefail` and check.
    """
    return store(state, source, address, content_type)


def store(state: State, source: BinaryIO, address: str, content_type: str | None = None) -> int:
    """All of ``source`` as one object; the exit code."""
    from svstorage.filesystem.writer import ObjectWriter

    target = locate(state, address)
    if not target.key or target.key.endswith("/"):
        raise UsageError(f"{address}: name the object itself, not a bucket or folder")
    attributes = Attributes(content_type=content_type) if content_type else None
    size = 0
    with (
        _terminated(),
        ObjectWriter(target.store, target.bucket, target.key, attributes=attributes) as writer,
    ):
        while chunk := _read(source):
            writer.write(chunk)
            size += len(chunk)
    if state.json:
        state.out.record({"address": target.address(), "size": size})
    else:
        state.out.note(f"stored {size} bytes as {target.address()}")
    return 0


def _read(source: BinaryIO) -> bytes:
    # read1 hands on what a pipe has; read would wait for a whole chunk.
    read1 = getattr(source, "read1", None)
    return read1(_CHUNK) if read1 is not None else source.read(_CHUNK)


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM ends like SIGINT: by an exception, which discards what was written."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before: Any = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
