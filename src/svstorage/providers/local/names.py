"""The names in one folder in the order of keys, in bounded memory."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from svstorage.model import key_order

RUN = 100_000
"""Names of one folder that are sorted in memory; more go to a temporary file in sorted runs."""
_BLOCK = 16 * 1024


def in_key_order(names: Iterable[str]) -> Iterator[str]:
    """Sort by `key_order`. Holds at most `RUN` names, the rest on disk (in ``TMPDIR``)."""
    run: list[str] = []
    spill: IO[bytes] | None = None
    runs: list[tuple[int, int]] = []
    for name in names:
        run.append(name)
        if len(run) > RUN:
            if spill is None:
                spill = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the merge)
            runs.append(_write_run(spill, run))
            run = []
    _sort(run)
    if spill is None:
        return iter(run)
    return _merged(spill, runs, run)


def _sort(run: list[str]) -> None:
    # Code points and UTF-8 bytes sort alike, except for the escapes of names that are not UTF-8.
    try:
        "".join(run).encode()
    except UnicodeEncodeError:
        run.sort(key=key_order)
    else:
        run.sort()


def _write_run(spill: IO[bytes], run: list[str]) -> tuple[int, int]:
    _sort(run)
    start = spill.seek(0, 2)
    # A name never contains NUL.
    spill.write(key_order("\0".join(run)) + b"\0")
    spill.flush()
    return start, spill.tell()


def _merged(spill: IO[bytes], runs: list[tuple[int, int]], last: list[str]) -> Iterator[str]:
    with spill:
        sources: list[Iterable[bytes]] = [_read_run(spill, *run) for run in runs]
        sources.append([key_order(name) for name in last])
        del last
        for name in heapq.merge(*sources):
            yield name.decode("utf-8", "surrogateescape")


def _read_run(spill: IO[bytes], position: int, end: int) -> Iterator[bytes]:
    rest = b""
    while position < end:
        spill.seek(position)
        block = spill.read(min(_BLOCK, end - position))
        position += len(block)
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
