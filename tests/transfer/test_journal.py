"""The journal: a hint that makes re-runs quick, and that nothing is believed from."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage.errors import UsageError
from svstorage.model import Checksum, Entry, Part, Stored
from svstorage.transfer.journal import Journal, JournalBusy
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.versions import stored_version, version_of
from tests.servers.faultproxy import FaultProxy
from tests.transfer.conftest import Heard, Side, add_up, copy, sync

SideOf = Callable[[str], Side]


def opened(path: Path, **more: Any) -> Journal:
    keywords = {"source": "one", "destination": "two", "explicit": True, **more}
    return Journal(path, **keywords)


def entry(key: str, etag: str = "e") -> Entry:
    return Entry(key, 5, 10, etag)


def journals(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "state").rglob("*.sqlite"))


def rows(path: Path) -> list[bytes]:
    with sqlite3.connect(path) as database:
        return [row[0] for row in database.execute("SELECT key FROM done ORDER BY key")]


def test_what_is_noted_is_told_in_byte_order(tmp_path: Path) -> None:
    keys = ["b", "a", "a\U0001f600", "a\uff5e", "a\udc80", "é", "Z"]
    with opened(tmp_path / "j") as journal:
        for key in keys:
            journal.done(key, entry(key), Stored(5, "d"))
    with opened(tmp_path / "j") as journal:
        told = list(journal.rows())
    orders = [row[0] for row in told]
    assert sorted(orders) == orders
    assert {o.decode("utf-8", "surrogateescape") for o in orders} == set(keys)
    assert {row[1:] for row in told} == {(version_of(entry("x")), stored_version(Stored(5, "d")))}


def test_versions_differ_by_what_tells_a_change() -> None:
    one = Entry("k", 5, 10, None, None, 20)
    others = [
        Entry("k", 6, 10, None, None, 20),
        Entry("k", 5, 11, None, None, 20),
        Entry("k", 5, 10, None, None, 21),
        Entry("k", 5, 10, "e", None, 20),
    ]
    assert len({version_of(e) for e in [one, *others]}) == 5
    assert version_of(Entry("other", 5, 10, None, None, 20)) == version_of(one)
    # With an ETag the times do not count: services tell them differently in different answers.
    assert version_of(Entry("k", 5, 1, "e")) == version_of(Entry("k", 5, 2, "e"))


def test_parts_of_an_upload_survive(tmp_path: Path) -> None:
    parts = [Part(2, 7, "t2", 5, Checksum("md5", "00" * 16)), Part(1, 5, "t1", 0)]
    with opened(tmp_path / "j") as journal:
        journal.begin_upload("k", entry("k"), "dk", "upload", 5)
        for part in parts:
            journal.part_finished("k", part)
    with opened(tmp_path / "j") as journal:
        assert journal.upload("k", entry("k")) == (
            "upload",
            5,
            sorted(parts, key=lambda p: p.number),
        )
        assert journal.upload("k", entry("k", "changed")) is None
        assert journal.unfinished("k") == ("dk", "upload")
        assert journal.uploads() == [("dk", "upload")]
        journal.forget_upload("k")
        assert journal.upload("k", entry("k")) is None
        assert journal.uploads() == []


@pytest.mark.parametrize("damage", ["pair", "version", "garbage", "cut", "empty", "text"])
@pytest.mark.parametrize("explicit", [True, False])
def test_a_journal_that_is_not_ours_or_damaged(
    side: SideOf, tmp_path: Path, damage: str, explicit: bool
) -> None:
    """Named by the user: an error, nothing touched. Our own: begun anew, the result is right."""
    source, destination = side("local"), side("s3")
    for n in range(50):
        source.put(f"k{n}", b"%d" % n)
    named = {"journal": tmp_path / "mine"} if explicit else {}
    assert sync(source, destination, **named).ok
    (path,) = [tmp_path / "mine"] if explicit else journals(tmp_path)
    raw = path.read_bytes()
    if damage == "pair":
        with sqlite3.connect(path) as database:
            database.execute("UPDATE meta SET value='elsewhere' WHERE name='source'")
    elif damage == "version":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version=99")
    elif damage == "garbage":
        path.write_bytes(b"\0" * 30 + raw[:100][::-1] + raw[130:])
    elif damage == "cut":
        path.write_bytes(raw[: len(raw) // 3])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.write_text("my notes\n" * 100)
    source.put("k7", b"X")
    before = path.read_bytes()
    if explicit and damage not in ("empty", "cut"):
        with pytest.raises(UsageError, match=path.name) as caught:
            sync(source, destination, **named)
        assert caught.value.exit_code == 2
        assert destination.get("k7") == b"7"
        assert path.read_bytes() == before, "what the user named is not thrown away"
        return
    # A file that is cut off may be whole as far as it is looked at, or be noticed at once.
    try:
        report = sync(source, destination, **named)
    except UsageError:
        path.unlink()
        report = sync(source, destination, **named)
    add_up(report)
    assert report.ok
    assert destination.content() == source.content()
    assert sync(source, destination, journal="none").counters.copied == 0


def test_rows_of_pages_that_are_damaged_count_as_not_done(side: SideOf, tmp_path: Path) -> None:
    """The head of the file is well, its middle is not: seen only in the midst of a run."""
    source, destination = side("local"), side("local")
    for n in range(3000):
        source.put(f"d{n % 10}/a-rather-long-name-to-fill-pages-{n:05}", b"")
    assert sync(source, destination).ok
    (path,) = journals(tmp_path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(path.read_bytes())
    assert len(raw) > 100_000
    raw[40_000:90_000] = b"\xff" * 50_000
    path.write_bytes(raw)
    source.put("new", b"new")
    report = sync(source, destination)
    add_up(report)
    assert report.ok, report.fatal
    assert destination.get("new") == b"new"
    assert journals(tmp_path) == [], "it is not used again"
    assert sync(source, destination).ok
    assert len(rows(journals(tmp_path)[0])) == 3001


def test_a_full_disk_under_the_journal_costs_no_object(
    side: SideOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own limit of pages stands for the disk: the error is the same (SQLITE_FULL)."""
    connect = Journal._connect

    def small(self: Journal) -> sqlite3.Connection:
        database = connect(self)
        database.execute("PRAGMA max_page_count=12")
        return database

    monkeypatch.setattr(Journal, "_connect", small)
    source, destination = side("local"), side("local")
    for n in range(2000):
        source.put(f"a-rather-long-name-to-fill-pages-{n:05}", b"")
    report = sync(source, destination)
    add_up(report)
    assert report.ok, report.fatal
    assert len(destination.keys()) == 2000


