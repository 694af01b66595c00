"""What survives a crash: which objects are done, and the finished parts of big ones.

One SQLite file for each pair of source and destination, in the user's state folder. A journal
is a hint: a row counts only while the source still has the version that was read and the
destination still has the version that was confirmed, so a journal can make a run slower or
faster, never wrong.

While a copy is under way the journal has a row for each object done. When it completes, a
``cp`` leaves nothing behind; a sync or migrate keeps one row for each object that is still at
the source, so that the next pass knows without comparing clocks what has not changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from svstorage.addresses import display
from svstorage.errors import StorageError, UsageError
from svstorage.model import Checksum, Entry, Part, Stored, key_order
from svstorage.transfer.versions import source_version, stored_version, version_of

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2
COMMIT_SECONDS = 1.0
COMMIT_ROWS = 5_000
ROWS_AT_ONCE = 256  # three values each: SQLite took 999 in one statement before 3.32

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE done (key BLOB PRIMARY KEY, source BLOB, destination BLOB) WITHOUT ROWID;
CREATE TABLE upload (
    key BLOB PRIMARY KEY, source BLOB, destination_key TEXT, upload_id TEXT, part_size INTEGER
) WITHOUT ROWID;
CREATE TABLE part (
    key BLOB, number INTEGER, size INTEGER, etag TEXT, position INTEGER, md5 TEXT,
    PRIMARY KEY (key, number)
) WITHOUT ROWID;
"""


def _part(number: int, size: int, etag: str, position: int, md5: str | None) -> Part:
    return Part(number, size, etag, position, Checksum("md5", md5) if md5 else None)


class JournalBusy(StorageError):
    """Another process uses this journal right now."""


def state_folder() -> Path:
    """Where journals live: ``SVSTORAGE_STATE_PATH``, else the platform's user state folder."""
    given = os.environ.get("SVSTORAGE_STATE_PATH")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_state_dir("svstorage", appauthor=False))


def default_path(source: str, destination: str) -> Path:
    """The journal of a pair, named by a digest so that any location makes a valid file name."""
    digest = hashlib.sha256(f"{source}\n{destination}".encode("utf-8", "surrogateescape"))
    return state_folder() / "journals" / f"{digest.hexdigest()[:32]}.sqlite"


