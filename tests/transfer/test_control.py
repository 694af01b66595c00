"""What steers a run: how many at once, how fast, how long to wait, when to stop; and filters."""

from __future__ import annotations

import fnmatch
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import svstorage
from svstorage.errors import Interrupted, ServiceError, Throttled, UsageError
from svstorage.model import Entry
from svstorage.strategies.native import MemoryBudget
from svstorage.transfer import concurrency, retry
from svstorage.transfer.bandwidth import BandwidthLimit
from svstorage.transfer.concurrency import AdaptiveConcurrency
from svstorage.transfer.filters import build_filter, glob_to_regex
from svstorage.transfer.meter import Meter
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.report import Counters
from svstorage.transfer.stop import StopToken
from tests.servers.faultproxy import SLOW_DOWN, FaultProxy, status
from tests.transfer.conftest import Side, copy

SideOf = Callable[[str], Side]


class Clock:
    """A clock that the test moves, for what would take minutes."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cpu = 0.0

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.cpu


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(concurrency, "time", made)
    return made


def carry(control: AdaptiveConcurrency, clock: Clock, rate: float, seconds: float = 0.6) -> None:
    """``rate`` objects a second for a while."""
    control.enter()
    clock.now += seconds
    control.leave(0, int(rate * seconds))


def test_throttling_halves_at_once_and_a_burst_counts_once(clock: Clock) -> None:
    control = AdaptiveConcurrency()
    control.limit = 64
    for _ in range(50):
        control.slow_down()
    assert control.limit == 32
    clock.now += 1.1
    control.slow_down()
    assert control.limit == 16
    for _ in range(20):
        clock.now += 1.1
        control.slow_down()
    assert control.limit == 1, "never below one: somebody has to find out that it is better again"


def test_it_rises_again_once_the_service_is_well(clock: Clock) -> None:
    control = AdaptiveConcurrency()
    control.slow_down()
    low = control.limit
    carry(control, clock, 100)
    assert control.limit == low, "not at once"
    clock.now += 2
    carry(control, clock, 100)
    assert control.limit > low


def test_it_rises_while_throughput_does_and_no_further(clock: Clock) -> None:
    control = AdaptiveConcurrency(maximum=40)
    for rate in (100, 200, 400, 800, 1600, 3200, 6400):
        carry(control, clock, rate)
    assert control.limit == 40
    carry(control, clock, 100)
    assert control.limit < 40


@pytest.mark.faults
def test_a_run_slows_down_under_throttling(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    from svstorage.transfer import carry as carrying

    monkeypatch.setattr(carrying, "LONGEST_WAIT", 0.3)
    source, destination = side("local"), side("s3")
    for n in range(60):
        source.put(f"k{n}", b"x")
    proxy = fault_proxy(destination.server.endpoint, seed=2)
    proxy.rules.append(status(503, body=SLOW_DOWN, method="PUT", share=0.5))
    there = destination.through(proxy)
    seen: list[int] = []
    report = svstorage.sync(
        source.address,
        there.address,
        destination=there.storage,
        # Half of all puts are refused: with the usual five tries one of sixty would often fail.
        options=TransferOptions(retries=40),
        on_progress=lambda p: seen.append(p.concurrency),
    )
    assert report.ok, report.failures
    assert min(seen) < AdaptiveConcurrency.START
    assert destination.content() == source.content()


def test_waits_have_full_jitter_and_heed_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[tuple[float, float]] = []
    waited: list[float] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return low

    monkeypatch.setattr(retry.random, "uniform", uniform)
    stop = StopToken()
    monkeypatch.setattr(stop.event, "wait", lambda seconds: waited.append(seconds) or False)
    for attempt in range(1, 12):
        assert retry.pause(attempt, ServiceError("500"), stop)
    assert all(low == 0 for low, _ in bounds)
    highs = [high for _, high in bounds]
    assert highs == sorted(highs)
    assert highs[0] <= 0.5
    assert highs[-1] == retry.LONGEST_WAIT
    retry.pause(1, Throttled("503", retry_after=7), stop)
    assert waited[-1] == 7
    retry.pause(1, Throttled("503", retry_after=86_400), stop)
    assert waited[-1] == retry.LONGEST_WAIT, "no service holds us up for a day"


def test_a_limit_is_shared_by_all_threads() -> None:
    limit = BandwidthLimit(1_000_000)
    stop = StopToken()
    started = time.monotonic()

    def move() -> None:
        for _ in range(10):
            limit.wait(25_000, stop)

    threads = [threading.Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 1 MB at 1 MB/s, of which a quarter goes at once.
    assert time.monotonic() - started >= 0.7


def test_a_stop_ends_the_waiting_for_bandwidth() -> None:
    limit = BandwidthLimit(1.0)
    stop = StopToken()
    threading.Timer(0.1, stop.stop).start()
    with pytest.raises(Interrupted):
        limit.wait(1_000_000, stop)


def test_a_child_stops_with_its_parent_and_not_the_reverse() -> None:
    parent = StopToken()
    one, two = parent.child(), parent.child()
    one.stop()
    assert one.stopped
    assert not parent.stopped
    assert not two.stopped
    parent.stop()
    assert two.stopped
    assert parent.child().stopped, "also one that is made later"
    with pytest.raises(Interrupted):
        two.check()


def test_time_left_is_the_slower_of_bytes_and_objects() -> None:
    meter = Meter()

    def snapshot(counters: Counters, *, done: bool = True) -> Any:
        return meter.snapshot(counters, listing_done=done, concurrency=1, phase="copying")

    snapshot(Counters(listed=100, bytes_listed=1000))
    meter._samples[0] = (meter._samples[0][0] - 10, 0, 0)
    meter.moved(500)
    # In 10 s half of the bytes, a tenth of the objects: 90 s for the rest.
    told = snapshot(Counters(listed=100, copied=10, bytes_listed=1000, bytes_copied=400))
    assert told.eta == pytest.approx(90, rel=0.05)
    assert told.bytes_moving == 100
    assert snapshot(Counters(listed=100), done=False).eta is None
    assert snapshot(Counters(listed=5, copied=5)).eta == 0.0


GLOBS = [
    ("*.txt", "a.txt", True), ("*.txt", "d/a.txt", True), ("*.txt", "a.txt.gz", False),
    ("d/*.txt", "d/a.txt", True), ("d/*.txt", "d/e/a.txt", False), ("d/*.txt", "x/d/a.txt", False),
    ("d/**", "d/e/f", True), ("d/**", "dd/e", False), ("d/", "d/e/f", True), ("d/", "x/d/e", True),
    ("/d/", "d/e", True), ("/d/", "x/d/e", False), ("/*.txt", "a.txt", True),
    ("/*.txt", "d/a.txt", False), ("**/e/*", "d/e/f", True), ("**/e/*", "e/f", True),
    ("?.txt", "a.txt", True), ("?.txt", "ab.txt", False), ("[ab].txt", "b.txt", True),
    ("[!ab].txt", "b.txt", False), ("[!ab].txt", "c.txt", True), ("a+b(1).txt", "a+b(1).txt", True),
    ("*", "any/thing", True), ("[", "[", True), ("[]]", "]", True), ("a[b", "a[b", True),
    ("[a-c]", "b", True), ("[\\d]", "5", False), ("*.txt", "line\nend.txt", True),
]  # fmt: skip


@pytest.mark.parametrize(("glob", "key", "matches"), GLOBS)
def test_globs(glob: str, key: str, matches: bool) -> None:
    assert (re.fullmatch(glob_to_regex(glob), key) is not None) == matches


@given(st.text("ab*?[!-]", min_size=1, max_size=6), st.text("ab", min_size=1, max_size=4))
def test_globs_of_one_component_are_those_of_fnmatch(glob: str, key: str) -> None:
    """Where there is no slash, ``**`` or ``^``, the standard library's rules hold."""
    if "**" in glob:
        return
    try:
        found = re.fullmatch(glob_to_regex(glob), key) is not None
    except re.error:
        with pytest.raises(UsageError):
            build_filter(TransferOptions(include=(glob,)))
        return
    assert found == fnmatch.fnmatchcase(key, glob)


