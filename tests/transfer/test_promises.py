"""What is promised of deletions, of dry runs, of reports and of failures among many objects."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage.errors import ObjectNotFound, UsageError
from svstorage.transfer.local_engine import BATCH_OBJECTS
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.stop import StopToken
from tests.servers.faultproxy import SLOW_DOWN, FaultProxy, status
from tests.transfer.conftest import KINDS, Heard, Side, add_up, copy, sync

SideOf = Callable[[str], Side]
REMOTE = ("s3", "azure")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are short."""
    from svstorage.transfer import carry, retry

    monkeypatch.setattr(carry, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.005)


# -- deleting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_delete_makes_both_sides_equal(side: SideOf, kind: str) -> None:
    source, destination = side("local"), side(kind)
    for key in ("a", "b/c", "b/d"):
        source.put(key, key.encode())
    for key in ("a", "b/old", "z/y/x"):
        destination.put(key, b"old")
    heard = Heard()
    report = sync(source, destination, delete=True, heard=heard)
    add_up(report)
    assert report.ok
    assert report.counters.deleted == 2
    assert destination.content() == source.content()
    assert heard.actions()["z/y/x"] == "delete done"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_deleted_without_the_word(side: SideOf, kind: str) -> None:
    source, destination = side("local"), side(kind)
    source.put("a", b"a")
    destination.put("old", b"old")
    assert sync(source, destination).ok
    assert set(destination.keys()) == {"a", "old"}


@pytest.mark.parametrize("kind", KINDS)
def test_empty_source_deletes_nothing_unless_meant(side: SideOf, kind: str) -> None:
    source, destination = side(kind), side("local")
    destination.put("a", b"a")
    report = sync(source, destination, delete=True)
    assert report.exit_code == 2
    assert destination.keys() == {"a": 1}
    report = sync(source, destination, delete=True, allow_empty_source=True)
    assert report.exit_code == 0
    assert destination.keys() == {}


def test_too_many_deletions_are_refused_after_the_copies(side: SideOf) -> None:
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    for key in "xyz":
        destination.put(key, b"old")
    for dry_run in (True, False):
        report = sync(source, destination, delete=True, max_delete=2, dry_run=dry_run)
        assert report.exit_code == 2
        assert "--max-delete 3" in (report.fatal or "")
        assert ("is copied" in (report.fatal or "")) is not dry_run
    assert set(destination.keys()) == {"a", "x", "y", "z"}


@pytest.mark.parametrize("kind", KINDS)
def test_missing_source_deletes_nothing(side: SideOf, kind: str) -> None:
    source, destination = side(kind), side("local")
    destination.put("a", b"a")
    missing = f"{source.address}no/such/folder/"
    with pytest.raises(ObjectNotFound):
        svstorage.sync(
            missing,
            destination.address,
            source=source.storage,
            options=TransferOptions(delete=True, allow_empty_source=True),
        )
    assert destination.keys() == {"a": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("one", "two"), [("x/", "x/y/"), ("x/y/", "x/"), ("x/", "x/"), ("", "x/")])
def test_one_side_inside_the_other_is_refused(side: SideOf, kind: str, one: str, two: str) -> None:
    where = side(kind)
    where.put("x/y/z", b"z")
    where.put("x/w", b"w")
    with pytest.raises(UsageError) as caught:
        svstorage.sync(
            where.address + one,
            where.address + two,
            source=where.storage,
            destination=where.storage,
            options=TransferOptions(delete=True),
        )
    assert caught.value.exit_code == 2
    assert set(where.keys()) == {"x/y/z", "x/w"}


def test_max_delete(side: SideOf) -> None:
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    for n in range(5):
        destination.put(f"old{n}", b"")
    report = sync(source, destination, delete=True, max_delete=4)
    assert report.exit_code == 2
    assert "--max-delete 5" in (report.fatal or "")
    assert len(destination.keys()) == 6
    assert sync(source, destination, delete=True, max_delete=5).ok
    assert destination.keys() == {"a": 1}
    with pytest.raises(UsageError):
        sync(source, destination, delete=True, max_delete=-1)


