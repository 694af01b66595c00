"""Listings that can be trusted: in order, and checked.

A merge join is only right on listings in byte order without repeats, so the order of every
listing is checked. A store that does not promise the order is sorted on disk first.
"""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from svstorage.addresses import display
from svstorage.errors import ConnectionFailed, ListingError
from svstorage.model import Checksum, Entry, Problem, key_order
from svstorage.strategies.base import End
from svstorage.transfer.branches import in_branches
from svstorage.transfer.retry import ATTEMPTS, PASSING, pause
from svstorage.transfer.stop import StopToken

log = logging.getLogger(__name__)


def listed(
    end: End,
    *,
    start_after: str = "",
    stop: StopToken | None = None,
    may_be_missing: bool = False,
) -> Iterator[Entry | Problem]:
    """All objects of one side, in byte order of their keys, checked.

    ``may_be_missing``: a local folder that is not there (yet) is an empty one.

    A listing that breaks off for a passing reason is taken up again behind its last key.

    Raises:
        ListingError: a key came out of order or twice.
    """
    if may_be_missing and end.store.capabilities.is_local and not _is_there(end):
        return iter(())
    token = stop or StopToken()
    if end.store.capabilities.listing_order != "bytes":
        items = sorted_on_disk(
            lambda: end.store.list(end.bucket, end.prefix, start_after=start_after), token
        )
    elif start_after or end.store.capabilities.is_local:
        items = _taken_up(end, end.prefix, start_after, token)
    else:
        items = in_branches(end, lambda prefix: _taken_up(end, prefix, "", token))
    return in_order(items, end.location)


def _is_there(end: End) -> bool:
    return end.store.bucket_exists(end.bucket)


def _taken_up(
    end: End, prefix: str, start_after: str, stop: StopToken
) -> Iterator[Entry | Problem]:
    attempt = 0
    while True:
        try:
            for item in end.store.list(end.bucket, prefix, start_after=start_after):
                if isinstance(item, Entry):
                    start_after = item.key
                    attempt = 0
                yield item
        except PASSING as error:
            attempt += 1
            # Nobody there from the start: a wrong address is to be told soon.
            most = 2 if isinstance(error, ConnectionFailed) and not start_after else ATTEMPTS
            if attempt >= most or not pause(attempt, error, stop):
                raise
        else:
            return


def in_order(items: Iterator[Entry | Problem], where: str) -> Iterator[Entry | Problem]:
    """Pass on what comes in byte order; raise `ListingError` at the first that does not."""
    last = b""
    first = True
    for item in items:
        if isinstance(item, Entry):
            order = key_order(item.key)
            if not first and order <= last:
                how = "twice" if order == last else "out of order"
                raise ListingError(
                    f"{where}: the listing names {display(item.key)!r} {how}; "
                    "what is missing from it cannot be known, so nothing more is done with it"
                )
            last, first = order, False
        yield item


def sorted_on_disk(
    start: Callable[[], Iterator[Entry | Problem]], stop: StopToken
) -> Iterator[Entry | Problem]:
    """Sort a listing of any length with flat memory, in a temporary SQLite file.

    Without order there is no place to take it up again: where it breaks off for a passing
    reason, ``start`` begins it anew.
    """
    with tempfile.TemporaryDirectory(prefix="svstorage-sort-") as folder:
        table = sqlite3.connect(Path(folder) / "listing.sqlite", isolation_level=None)
        try:
            table.execute("PRAGMA journal_mode=OFF")
            table.execute("PRAGMA synchronous=OFF")
            table.execute("PRAGMA temp_store=FILE")
            table.execute(
                "CREATE TABLE listing"
                " (key BLOB, size, modified, etag, algorithm, checksum, changed)"
            )
            yield from _collected(table, start, stop)
            for row in table.execute("SELECT * FROM listing ORDER BY key"):
                yield Entry(
                    key=row[0].decode("utf-8", "surrogateescape"),
                    size=row[1],
                    modified_ns=row[2],
                    etag=row[3],
                    checksum=Checksum(row[4], row[5]) if row[4] else None,
                    changed_ns=row[6],
                )
        finally:
            table.close()


def _collected(
    table: sqlite3.Connection, start: Callable[[], Iterator[Entry | Problem]], stop: StopToken
) -> list[Problem]:
    """Fill the table from one listing that came to its end; what it met beside objects."""
    for attempt in range(1, ATTEMPTS + 1):
        problems: list[Problem] = []
        table.execute("DELETE FROM listing")
        table.execute("BEGIN")
        try:
            for item in start():
                if isinstance(item, Problem):
                    problems.append(item)
                else:
                    table.execute("INSERT INTO listing VALUES (?,?,?,?,?,?,?)", _row(item))
        except PASSING as error:
            table.execute("COMMIT")
            if attempt == ATTEMPTS or not pause(attempt, error, stop):
                raise
            continue
        table.execute("COMMIT")
        break
    return problems


def _row(entry: Entry) -> tuple[object, ...]:
    checksum = entry.checksum
    return (
        key_order(entry.key),
        entry.size,
        entry.modified_ns,
        entry.etag,
        checksum.algorithm if checksum else None,
        checksum.value if checksum else None,
        entry.changed_ns,
    )