def test_reasons_and_bounds() -> None:
    options = TransferOptions(
        include=("*.txt",), exclude=("no*",), min_size=2, max_size=9, newer_than=10, older_than=20
    )
    why = build_filter(options)
    assert why is not None
    good = Entry("k", 5, 15 * 10**9)
    assert why("a.txt", good) is None
    told = [
        why("a.bin", good),
        why("no.txt", good),
        why("a.txt", Entry("k", 1, 15 * 10**9)),
        why("a.txt", Entry("k", 10, 15 * 10**9)),
        why("a.txt", Entry("k", 5, 5 * 10**9)),
        why("a.txt", Entry("k", 5, 25 * 10**9)),
    ]
    assert all(told)
    assert len(set(told)) == 6
    assert why("a.txt", Entry("k", 5, None)) is None
    assert build_filter(TransferOptions()) is None


@pytest.mark.parametrize(
    "options",
    [
        {"min_size": 5, "max_size": 4},
        {"newer_than": 5.0, "older_than": 4.0},
        {"include": ("",)},
        {"exclude": ("[z-a]",)},
    ],
)
def test_filters_that_cannot_be_meant(side: SideOf, options: dict[str, Any]) -> None:
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    with pytest.raises(UsageError) as caught:
        svstorage.sync(source.address, destination.address, options=TransferOptions(**options))
    assert caught.value.exit_code == 2
    assert destination.keys() == {}


def test_a_process_that_may_have_few_threads_works_with_those(
    side: SideOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated: the limit of a container (``pids.max``) cannot be set from here."""
    begin, begun = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("svstorage-copy"):
            if len(begun) == 3:
                raise RuntimeError("can't start new thread")
            begun.append(thread)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    source, destination = side("local"), side("local")
    for number in range(200):
        source.put(f"{number}", b"x")
    report = copy(source, destination)
    assert (report.exit_code, report.counters.copied) == (0, 200)
    assert len(begun) == 3


def test_one_that_needs_little_does_not_wait_for_one_that_needs_much() -> None:
    budget = MemoryBudget(10)
    budget.take(10)
    taken = threading.Event()

    def small() -> None:
        budget.take(1)
        taken.set()

    threads = [threading.Thread(target=budget.take, args=(8,), daemon=True)]
    threads.append(threading.Thread(target=small, daemon=True))
    for thread in threads:  # the one that needs much waits first
        thread.start()
        time.sleep(0.1)
    budget.give(1)
    assert taken.wait(5)
    budget.give(9)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_a_run_is_told_before_anything_moves(side: SideOf) -> None:
    """The command knows by it that a signal must no longer end it just so."""
    source, destination = side("local"), side("local")
    source.put("a", b"a")
    told: list[str] = []
    svstorage.copy(
        source.address,
        destination.address,
        recursive=True,
        on_progress=lambda snapshot: told.append(f"{snapshot.counters.listed} listed"),
        on_result=lambda result: told.append(result.key),
    )
    assert told[:2] == ["0 listed", "a"]