def test_max_delete_by_default(side: SideOf) -> None:
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    for n in range(1001):
        destination.put(f"d/old{n}", b"")
    report = sync(source, destination, delete=True)
    assert report.exit_code == 2
    assert len(destination.keys()) == 1002
    destination.delete("d/old0")
    report = sync(source, destination, delete=True)
    assert report.ok, report.fatal
    assert report.counters.deleted == 1000


def test_excluded_objects_are_not_deleted(side: SideOf) -> None:
    source, destination = side("local"), side("local")
    source.put("a.txt", b"a")
    destination.put("keep.log", b"")
    destination.put("old.txt", b"")
    report = sync(source, destination, delete=True, exclude=("*.log",))
    assert report.ok
    assert set(destination.keys()) == {"a.txt", "keep.log"}


@pytest.mark.faults
def test_a_failed_copy_holds_off_all_deletions(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], impatient: None
) -> None:
    source, destination = side("local"), side("s3")
    for n in range(5):
        source.put(f"k{n}", b"x")
    destination.put("old", b"")
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(status(403, method="PUT", path="/k3"))
    report = sync(source, destination.through(proxy), delete=True, retries=0)
    add_up(report)
    assert report.exit_code == 1
    assert [f.key for f in report.failures] == ["k3"]
    assert set(destination.keys()) == {"k0", "k1", "k2", "k4", "old"}


@pytest.mark.faults
@pytest.mark.parametrize("kind", REMOTE)
def test_source_listing_that_breaks_off_deletes_nothing(
    side: SideOf, kind: str, fault_proxy: Callable[..., FaultProxy], impatient: None
) -> None:
    source, destination = side(kind), side("local")
    source.put("a", b"a")
    destination.put("old", b"")
    proxy = fault_proxy(source.server.endpoint)
    through = source.through(proxy)
    assert sync(through, destination, dry_run=True).ok  # the first questions are answered
    listing = r"comp=list" if kind == "azure" else r"list-type=2(?!.*delimiter)"
    proxy.rules.append(status(500, path=listing))
    report = sync(through, destination, delete=True)
    assert report.exit_code in (1, 3)
    assert set(destination.keys()) <= {"old", "a"}
    assert destination.get("old") == b""


@pytest.mark.faults
def test_deletes_are_tried_again_and_failures_named(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], impatient: None
) -> None:
    source, destination = side("local"), side("moto")
    source.put("a", b"a")
    for n in range(3):
        destination.put(f"old{n}", b"")
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(status(503, body=SLOW_DOWN, method="POST", path="delete", times=2))
    report = sync(source, destination.through(proxy), delete=True)
    assert report.ok
    assert report.counters.deleted == 3
    destination.put("old", b"")
    proxy.rules[:] = [status(503, body=SLOW_DOWN, method="POST", path="delete")]
    report = sync(source, destination.through(proxy), delete=True)
    assert report.exit_code == 1
    assert report.counters.delete_failed == 1
    assert [f.key for f in report.failures] == ["old"]


# -- dry runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_dry_run_writes_nothing_at_all(
    side: SideOf, kind: str, fault_proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    source, destination = side("local"), side(kind)
    source.put("same", b"same")
    source.put("new", b"new")
    source.put("changed", b"one")
    assert sync(source, destination).ok
    source.delete("new")
    destination_before = destination.content()
    source.put("changed", b"two")
    source.put("d/newer", b"newer")
    state = sorted((tmp_path / "state").rglob("*"))
    proxy = None
    through = destination
    if destination.server is not None:
        proxy = fault_proxy(destination.server.endpoint)
        through = destination.through(proxy)
    heard = Heard()
    report = sync(source, through, dry_run=True, delete=True, heard=heard)
    add_up(report)
    assert report.ok
    assert report.dry_run
    assert heard.actions() == {
        "same": "skip done",
        "changed": "copy planned",
        "d/newer": "copy planned",
        "new": "delete planned",
    }
    assert destination.content() == destination_before
    assert sorted((tmp_path / "state").rglob("*")) == state
    if proxy is not None:
        assert {r.method for r in proxy.requests} <= {"GET", "HEAD"}
    if destination.root is not None:
        elsewhere = Side("local", f"{tmp_path}/not/yet/", root=tmp_path / "not/yet")
        assert sync(source, elsewhere, dry_run=True).ok
        assert not (tmp_path / "not").exists()