def test_two_runs_with_one_journal(side: SideOf, tmp_path: Path) -> None:
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    assert sync(source, destination).ok
    (path,) = journals(tmp_path)
    with sqlite3.connect(path) as database:
        pair = dict(database.execute("SELECT name, value FROM meta"))
    keywords = {"source": pair["source"], "destination": pair["destination"]}
    with opened(path, explicit=False, **keywords):
        with pytest.raises(JournalBusy):
            opened(path, explicit=False, **keywords)
        source.put("b", b"b")
        report = sync(source, destination)
        assert report.ok
        assert any("another run uses" in w for w in report.warnings)
        for options in ({"delete": True}, {"journal": path}):
            with pytest.raises(UsageError, match="under way"):
                sync(source, destination, **options)
    assert destination.content() == {"a": b"a", "b": b"b"}


def test_rows_live_as_long_as_their_keys(side: SideOf, tmp_path: Path) -> None:
    source, destination = side("local"), side("s3")
    for key in ("a", "b", "c", "x.log", "z"):
        source.put(key, key.encode())
    assert sync(source, destination).ok
    (path,) = journals(tmp_path)
    assert rows(path) == [b"a", b"b", b"c", b"x.log", b"z"]
    for options in ({}, {"exclude": ("*.log",)}, {}):
        assert sync(source, destination, **options).counters.copied == 0
        assert len(rows(path)) == 5
    for key in ("b", "z"):
        source.delete(key)
    assert sync(source, destination).ok
    assert rows(path) == [b"a", b"c", b"x.log"]


