"""Files and folders that change while they are listed or read."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from svstorage.errors import ObjectError
from svstorage.model import Entry, Problem
from svstorage.providers.local.store import LocalStore
from tests.providers.local.conftest import (
    BUCKET,
    get,
    put,
)


def test_a_folder_that_vanishes_while_listed(store: LocalStore, base: Path):
    for n in range(5):
        put(store, f"f{n}/x")
    rows = iter(store.list(BUCKET))
    first = next(rows)
    assert isinstance(first, Entry)
    for name in ("x", ""):
        path = base / "f2" / name
        path.rmdir() if name == "" else path.unlink()
    rest = list(rows)
    assert Problem("f2/", "the folder vanished while it was listed") in rest
    assert [row.key for row in rest if isinstance(row, Entry)] == ["f1/x", "f3/x", "f4/x"]


def test_a_file_that_becomes_a_folder_while_listed(store: LocalStore, base: Path):
    put(store, "a")
    put(store, "b")
    rows = iter(store.list(BUCKET))
    next(rows)
    (base / "b").unlink()
    put(store, "b/c")
    (problem,) = rows
    assert isinstance(problem, Problem)
    assert problem.severity == "error"


class TestChangedWhileRead:
    SIZE = 3_000_000

    @pytest.fixture
    def path(self, store: LocalStore, base: Path) -> Path:
        put(store, "o", bytes(self.SIZE))
        time.sleep(0.02)  # the clock that stamps files ticks in steps of some milliseconds
        return base / "o"

    def read(self, store: LocalStore, change, if_match: bool) -> bytes:
        entry = store.head(BUCKET, "o").entry
        with store.read(BUCKET, "o", if_match=entry.etag if if_match else None) as reader:
            begun = reader.read(1_000_000)
            change()
            rest = b"".join(iter(lambda: bytes(reader.read(500_000)), b""))
            return bytes(begun) + rest

    @pytest.mark.parametrize("if_match", [True, False])
    @pytest.mark.parametrize("how", ["grows", "shrinks", "rewritten", "touched", "time-set-back"])
    def test_in_place(self, store: LocalStore, path: Path, how: str, if_match: bool):
        before = path.stat()

        def change() -> None:
            if how == "touched":
                path.touch()
                return
            with path.open("r+b") as file:
                if how == "shrinks":
                    file.truncate(1_500_000)
                else:
                    file.seek(0, os.SEEK_END if how == "grows" else os.SEEK_SET)
                    file.write(b"other")
            if how == "time-set-back":
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

        with pytest.raises(ObjectError, match="changed while it was read"):
            self.read(store, change, if_match)

    @pytest.mark.parametrize("how", ["replaced", "deleted"])
    def test_by_another_name(self, store: LocalStore, path: Path, how: str):
        """An open reader keeps the bytes it began with; a copy wants to know."""

        def change() -> None:
            put(store, "o", b"new") if how == "replaced" else path.unlink()

        assert self.read(store, change, if_match=False) == bytes(self.SIZE)
        put(store, "o", bytes(self.SIZE))
        with pytest.raises(ObjectError, match="changed while it was read"):
            self.read(store, change, if_match=True)

    def test_another_version_than_listed(self, store: LocalStore, path: Path):
        entry = store.head(BUCKET, "o").entry
        put(store, "o", bytes(self.SIZE))
        with pytest.raises(ObjectError, match="another version than the one listed"):
            store.read(BUCKET, "o", if_match=entry.etag)

    def test_more_threads_than_one(self, store: LocalStore, path: Path):
        """Readers while writers replace: always one of the versions, whole."""
        versions = [bytes([n]) * (200_000 + n) for n in range(3)]
        put(store, "o", versions[0])
        stop = threading.Event()
        bad: list[object] = []

        def look() -> None:
            while not stop.is_set():
                try:
                    seen = get(store, "o")
                except Exception as error:
                    bad.append(error)
                else:
                    if seen not in versions:
                        bad.append(len(seen))

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(60):
            put(store, "o", versions[n % 3])
        stop.set()
        for thread in threads:
            thread.join()
        assert bad == []


def test_the_rest_of_a_file_from_its_end(store: LocalStore):
    put(store, "o", b"12345")
    with store.read(BUCKET, "o", start=5) as reader:
        assert reader.read() == b""
    with store.read(BUCKET, "o", start=2, length=0) as reader:
        assert reader.read() == b""