class Journal:
    """The journal of one run. Safe to call from many threads."""

    def __init__(self, path: Path, *, source: str, destination: str, explicit: bool) -> None:
        """Open or make the journal at ``path``.

        Raises:
            JournalBusy: another process holds it.
            UsageError: a journal named by the user is not usable for this pair.
        """
        self.path = path
        self._explicit = explicit
        self._pair = {"source": source, "destination": destination}
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = self._take_lock(path)
        self._lock = threading.RLock()
        self._pending = 0
        self._committed = time.monotonic()
        self._broken = False
        self._waiting: list[tuple[bytes, bytes, bytes]] = []
        try:
            self._db = self._open()
            self.was_complete = self._begin()
            self.had_rows = self._db.execute("SELECT 1 FROM done LIMIT 1").fetchone() is not None
        except BaseException:
            self._lock_file.close()
            raise

    def _take_lock(self, path: Path) -> Any:
        lock_file = open(f"{path}.lock", "a")  # noqa: SIM115 - held open for the whole run
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock_file.close()
            raise JournalBusy(f"another run uses the journal {path}") from None
        return lock_file

    def _open(self) -> sqlite3.Connection:
        try:
            return self._check(self._connect())
        except (sqlite3.DatabaseError, ValueError) as error:
            if self._explicit:
                raise UsageError(
                    f"the journal {self.path} cannot be used: {error}. "
                    "Name another file, or delete this one to begin anew"
                ) from None
            log.warning("the journal %s cannot be used (%s); begun anew", self.path, error)
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            try:
                return self._check(self._connect())
            except sqlite3.Error as again:  # no room, most likely
                raise OSError(errno.EIO, str(again), str(self.path)) from None

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, check_same_thread=False, timeout=30)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        return database

    def _check(self, database: sqlite3.Connection) -> sqlite3.Connection:
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == 0 and tables == 0:
                database.executescript(SCHEMA)
                database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                database.executemany("INSERT INTO meta VALUES (?,?)", self._pair.items())
                database.commit()
            elif version != SCHEMA_VERSION:
                raise ValueError(
                    f"it is of version {version}, this program writes {SCHEMA_VERSION}"
                )
            known = dict(database.execute("SELECT name, value FROM meta"))
            for name, value in self._pair.items():
                if known.get(name) != value:
                    raise ValueError(
                        f"it belongs to another {name}: {display(known.get(name, '?'))}"
                    )
        except BaseException:
            database.close()
            raise
        return database

    def _begin(self) -> bool:
        """Note that a run is under way; True where the one before it came to its end."""
        row = self._db.execute("SELECT value FROM meta WHERE name='state'").fetchone()
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('state', 'under way')")
        self._db.commit()
        return row is not None and row[0] == "complete"

    # -- objects ---------------------------------------------------------------------------

    def done(self, key: str, source: Entry, stored: Stored) -> None:
        """Note that the destination confirmed this version; written within about a second."""
        self._note((key_order(key), source_version(source), stored_version(stored)))

    def still_done(self, key: str, source: Entry, destination: Entry) -> None:
        """Note that both ends still hold the same content."""
        self._note((key_order(key), source_version(source), version_of(destination)))

    def forget_done(self) -> None:
        """Copy everything again, whatever earlier runs did."""
        with self._trusted() as database:
            if database is not None:
                self._insert()
                database.execute("DELETE FROM done")
                database.commit()
                self.had_rows = False

    def row(self, key: str) -> tuple[bytes, bytes] | None:
        """(source version, destination version) of one key."""
        found: tuple[bytes, bytes] | None = None
        with self._trusted() as database:
            if database is not None:
                self._insert()
                found = database.execute(
                    "SELECT source, destination FROM done WHERE key=?", (key_order(key),)
                ).fetchone()
        return found

    def drop(self, order: bytes) -> None:
        """Forget a key that the source no longer lists."""
        self._write("DELETE FROM done WHERE key=?", (order,))

    def rows(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """(key, source version, destination version) of earlier runs, in byte order of keys."""
        with self._trusted():
            self._commit()
        # A connection of its own sees one snapshot while the run goes on writing.
        reader = sqlite3.connect(self.path, check_same_thread=False, timeout=30)
        try:
            yield from reader.execute("SELECT key, source, destination FROM done ORDER BY key")
        except sqlite3.Error as error:
            # What is not told here counts as not done before.
            self._break(error)
        finally:
            reader.close()

    # -- parts of big objects ---------------------------------------------------------------

    def upload(self, key: str, source: Entry) -> tuple[str, int, list[Part]] | None:
        """(upload id, part size, finished parts) of this very version, or None."""
        with self._trusted() as database:
            if database is not None:
                row = database.execute(
                    "SELECT source, upload_id, part_size FROM upload WHERE key=?",
                    (key_order(key),),
                ).fetchone()
                if row is not None and row[0] == source_version(source):
                    parts = database.execute(
                        "SELECT number, size, etag, position, md5 FROM part"
                        " WHERE key=? ORDER BY number",
                        (key_order(key),),
                    )
                    return row[1], row[2], [_part(*fields) for fields in parts]
        return None

    def begin_upload(
        self, key: str, source: Entry, destination_key: str, upload_id: str, part_size: int
    ) -> None:
        """Note an upload before its first part is sent."""
        with self._trusted() as database:
            if database is not None:
                database.execute("DELETE FROM part WHERE key=?", (key_order(key),))
                database.execute(
                    "INSERT OR REPLACE INTO upload VALUES (?,?,?,?,?)",
                    (key_order(key), source_version(source), destination_key, upload_id, part_size),
                )
                database.commit()

    def part_finished(self, key: str, part: Part) -> None:
        """Note a part that the service has confirmed; on disk when this returns."""
        checksum = part.checksum
        md5 = checksum.value if checksum and checksum.algorithm == "md5" else None
        with self._trusted() as database:
            if database is not None:
                database.execute(
                    "INSERT OR REPLACE INTO part VALUES (?,?,?,?,?,?)",
                    (key_order(key), part.number, part.size, part.etag, part.offset, md5),
                )
                database.commit()

    def forget_upload(self, key: str) -> None:
        """Forget an upload and its parts: it is complete, or of no use any more."""
        with self._trusted() as database:
            if database is not None:
                database.execute("DELETE FROM part WHERE key=?", (key_order(key),))
                database.execute("DELETE FROM upload WHERE key=?", (key_order(key),))
                database.commit()

    def unfinished(self, key: str) -> tuple[str, str] | None:
        """(destination key, upload id) of a key's upload, of whatever version."""
        with self._trusted() as database:
            if database is not None:
                row: tuple[str, str] | None = database.execute(
                    "SELECT destination_key, upload_id FROM upload WHERE key=?", (key_order(key),)
                ).fetchone()
                return row
        return None

    def uploads(self) -> list[tuple[str, str]]:
        """(destination key, upload id) of every upload that no run has finished."""
        with self._trusted() as database:
            if database is not None:
                return list(database.execute("SELECT destination_key, upload_id FROM upload"))
        return []

    # -- life ------------------------------------------------------------------------------

    def complete(self, *, keep: bool) -> None:
        """The run is complete: drop what the next one has no use for."""
        with self._trusted() as database:
            if database is None:
                return
            self._insert()
            if not keep:
                database.execute("DELETE FROM done")
            database.execute("DELETE FROM upload")
            database.execute("DELETE FROM part")
            database.execute("INSERT OR REPLACE INTO meta VALUES ('state', 'complete')")
            database.commit()
            if not keep and self._explicit:
                database.execute("VACUUM")

    def close(self) -> None:
        """Write what is left; a journal without rows, or one that failed, is removed."""
        empty = True
        with self._trusted() as database:
            if database is not None:
                self._commit()
                empty = database.execute(
                    "SELECT NOT EXISTS (SELECT 1 FROM done) AND NOT EXISTS (SELECT 1 FROM upload)"
                ).fetchone()[0]
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        if (empty or self._broken) and not self._explicit:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self._lock_file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self, row: tuple[bytes, bytes, bytes]) -> None:
        """Insert a row soon, many in one statement: each statement gives the interpreter lock
        away, and getting it back from the busy workers costs more than the insert."""
        if self._broken:
            return
        waiting = self._waiting
        waiting.append(row)
        due = time.monotonic() - self._committed > COMMIT_SECONDS
        if due or len(waiting) >= ROWS_AT_ONCE:
            with self._trusted() as database:
                if database is not None:
                    self._insert()
                    self._commit_if_due()

    def _insert(self) -> None:
        rows, self._waiting = self._waiting, []
        if rows:
            marks = ",".join(["(?,?,?)"] * len(rows))
            values = [value for row in rows for value in row]
            # Only question marks are put together.
            self._db.execute(f"INSERT OR REPLACE INTO done VALUES {marks}", values)  # noqa: S608
            self._pending += len(rows)

    def _commit(self) -> None:
        self._insert()
        self._db.commit()

    def _write(self, statement: str, row: tuple[Any, ...]) -> None:
        with self._trusted() as database:
            if database is not None:
                self._insert()
                database.execute(statement, row)
                self._pending += 1
                self._commit_if_due()

    @contextmanager
    def _trusted(self) -> Iterator[sqlite3.Connection | None]:
        """The database under the lock, or None once it has failed.

        A journal that cannot be read or written (damaged, disk full) costs a later run some
        time; the copy under way goes on without it.
        """
        with self._lock:
            if self._broken:
                yield None
                return
            try:
                yield self._db
            except sqlite3.Error as error:
                self._break(error)

    def _break(self, error: sqlite3.Error) -> None:
        self._broken = True
        log.warning("the journal %s fails (%s); this run goes on without it", self.path, error)

    def _commit_if_due(self) -> None:
        now = time.monotonic()
        if self._pending >= COMMIT_ROWS or now - self._committed > COMMIT_SECONDS:
            self._commit()
            self._pending = 0
            self._committed = now
