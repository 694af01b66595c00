"""The memory of a folder: for each file, the last state that both sides had in common.

One SQLite file in the folder itself, at ``.svstorage/manifest.sqlite``: a folder that is empty
because nothing is mounted there has no memory either, so that nothing in it can look deleted.
The rollback journal (not WAL) also works on network file systems, where homes often lie.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from svstorage.model import key_order

log = logging.getLogger(__name__)

VERSION = "1"
_TABLES = """
CREATE TABLE IF NOT EXISTS base (
    key BLOB PRIMARY KEY, local TEXT NOT NULL, settled INTEGER NOT NULL, size INTEGER NOT NULL,
    digest TEXT NOT NULL, remote TEXT NOT NULL, listed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS staged (
    name TEXT PRIMARY KEY, key BLOB NOT NULL, known TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Base:
    """One file as both sides had it.

    ``local`` and ``remote`` name the versions (`versions`), ``digest`` the MD5 of the bytes:
    the one digest that storages tell without being read, so equal content is seen for nothing.
    ``settled`` is False where the file was looked at so soon after it was written that a further
    write may have left the same marks; it is then read once more.
    """

    key: str
    local: str
    settled: bool
    size: int
    digest: str
    remote: str
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Staged:
    """A file in the staging folder that may hold a version of ``key`` which is nowhere else.

    ``known``: digests, joined by commas, of versions that are safe elsewhere.
    """

    name: str
    key: str
    known: str


class Manifest:
    """An open manifest. Only whoever holds the folder's lock may open it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not self._is_broken(error):
                raise
            aside = self.path.with_suffix(".broken")
            log.warning(
                "%s is damaged (%s) and was set aside as %s: both sides are compared anew, "
                "nothing is deleted on its account", self.path.name, error, aside.name,
            )  # fmt: skip
            os.replace(self.path, aside)
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
            return self._connect()

    @staticmethod
    def _is_broken(error: sqlite3.OperationalError) -> bool:
        return "no such column" in str(error) or "malformed" in str(error)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        try:
            database.execute("PRAGMA journal_mode=TRUNCATE")
            database.execute("PRAGMA synchronous=FULL")
            database.executescript(_TABLES)
            if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("it does not pass SQLite's quick check")
            database.execute("SELECT key, listed FROM base LIMIT 1")
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # What is remembered

    def rows(self) -> Iterator[Base]:
        """All rows in byte order of the keys.

        By the thousand: a cursor left open, by an error further up, would keep the file locked.
        """
        after: bytes | None = None
        while True:
            some = self._database.execute(
                "SELECT key, local, settled, size, digest, remote, listed FROM base"
                " WHERE ? IS NULL OR key > ? ORDER BY key LIMIT 1000",
                (after, after),
            ).fetchall()
            for row in some:
                key, local, settled, size, digest, remote, listed = row
                yield Base(_key(key), local, bool(settled), size, digest, remote, bool(listed))
            if not some:
                return
            after = some[-1][0]

    def change(
        self,
        rows: Iterable[Base] = (),
        forget: Iterable[str] = (),
        *,
        stage: Iterable[Staged] = (),
        unstage: Iterable[str] = (),
    ) -> None:
        """Remember and forget, all of it or nothing."""
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany(
                "INSERT OR REPLACE INTO base VALUES (?,?,?,?,?,?,?)",
                (
                    (key_order(r.key), r.local, r.settled, r.size, r.digest, r.remote, r.listed)
                    for r in rows
                ),
            )
            database.executemany(
                "DELETE FROM base WHERE key = ?", ((key_order(key),) for key in forget)
            )
            database.executemany(
                "INSERT OR REPLACE INTO staged VALUES (?,?,?)",
                ((one.name, key_order(one.key), one.known) for one in stage),
            )
            database.executemany("DELETE FROM staged WHERE name = ?", ((n,) for n in unstage))
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    def staged(self) -> list[Staged]:
        rows = self._database.execute("SELECT name, key, known FROM staged ORDER BY name")
        return [Staged(row[0], _key(row[1]), row[2]) for row in rows]

    def text(self, name: str) -> str | None:
        row = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_text(self, name: str, value: str | None) -> None:
        if value is None:
            self._database.execute("DELETE FROM meta WHERE name = ?", (name,))
        else:
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (name, value))

    def mounts(self) -> list[str]:
        """What was mounted below the folder when it was last looked at."""
        return list(json.loads(self.text("mounts") or "[]"))

    def set_mounts(self, points: list[str]) -> None:
        self.set_text("mounts", json.dumps(points) if points else None)

    def bind(self, target: str) -> None:
        """Say which prefix the rows are about; the rows of another one are dropped.

        What is missing in a storage that the folder was never in step with is not deleted.
        """
        if self.text("target") == target and self.text("version") == VERSION:
            return
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM base")
        database.execute("DELETE FROM meta")
        self.set_text("target", target)
        self.set_text("version", VERSION)
        database.execute("COMMIT")


def _key(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
