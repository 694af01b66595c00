"""Listings that can be trusted: in order, checked, read ahead in a thread of their own.

A merge join is only right on listings in byte order without repeats, so the order of every
listing is checked. A store that does not promise the order is sorted on disk first.
"""

from __future__ import annotations

import logging
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TypeVar

from svstorage.addresses import display
from svstorage.errors import ConnectionFailed, ListingError
from svstorage.model import Checksum, Entry, Problem, key_order
from svstorage.strategies.base import End
from svstorage.transfer.retry import ATTEMPTS, PASSING, pause
from svstorage.transfer.stop import StopToken

log = logging.getLogger(__name__)

T = TypeVar("T")
Item = "Entry | Problem"

# Entries cross the thread border in lists: a queue operation for each would cost more than the
# listing itself. 512 entries are about 100 kB; four lists in flight bound the memory.
BATCH = 512
BATCHES_AHEAD = 8


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
    if end.store.capabilities.listing_order != "bytes":
        items = sorted_on_disk(end.store.list(end.bucket, end.prefix, start_after=start_after))
    else:
        items = _taken_up(end, start_after, stop or StopToken())
    return in_order(items, end.location)


def _is_there(end: End) -> bool:
    return end.store.bucket_exists(end.bucket)


def _taken_up(end: End, start_after: str, stop: StopToken) -> Iterator[Entry | Problem]:
    attempt = 0
    while True:
        try:
            for item in end.store.list(end.bucket, end.prefix, start_after=start_after):
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


def sorted_on_disk(items: Iterator[Entry | Problem]) -> Iterator[Entry | Problem]:
    """Sort a listing of any length with flat memory, in a temporary SQLite file."""
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
            table.execute("BEGIN")
            for item in items:
                if isinstance(item, Problem):
                    yield item
                    continue
                checksum = item.checksum
                table.execute(
                    "INSERT INTO listing VALUES (?,?,?,?,?,?,?)",
                    (
                        key_order(item.key),
                        item.size,
                        item.modified_ns,
                        item.etag,
                        checksum.algorithm if checksum else None,
                        checksum.value if checksum else None,
                        item.changed_ns,
                    ),
                )
            table.execute("COMMIT")
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


class ReadAhead(Iterator[T]):
    """Runs an iterator in a thread, a bounded way ahead of its reader.

    An error of the iterator is raised at the place where it happened, after all that came
    before it. Closing stops the thread at its next item.
    """

    def __init__(self, make: Callable[[], Iterator[T]], name: str) -> None:
        self._queue: Queue[tuple[list[T], BaseException | None, bool]] = Queue(BATCHES_AHEAD)
        self._closed = threading.Event()
        self._batch: Iterator[T] = iter(())
        self._error: BaseException | None = None
        self._last = False
        self._thread = threading.Thread(
            target=self._fill, args=(make,), name=f"svstorage-{name}", daemon=True
        )
        self._thread.start()

    def _fill(self, make: Callable[[], Iterator[T]]) -> None:
        batch: list[T] = []
        error: BaseException | None = None
        try:
            # The first items go over at once, so that work starts before a page is full.
            limit = 16
            for item in make():
                batch.append(item)
                if len(batch) >= limit:
                    if not self._send(batch, None, last=False):
                        return
                    batch, limit = [], BATCH
        except BaseException as caught:  # handed to the reader, which raises it
            error = caught
        self._send(batch, error, last=True)

    def _send(self, batch: list[T], error: BaseException | None, *, last: bool) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put((batch, error, last), timeout=0.2)
            except Full:
                continue
            return True
        return False

    def __next__(self) -> T:
        while True:
            for item in self._batch:
                return item
            if self._error is not None:
                error, self._error = self._error, None
                self._last = True
                raise error
            if self._last:
                raise StopIteration
            batch, self._error, self._last = self._queue.get()
            self._batch = iter(batch)
            if self._error is not None:
                self._last = False

    def close(self) -> None:
        self._closed.set()
        while True:
            try:
                self._queue.get_nowait()
            except Empty:
                break
        self._last = True
        self._batch = iter(())