# -- reports -------------------------------------------------------------------------------------


def test_report_has_one_line_for_each_object(side: SideOf, tmp_path: Path) -> None:
    source, destination = side("local"), side("s3")
    for n in range(50):
        source.put(f"k{n}", b"%d" % n)
    source.put("skip.log", b"")
    source.put("same", b"same")
    destination.put("same", b"same")
    destination.put("old", b"old")
    file = tmp_path / "report.jsonl"
    report = sync(source, destination, delete=True, exclude=("*.log",), report=file)
    assert report.ok
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == report.counters.listed + report.counters.deleted == 53
    assert sorted(line["key"] for line in lines) == sorted({*source.keys(), "old"})
    by_key = {line["key"]: line for line in lines}
    assert (by_key["skip.log"]["action"], by_key["same"]["action"]) == ("exclude", "skip")
    assert by_key["old"]["action"] == "delete"
    one = by_key["k7"]
    assert one["source"] == f"{source.address}k7"
    assert one["destination"] == f"{destination.address}k7"
    assert one["checksum"] == "md5:8f14e45fceea167a5a36dedd4bea2543"
    assert (one["size"], one["status"], one["attempts"], one["error"]) == (1, "done", 1, None)
    assert one["seconds"] >= 0
    assert file.stat().st_mode & 0o077 == 0


def test_report_that_cannot_be_written(side: SideOf, tmp_path: Path) -> None:
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    with pytest.raises(UsageError):
        sync(source, destination, report=tmp_path / "no" / "such" / "folder")
    assert destination.keys() == {}
    if os.path.exists("/dev/full"):
        report = sync(source, destination, report=Path("/dev/full"))
        assert report.exit_code == 1


# -- failures among many -------------------------------------------------------------------------


@pytest.mark.faults
@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize("way", ["up", "down"])
def test_one_in_five_throttled_costs_time_only(
    side: SideOf, kind: str, way: str, fault_proxy: Callable[..., FaultProxy], impatient: None
) -> None:
    remote, local = side(kind), side("local")
    source, destination = (local, remote) if way == "up" else (remote, local)
    for n in range(60):
        source.put(f"k{n}", b"x%d" % n)
    proxy = fault_proxy(remote.server.endpoint, seed=5)
    proxy.rules.append(status(503, body=SLOW_DOWN, share=0.2, path=r"/k\d+"))
    through = remote.through(proxy)
    ends = (source, through) if way == "up" else (through, destination)
    report = sync(*ends)
    add_up(report)
    assert report.ok, report.failures
    assert report.counters.retries >= 5
    assert destination.content() == source.content()


@pytest.mark.faults
@pytest.mark.parametrize("kind", REMOTE)
def test_a_service_that_refuses_everything_is_told_soon(
    side: SideOf, kind: str, fault_proxy: Callable[..., FaultProxy], impatient: None
) -> None:
    source, destination = side("local"), side(kind)
    for n in range(300):
        source.put(f"k{n}", b"x")
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(status(500, method="PUT"))
    report = sync(source, destination.through(proxy), retries=1)
    add_up(report)
    assert report.exit_code == 3
    assert report.counters.left > 0
    assert report.counters.copied == 0
    assert destination.keys() == {}


def test_giving_up_is_bounded_in_time_where_each_try_is_slow() -> None:
    """A clock of our own: the real rule is a minute."""
    from svstorage.errors import Throttled
    from svstorage.model import Entry
    from svstorage.transfer import ledger
    from svstorage.transfer.report import Result
    from svstorage.transfer.work import Outcome

    books = ledger.Ledger(max_errors=None, on_result=None, report=None)
    good = Outcome(Result("copy", "done", "k", "s", "d"), Entry("k", 1))
    bad = Outcome(Result("copy", "failed", "k", "s", "d"), Entry("k", 1), error=Throttled("503"))
    books.take(good)
    for _ in range(70):
        books.take(bad)
    assert books.fatal is None, "some succeeded a moment ago"
    books._success_at -= ledger.PATIENCE_SECONDS + 1
    books.take(bad)
    assert books.fatal is not None
    assert books.fatal[1] == 3


