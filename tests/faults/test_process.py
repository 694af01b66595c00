"""The process: signals, pauses, two at once, a journal that is not what it should be."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import PROGRAM
from tests.faults.journey import Journey, difference
from tests.faults.rows import row
from tests.faults.sides import LocalSide, sample
from tests.servers.faultproxy import delay, stall

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]


def slow(copy: Journey, seconds: float = 0.15) -> None:
    assert copy.proxy is not None
    copy.proxy.rules.append(delay(seconds, path=r"\.(txt|bin)"))


def underway(copy: Journey, requests: int = 8) -> None:
    assert copy.proxy is not None
    deadline = time.monotonic() + 20
    while len(copy.proxy.requests) < requests:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@row(
    "M52",
    "SIGINT or SIGTERM once",
    "exit 130; nothing half-written or left over but parts to go on with; a re-run goes on",
    contract="1 3",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", ["up-s3", "down-s3", "s3-azure"])
def test_signal_once(way: str, number: int, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=60))
    slow(copy)
    running = copy.start("--concurrency", "4")
    underway(copy)
    running.send(number)
    done = running.wait(20)
    found = copy.check(done, 130, left=True)
    assert done.summary["interrupted"]
    assert 0 < len(found) < len(copy.tree) or done.summary["left"]
    again = copy.again()
    assert again.summary["skipped"] >= done.summary["copied"]


@row("M52b", "SIGINT twice", "ends at once with 130; a re-run goes on", contract="1 3")
@pytest.mark.parametrize("way", ["up-s3", "down-s3"])
def test_signal_twice(way: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=20))
    assert copy.proxy is not None
    place = "request-body" if way == "up-s3" else "response-body"
    copy.proxy.rules.append(stall(place, seconds=20, after=100, path=r"\.(txt|bin)"))  # type: ignore[arg-type]
    running = copy.start()
    underway(copy)
    running.send(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    running.send(signal.SIGINT)
    done = running.wait(10)
    assert done.code == 130, done.explained
    assert time.monotonic() - began < 3
    copy.holds_versions()
    copy.again()


@row("M52c", "the reader of the output goes away (svstorage ls | head -1)", "no traceback")
def test_reader_goes_away(journey: MakeJourney, seed: int) -> None:
    copy = journey("down-s3", proxy=False)
    copy.fill({f"k{n:04}": b"k" for n in range(300)})
    env = copy.cli.environment({})
    command = f"{PROGRAM} --env-file {copy.source.env_file()} ls -R {copy.source.address} | head -1"
    done = subprocess.run(
        ["sh", "-c", command], env=env, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@row("M43", "SIGSTOP and SIGCONT of the copy", "goes on; exit 0")
@pytest.mark.parametrize("way", ["up-s3", "down-s3"])
def test_paused(way: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=30))
    slow(copy, 0.05)
    running = copy.start("--concurrency", "2")
    underway(copy)
    running.send(signal.SIGSTOP)
    time.sleep(1.5)
    running.send(signal.SIGCONT)
    copy.check(running.wait(), 0)


@row("M44", "the service is gone for two seconds in the middle", "exit 0 once it is back")
@pytest.mark.parametrize("way", ["up-s3", "down-s3"])
def test_service_away(way: str, journey: MakeJourney, seed: int) -> None:
    from tests.servers.faultproxy import cut

    copy = journey(way, sample(seed, small=40))
    assert copy.proxy is not None
    slow(copy, 0.05)
    running = copy.start("--retries", "30", "--concurrency", "4")
    underway(copy)
    copy.proxy.rules.insert(0, cut("request-head"))
    time.sleep(2)
    copy.proxy.rules.pop(0)
    copy.check(running.wait(), 0)


@row("M55", "several copies into one destination at once, of the same and of other sources",
     "each object is one whole version; a re-run ends with 0", contract="1")  # fmt: skip
@pytest.mark.parametrize("to", ["local", "s3"])
def test_several_at_once(
    to: str, journey: MakeJourney, side: Callable[..., Any], cli: Any, seed: int
) -> None:
    copy = journey("up-s3", proxy=False)
    copy.destination = side(to)
    copy.fill(sample(seed, small=20))
    other = Journey(cli, side("local"), copy.destination, secrets=copy.secrets)
    draw = random.Random(seed)
    other.fill({key: draw.randbytes(len(data)) for key, data in copy.tree.items()})
    other.runs = 50
    running = []
    for number in range(4):
        one = (copy, other)[number % 2]
        running.append(one.start("--on-exists", "overwrite"))
    codes = [r.wait().code for r in running]
    assert set(codes) <= {0, 1}, [r.err.read_text()[-500:] for r in running]
    found = copy.destination.read()
    for key, data in found.items():
        assert data in (copy.tree[key], other.tree[key]), f"{key}: a mixture"
    assert set(found) == set(copy.tree)
    done = copy.run("--on-exists", "overwrite")
    assert done.code == 0, done.explained
    assert not difference(copy.tree, copy.destination.read())
    assert copy.destination.leftovers() == []


@row("M55j", "two runs with one journal", "the second: exit 2 where it was named or would delete, "
     "else it goes on without")  # fmt: skip
@pytest.mark.parametrize("options", [(), ("--delete",), ("--journal", "{}")])
def test_two_with_one_journal(options: tuple[str, ...], journey: MakeJourney, seed: int) -> None:
    copy = journey("up-s3", sample(seed, small=10))
    slow(copy, 0.3)
    words = tuple(o.replace("{}", str(copy.cli.folder / "j.sqlite")) for o in options)
    first = copy.start(*words)
    underway(copy, 5)
    second = copy.start(*words)
    done = second.wait()
    assert done.code == (2 if options else 0), done.explained
    assert first.wait().code == 0
    copy.again()


def journal_of(copy: Journey) -> Path:
    (found,) = (copy.cli.state / "journals").glob("*.sqlite")
    return found


DAMAGE = ["truncated", "empty", "random", "newer", "another pair", "lies"]


@row(
    "M53",
    "a journal truncated, empty, random bytes, of a newer version, of another pair, lying",
    "a word and begun anew; never trusted: nothing is skipped that is not there",
    contract="2 3",
)
@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_journal(how: str, journey: MakeJourney, seed: int) -> None:
    copy = journey("up-s3", sample(seed, small=8), proxy=False)
    copy.check(copy.run(), 0)
    path = journal_of(copy)
    whole = path.read_bytes()
    if how == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "random":
        path.write_bytes(random.Random(seed).randbytes(len(whole)))
    else:
        with sqlite3.connect(path) as database:
            if how == "newer":
                database.execute("UPDATE meta SET value = '999' WHERE name LIKE '%version%'")
                database.execute("PRAGMA user_version = 999")
            elif how == "another pair":
                database.execute("UPDATE meta SET value = 'elsewhere' WHERE name = 'source'")
        database.close()
    for key in list(copy.tree)[:4]:
        copy.destination.delete(key)
    done = copy.run()
    copy.check(done, 0)


@row("M54", "an object lost, or overwritten with as many zeros, after the journal says done",
     "found by its version, and copied again", contract="2")  # fmt: skip
@pytest.mark.parametrize("way", ["up-s3", "down-s3", "s3-azure"])
def test_destination_changed_behind_us(way: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=8), proxy=False)
    copy.check(copy.run(), 0)
    keys = [k for k in copy.tree if copy.tree[k]]
    copy.destination.delete(keys[0])
    copy.destination.write({keys[1]: bytes(len(copy.tree[keys[1]]))})
    copy.destination.write({"m/parts.bin": bytes(len(copy.tree["m/parts.bin"]))})
    copy.check(copy.run(), 0)


@row("M57", "a hundred big objects in little memory", "stays below; exit 0", contract="5")
def test_little_memory(journey: MakeJourney, seed: int) -> None:
    copy = journey("up-s3", proxy=False)
    block = random.Random(seed).randbytes(1 << 20)
    copy.fill({f"big{n:02}.bin": block * 6 + b"%d" % n for n in range(30)})
    done = copy.run(tweaks={}, limits={"RLIMIT_AS": 2 << 30})
    copy.check(done, 0)


@row("S1", "--max-errors, --dry-run, --on-exists error under faults", "stop, touch nothing, named")
def test_limits_of_a_run(journey: MakeJourney, seed: int) -> None:
    copy = journey("up-s3", sample(seed, small=10), before={"a/empty": b"not empty"}, proxy=False)
    done = copy.run("--dry-run")
    assert done.code == 0, done.explained
    assert copy.destination.read() == copy.before
    done = copy.run("--on-exists", "error")
    copy.check(done, 1)
    assert set(copy.failed_keys()) == {"a/empty"}


@row("S2", "the source or the destination vanishes as a whole", "exit 1 or 3, nothing deleted",
     contract="8")  # fmt: skip
def test_source_vanishes(journey: MakeJourney, seed: int) -> None:
    import shutil

    copy = journey("up-s3", sample(seed, small=30), before={"old": b"old"})
    slow(copy, 0.05)
    running = copy.start("--delete", "--max-delete", "1000", "--concurrency", "2")
    underway(copy)
    assert isinstance(copy.source, LocalSide)
    shutil.rmtree(copy.source.root)
    done = running.wait()
    assert done.code in (0, 1, 3), done.explained
    found = copy.destination.read()
    if done.code:
        assert found["old"] == b"old"
    for key, data in found.items():
        assert data == {**copy.before, **copy.tree}[key]