def test_a_cp_that_is_complete_leaves_no_journal(side: SideOf, tmp_path: Path) -> None:
    source, destination = side("local"), side("s3")
    source.put("a", b"a")
    assert copy(source, destination).ok
    assert journals(tmp_path) == []


@pytest.mark.parametrize("pair", list(pairwise(["local", "s3", "local"])))
def test_a_pass_without_changes_asks_for_listings_only(
    side: SideOf, pair: tuple[str, str], fault_proxy: Callable[..., FaultProxy], monkeypatch: Any
) -> None:
    """With the journal, nothing is read: not here, not there; and so again and again."""
    source, destination = side(pair[0]), side(pair[1])
    for n in range(30):
        source.put(f"k{n}", b"%d" % n)
    assert sync(source, destination).ok
    remote = source if source.server else destination
    proxy = fault_proxy(remote.server.endpoint)
    through = remote.through(proxy)
    ends = (through, destination) if source.server else (source, through)
    assert sync(*ends).counters.copied == 0  # another endpoint is another pair: a first look
    from svstorage.transfer import compare

    def refuse(*args: Any) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(compare, "read_digest", refuse)
    for _ in range(3):
        proxy.requests.clear()
        heard = Heard()
        assert sync(*ends, heard=heard).counters.skipped == 30
        assert {r.reason for r in heard.results} == {"done before"}
        assert [r for r in proxy.requests if r"/k" in r.path] == []


def test_a_glob_goes_on_where_it_was(side: SideOf) -> None:
    import svstorage
    from svstorage.transfer.stop import StopToken

    source, destination = side("local"), side("s3")
    for n in range(100):
        source.put(f"k{n:03}", b"%d" % n)
    stop = StopToken()

    def after_some(result: Any) -> None:
        if result.key.endswith("k020"):
            stop.stop()

    def run(**more: Any) -> Any:
        return svstorage.copy(
            f"{source.address}k*",
            destination.address,
            destination=destination.storage,
            options=TransferOptions(concurrency=2),
            **more,
        )

    first = run(on_result=after_some, stop=stop)
    assert first.interrupted
    done = first.counters.copied
    assert 20 <= done < 100
    source.put("k000", b"new!")
    second = run()
    add_up(second)
    assert second.counters.copied == 100 - done + 1
    assert destination.content() == source.content()
    assert run().counters.copied == 100, "that was complete: the next cp copies all again"


def test_one_named_for_several_pairs_is_a_file_for_each(tmp_path: Path) -> None:
    """As with the two buckets of a migration, and sources of different folders."""
    for bucket in ("acme-public", "acme-private"):
        (tmp_path / "old/storage" / bucket).mkdir(parents=True)
        (tmp_path / "old/storage" / bucket / "x").write_text(bucket)
    (tmp_path / "new/storage").mkdir(parents=True)
    old, new = (
        svstorage.connect(provider="http", data_path=str(tmp_path / name))
        for name in ("old", "new")
    )
    options = TransferOptions(journal=tmp_path / "memory")
    for copied in (2, 0):
        report = svstorage.migrate(source=old, destination=new, options=options)
        assert (report.exit_code, report.counters.copied) == (0, copied)
    assert len(list(tmp_path.glob("memory.????????"))) == 2
    buckets = tmp_path / "old/storage"
    report = svstorage.copy(
        [buckets / "acme-public/x", buckets / "acme-private"],
        tmp_path / "both/",
        recursive=True,
        options=options,
    )
    assert (report.exit_code, report.counters.copied) == (0, 2)