@pytest.mark.faults
def test_max_errors_ends_the_run(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], impatient: None
) -> None:
    source, destination = side("local"), side("s3")
    for n in range(40):
        source.put(f"k{n:02}", b"x")
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(status(403, method="PUT", path=r"/k[0-2]\d"))
    report = sync(source, destination.through(proxy), retries=0, max_errors=3, concurrency=1)
    add_up(report)
    assert report.exit_code == 1
    assert "max-errors" in (report.fatal or "")
    assert 4 <= report.counters.failed <= 4 + BATCH_OBJECTS
    assert report.counters.left > 0


@pytest.mark.faults
def test_retry_after_is_heeded(side: SideOf, fault_proxy: Callable[..., FaultProxy]) -> None:
    source, destination = side("local"), side("s3")
    source.put("k", b"x")
    proxy = fault_proxy(destination.server.endpoint)
    # obstore does not tell of the first answer more than its status: the next try goes by our
    # own client, which hears how long it has to wait.
    proxy.rules.append(status(503, body=SLOW_DOWN, retry_after=2, method="PUT", times=2))
    started = time.monotonic()
    report = sync(source, destination.through(proxy))
    assert report.ok
    assert report.counters.retries == 2
    assert time.monotonic() - started >= 2


@pytest.mark.faults
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_bytes_altered_on_their_way_are_noticed(
    side: SideOf,
    kind: str,
    way: str,
    size: int,
    fault_proxy: Callable[..., FaultProxy],
    impatient: None,
) -> None:
    """Once: sent again. Always: failed, and no bad object stays under the name."""
    from tests.servers.faultproxy import flip

    remote, local = side(kind), side("local")
    source, destination = (local, remote) if way == "up" else (remote, local)
    data = os.urandom(size)
    source.put("k", data)
    proxy = fault_proxy(remote.server.endpoint)
    place: Any = "request-body" if way == "up" else "response-body"
    which = {"method": "PUT" if way == "up" else "GET", "path": "/k"}
    proxy.rules.append(flip(place, after=500, times=1, **which))
    through = remote.through(proxy)
    ends = (source, through) if way == "up" else (through, destination)
    report = copy(*ends)
    assert report.ok, report.failures
    assert proxy.faults()
    assert destination.content() == {"k": data}

    destination.delete("k")
    proxy.rules[:] = [flip(place, after=500, **which)]
    report = copy(*ends, retries=1)
    assert report.exit_code == 1
    assert destination.content() == {}


@pytest.mark.faults
@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_bad_bytes_never_take_the_place_of_a_good_file(
    side: SideOf, kind: str, size: int, fault_proxy: Callable[..., FaultProxy], impatient: None
) -> None:
    from tests.servers.faultproxy import flip

    source, destination = side(kind), side("local")
    source.put("k", os.urandom(size))
    destination.put("k", b"the old one")
    proxy = fault_proxy(source.server.endpoint)
    proxy.rules.append(flip("response-body", after=500, method="GET", path="/k"))
    report = copy(source.through(proxy), destination, retries=1)
    assert report.exit_code == 1
    assert report.failures[0].error_kind == "ChecksumMismatch"
    assert destination.content() == {"k": b"the old one"}


# -- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [("local", "s3"), ("s3", "local"), ("local", "local")])
def test_bwlimit_is_kept(side: SideOf, pair: tuple[str, str]) -> None:
    source, destination = side(pair[0]), side(pair[1])
    for n in range(16):
        source.put(f"k{n}", b"x" * (256 << 10))
    started = time.monotonic()
    assert sync(source, destination, bwlimit=2.0 * (1 << 20)).ok
    # 4 MiB at 2 MiB/s, of which a quarter of a second's worth goes at once.
    assert time.monotonic() - started >= 1.7


def test_on_exists(side: SideOf) -> None:
    source, destination = side("local"), side("s3")
    source.put("a", b"new")
    source.put("b", b"new")
    destination.put("a", b"old")
    report = sync(source, destination, on_exists="skip")
    assert report.ok
    assert destination.content() == {"a": b"old", "b": b"new"}
    report = sync(source, destination, on_exists="error")
    assert report.exit_code == 1
    assert {f.error_kind for f in report.failures} == {"ObjectExists"}
    assert destination.get("a") == b"old"
    report = sync(source, destination, on_exists="overwrite", journal="none")
    assert report.counters.copied == 2
    assert destination.get("a") == b"new"


