"""SIGKILL at chosen and at random moments: nothing lost, nothing torn, nothing done twice.

`KILLS` random moments in an ordinary run; ``nox -s crash`` asks for many more by
``SVSTORAGE_TEST_KILLS`` (a factor).
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import MINIATURE
from tests.faults.journey import Journey, difference
from tests.faults.rows import row
from tests.faults.sides import KIB, LocalSide, Tree, sample
from tests.servers.faultproxy import flip

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]
FACTOR = int(os.environ.get("SVSTORAGE_TEST_KILLS", "1"))
# Way, kills in one test, and how many such tests: 220 moments together.
KILLS = {
    "up-s3": (15, 4),
    "down-s3": (15, 4),
    "local": (20, 2),
    "up-azure": (10, 2),
    "down-azure": (10, 2),
    "s3-azure": (10, 2),
}
assert sum(kills * times for kills, times in KILLS.values()) >= 200


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The report of a killed run: its last line may be cut."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().split("\n"):
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def copied(rows: list[dict[str, Any]]) -> list[str]:
    return [r["key"] for r in rows if r["action"] == "copy" and r["status"] == "done"]


def each_once(rows: list[dict[str, Any]]) -> None:
    keys = [r["key"] for r in rows]
    assert len(keys) == len(set(keys)), "an object is in the report twice"


def make(way: str, journey: MakeJourney, side: Callable[..., Any], tmp_path: Path) -> Journey:
    if way != "local":
        return journey(way, proxy=False)
    made = journey("up-s3", proxy=False)
    made.destination = side("local")
    return made


@row(
    "M51",
    "kill -9 at random moments (≥ 200, seeded) of upload, download, sync",
    "each destination object is the old or the whole new one at the moment of death; a re-run "
    "ends with 0, copies nothing again that was confirmed, and leaves nothing behind",
    contract="1 3",
)
@pytest.mark.timeout(120 * FACTOR)
@pytest.mark.parametrize(
    ("way", "number"), [(way, n) for way, (_, times) in KILLS.items() for n in range(times)]
)
def test_killed_at_random(
    way: str,
    number: int,
    journey: MakeJourney,
    side: Callable[..., Any],
    tmp_path: Path,
    seed: int,
) -> None:
    draw = random.Random(seed)
    copy = make(way, journey, side, tmp_path)
    old: Tree = {}
    span = 0.1
    kills = KILLS[way][0] * FACTOR
    died = 0
    for kill in range(kills):
        new = sample(draw.randrange(1 << 30), small=10)
        if kill % 3 == 0 and old:  # most of it stays, as between two nights
            for key in list(new)[:6]:
                new[key] = old.get(key, new[key])
        for key in set(old) - set(new):
            copy.source.delete(key)
        copy.fill(new)
        running = copy.start()
        moment = draw.uniform(0, span)
        time.sleep(moment)
        running.send(signal.SIGKILL)
        done = running.wait()
        died += done.code == -signal.SIGKILL
        # At the moment of death: only whole versions.
        found = copy.destination.read()
        for key, data in found.items():
            versions = [tree[key] for tree in (old, new) if key in tree]
            assert data in versions, f"{key}: torn, {len(data)} bytes (killed at {moment:.3f} s)"
        reported = copied(lines_of(copy.report_path))
        each_once(lines_of(copy.report_path))
        for key in reported:
            assert found.get(key) == new[key], f"{key}: reported as copied, and it is not"
        # Again, to the end.
        again = copy.run("--delete", "--max-delete", "1000")
        assert again.code == 0, again.explained
        rows = lines_of(copy.report_path)
        each_once([r for r in rows if r["action"] != "delete"])
        assert not set(copied(rows)) & set(reported), "copied again what was confirmed"
        assert not difference(new, copy.destination.read())
        assert copy.destination.leftovers() == []
        copy.adds_up(again)
        old = new
        # Aim at the whole length of a run, wherever the machine is now.
        span = 0.5 * span + 0.5 * max(0.01, again.seconds * 1.2)
    print(f"{died} of {kills} runs died")
    assert died > kills // 4, "too few runs were alive when they were killed: aim better"


POINTS = [
    ("up-s3", "svstorage.transfer.journal:Journal.done", 1, "before"),
    ("up-s3", "svstorage.transfer.journal:Journal.done", 5, "after"),
    ("up-s3", "svstorage.transfer.journal:Journal.begin_upload", 1, "before"),
    ("up-s3", "svstorage.transfer.journal:Journal.begin_upload", 1, "after"),
    ("up-s3", "svstorage.transfer.journal:Journal.part_finished", 1, "before"),
    ("up-s3", "svstorage.transfer.journal:Journal.part_finished", 3, "after"),
    ("up-s3", "svstorage.transfer.journal:Journal.forget_upload", 1, "before"),
    ("up-s3", "svstorage.transfer.journal:Journal.forget_upload", 1, "after"),
    ("up-s3", "svstorage.transfer.journal:Journal.complete", 1, "before"),
    ("up-s3", "svstorage.transfer.journal:Journal.complete", 1, "after"),
    ("up-s3", "svstorage.providers.s3.store:S3Store.complete_upload", 1, "before"),
    ("up-s3", "svstorage.providers.s3.store:S3Store.complete_upload", 1, "after"),
    ("down-s3", "os:rename", 1, "before"),
    ("down-s3", "os:rename", 1, "after"),
    ("down-s3", "os:rename", 7, "before"),
    ("down-s3", "os:rename", 7, "after"),
    ("down-s3", "os:fsync", 2, "before"),
    ("down-s3", "os:fsync", 2, "after"),
    ("down-s3", "svstorage.providers.local.store:LocalStore.start_upload", 1, "after"),
    ("down-s3", "svstorage.providers.local.store:LocalStore.put_part", 2, "after"),
    ("down-s3", "svstorage.providers.local.store:LocalStore.complete_upload", 1, "before"),
    ("down-s3", "svstorage.providers.local.store:LocalStore.complete_upload", 1, "after"),
    ("down-s3", "os:ftruncate", 1, "before"),
    ("s3-azure", "svstorage.providers.azure.store:AzureStore.complete_upload", 1, "before"),
    ("s3-azure", "svstorage.providers.azure.store:AzureStore.complete_upload", 1, "after"),
    ("s3-azure", "svstorage.transfer.journal:Journal.part_finished", 2, "after"),
]


@row(
    "M51p",
    "kill -9 at each step: before and after rename, fsync, a part, completion, the journal",
    "as for random moments",
    contract="1 3",
)
@pytest.mark.parametrize(("way", "place", "number", "when"), POINTS)
def test_killed_at(
    way: str, place: str, number: int, when: str, journey: MakeJourney, seed: int
) -> None:
    before = sample(seed + 1)
    copy = journey(way, sample(seed), before={k: before[k] for k in list(before)[::2]}, proxy=False)
    done = copy.run(tweaks={**MINIATURE, "kill": [place, number, when]})
    assert done.code == -signal.SIGKILL, f"it never came to {place}: {done.explained}"
    copy.holds_versions()
    again = copy.run()
    assert again.code == 0, again.explained
    assert not difference({**copy.before, **copy.tree}, copy.destination.read())
    assert copy.destination.leftovers() == []


@row("M51q", "kill -9 between the parts of a big object", "finished parts are not sent again",
     contract="3")  # fmt: skip
@pytest.mark.parametrize("way", ["up-s3", "down-s3", "s3-azure"])
def test_finished_parts_are_not_sent_again(way: str, journey: MakeJourney, seed: int) -> None:
    tree = {"m/parts.bin": random.Random(seed).randbytes(3000 * KIB)}
    copy = journey(way, tree)
    assert copy.proxy is not None
    place = "svstorage.transfer.journal:Journal.part_finished"
    done = copy.run(tweaks={**MINIATURE, "kill": [place, 5, "after"]})
    assert done.code == -signal.SIGKILL, done.explained
    first = parts_seen(copy)
    copy.proxy.requests.clear()
    again = copy.run("--stats")
    assert again.code == 0, again.explained
    second = parts_seen(copy)
    total = -(-3000 // 256)
    assert len(first) >= 5
    assert len(second) <= total - 5, f"{sorted(second)} of {total} parts were moved again"
    assert first | second >= set(range(total))
    assert not difference(tree, copy.destination.read())
    assert copy.destination.leftovers() == []


@row("M51s", "kill -9 while an upload whose bytes arrived altered is given up",
     "nothing stays that no re-run knows of", contract="3")  # fmt: skip
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "place",
    [
        "svstorage.transfer.journal:Journal.forget_upload",
        "svstorage.providers.local.store:LocalStore.abort_upload",
    ],
)
def test_killed_while_it_gives_up(place: str, when: str, journey: MakeJourney, seed: int) -> None:
    tree = {"m/parts.bin": random.Random(seed).randbytes(3000 * KIB)}
    copy = journey("down-s3", tree)
    assert copy.proxy is not None
    copy.proxy.rules.append(flip("response-body", method="GET", path="parts.bin", times=1))
    done = copy.run(tweaks={**MINIATURE, "kill": [place, 1, when]})
    assert done.code == -signal.SIGKILL, f"it never came to {place}: {done.explained}"
    again = copy.run()
    assert again.code == 0, again.explained
    assert not difference(tree, copy.destination.read())
    assert copy.destination.leftovers() == []


def parts_seen(copy: Journey) -> set[int]:
    """The parts (from 0) whose bytes crossed the proxy, by number or by range."""
    assert copy.proxy is not None
    found = set()
    for request in copy.proxy.requests:
        if not request.path.endswith("parts.bin"):
            continue
        if request.method == "PUT" and (match := re.search(r"partNumber=(\d+)", request.target)):
            found.add(int(match[1]) - 1)
        ranged = request.headers.get("range") or request.headers.get("x-ms-range")
        if request.method == "GET" and ranged:
            match = re.match(r"bytes=(\d+)-", ranged)
            assert match
            found.add(int(match[1]) // (256 * KIB))
    return found


@row("M51r", "kill -9 of the program itself, installed as users have it, with real part sizes",
     "as for random moments", contract="1 3")  # fmt: skip
@pytest.mark.parametrize("moment", [0.25, 0.5, 0.9])
def test_killed_for_real(
    moment: float, journey: MakeJourney, side: Callable[..., Any], seed: int
) -> None:
    copy = journey("up-s3", proxy=False)
    copy.destination = side("local")
    assert isinstance(copy.source, LocalSide)
    copy.fill({"big.bin": random.Random(seed).randbytes(1 << 20) * 70, "small": b"s"})
    running = copy.start(real=True)
    time.sleep(moment)
    running.send(signal.SIGKILL)
    running.wait()
    copy.holds_versions()
    done = copy.run(real=True)
    copy.check(done, 0)
