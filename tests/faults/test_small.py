"""The lane of small objects: its processes may die, its requests may fail, no object is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import Tree
from tests.servers.faultproxy import SLOW_DOWN, delay, flip, status

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: no processes"),
]

MakeJourney = Callable[..., Journey]
WAYS = ["up-s3", "down-s3"]


def small(count: int = 160) -> Tree:
    return {f"d{n % 7}/f{n:04}.txt": b"%d" % n * (n % 50) for n in range(count)}


def children(pid: int) -> list[int]:
    """The processes that a process has forked."""
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def slowly(copy: Journey, seconds: float = 0.06) -> None:
    assert copy.proxy is not None
    copy.proxy.rules.append(delay(seconds, path=r"\.txt"))


def about_objects(copy: Journey) -> int:
    assert copy.proxy is not None
    return sum(".txt" in request.target for request in copy.proxy.requests)


@row(
    "M58",
    "a child process that carries small objects is killed",
    "no object is lost or told twice; exit 0",
    contract="1 3",
)
@pytest.mark.parametrize("way", WAYS)
def test_a_child_is_killed(way: str, journey: MakeJourney) -> None:
    copy = journey(way, small(400))
    slowly(copy)
    running = copy.start()
    until(lambda: about_objects(copy) > 30)
    found = children(running.pid)
    assert len(found) >= 2
    os.kill(found[0], signal.SIGKILL)
    done = running.wait()
    copy.check(done, 0, left=True)  # the file it was writing, which the next listing removes
    assert "a process for small objects has died" in done.stderr
    assert sorted(line["key"] for line in copy.report) == sorted(copy.tree)
    assert done.summary["copied"] == len(copy.tree)
    assert not any(map(alive, found))
    copy.again()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", WAYS)
def test_no_child_outlives_its_parent(way: str, number: int, journey: MakeJourney) -> None:
    copy = journey(way, small(600))
    slowly(copy)
    running = copy.start()
    until(lambda: about_objects(copy) > 30)
    found = children(running.pid)
    assert found
    running.send(number)
    done = running.wait()
    assert done.code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    until(lambda: not any(map(alive, found)), 5)
    assert copy.proxy is not None
    copy.proxy.rules.clear()
    again = copy.again()
    if number != signal.SIGKILL:  # what was told is not done again
        assert again.summary["skipped"] >= done.summary["copied"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_request_is_tried_again_and_counted(way: str, journey: MakeJourney) -> None:
    copy = journey(way, small(100))
    assert copy.proxy is not None
    copy.proxy.rules.append(status(503, body=SLOW_DOWN, path=r"f0042\.txt", times=1))
    done = copy.run()
    copy.check(done, 0)
    told = {line["key"]: line["attempts"] for line in copy.report}
    assert told.pop("d0/f0042.txt") == 2
    assert set(told.values()) == {1}
    assert done.summary["retries"] == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_is_forbidden_is_named_and_the_rest_goes_on(way: str, journey: MakeJourney) -> None:
    copy = journey(way, small(100))
    assert copy.proxy is not None
    copy.proxy.rules.append(status(403, path=r"f00[45]\d\.txt"))
    copy.failed_only(copy.run(), *(key for key in copy.tree if "f004" in key or "f005" in key))


@pytest.mark.parametrize("way", WAYS)
def test_a_service_that_refuses_all_at_first(way: str, journey: MakeJourney) -> None:
    """The lane closes, and the threads, which know how to wait, carry the rest."""
    copy = journey(way, small(200))
    assert copy.proxy is not None
    copy.proxy.rules.append(status(503, body=SLOW_DOWN, path=r"\.txt", times=60))
    copy.check(copy.run(), 0)


def test_flipped_bytes_are_never_published(journey: MakeJourney) -> None:
    copy = journey("down-s3", small(100))
    assert copy.proxy is not None
    copy.proxy.rules.append(flip("response-body", method="GET", path=r"\.txt", share=0.3, times=20))
    done = copy.run()
    copy.check(done, 0)
    assert done.summary["retries"] > 0


def test_one_at_a_time_has_no_lane(journey: MakeJourney) -> None:
    copy = journey("up-s3", small(40))
    slowly(copy, 0.02)
    running = copy.start("--concurrency", "1")
    until(lambda: about_objects(copy) > 5)
    assert children(running.pid) == []
    copy.check(running.wait(), 0)