def test_filters_and_counters(side: SideOf) -> None:
    source, destination = side("local"), side("local")
    for key, size in {"a.txt": 1, "b.bin": 100, "d/c.txt": 5000, "d/e/f.txt": 3, "g": 0}.items():
        source.put(key, b"x" * size)
    report = sync(source, destination, include=("*.txt", "g"), exclude=("d/e/",), max_size=4000)
    add_up(report)
    assert report.counters.excluded == 3
    assert set(destination.keys()) == {"a.txt", "g"}
    assert source.root is not None
    os.utime(source.root / "b.bin", (1, 1))
    report = sync(source, destination, older_than=1000.0)
    assert report.counters.copied == 1
    assert destination.get("b.bin") == b"x" * 100


def test_an_unknown_strategy_or_engine_is_a_usage_error(side: SideOf) -> None:
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    for options in ({"strategy": "warp"}, {"engine": "warp"}):
        with pytest.raises(UsageError, match="warp"):
            sync(source, destination, **options)
    assert destination.keys() == {}


@pytest.mark.parametrize("strategy", ["stream", "native", "server-side"])
def test_a_named_strategy_is_used_or_fails_by_name(side: SideOf, strategy: str) -> None:
    source, destination = side("local"), side("s3")
    source.put("a", b"a")
    report = sync(source, destination, strategy=strategy)
    if strategy == "server-side":
        assert report.exit_code == 1
        assert [f.error_kind for f in report.failures] == ["KeyNotSupported"]
    else:
        assert report.ok
        assert report.strategies == {strategy: 1}


def test_overwrite_means_it_but_goes_on_after_a_stop(side: SideOf) -> None:
    source, destination = side("local"), side("s3")
    for n in range(100):
        source.put(f"k{n:03}", b"%d" % n)
    assert sync(source, destination, on_exists="overwrite").counters.copied == 100
    stop = StopToken()

    def after_some(result: Any) -> None:
        if result.key == "k020":
            stop.stop()

    report = svstorage.sync(
        source.address,
        destination.address,
        destination=destination.storage,
        on_result=after_some,
        stop=stop,
        options=TransferOptions(concurrency=2, on_exists="overwrite"),
    )
    assert report.interrupted
    done = report.counters.copied
    assert 20 <= done < 100
    assert sync(source, destination, on_exists="overwrite").counters.copied == 100 - done
    assert sync(source, destination, on_exists="overwrite").counters.copied == 100
    # A cp has a journal of its own.
    assert copy(source, destination).counters.copied == 100
    assert sync(source, destination).counters.copied == 0


def test_a_stop_leaves_the_rest_for_the_next_run(side: SideOf) -> None:
    source, destination = side("local"), side("s3")
    for n in range(300):
        source.put(f"k{n:03}", b"%d" % n)
    stop = StopToken()

    def after_some(result: Any) -> None:
        if result.key == "k020":
            stop.stop()

    report = svstorage.sync(
        source.address,
        destination.address,
        destination=destination.storage,
        on_result=after_some,
        stop=stop,
        options=TransferOptions(concurrency=2),
    )
    add_up(report)
    assert report.exit_code == 130
    assert report.counters.left > 0
    there = len(destination.keys())
    assert report.counters.copied <= there < 300
    again = sync(source, destination)
    assert again.ok
    assert again.counters.copied == 300 - there
    assert destination.content() == source.content()


def test_progress_adds_up_and_ends_with_everything(side: SideOf) -> None:
    source, destination = side("local"), side("s3")
    for n in range(200):
        source.put(f"k{n}", b"x" * 100)
    seen: list[Any] = []
    report = svstorage.sync(
        source.address,
        destination.address,
        destination=destination.storage,
        on_progress=seen.append,
    )
    assert report.ok
    last = seen[-1]
    assert last.phase == "done"
    assert last.counters == report.counters
    assert last.bytes_moving == 0
    assert last.listing_done
    counts = [p.counters.copied for p in seen]
    assert counts == sorted(counts)
    assert all(p.counters.copied <= p.counters.listed for p in seen)
