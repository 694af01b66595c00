"""The network between us and a service: cut, stalled, truncated, altered, throttled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.command import MINIATURE
from tests.faults.journey import WAYS, Journey
from tests.faults.rows import row
from tests.faults.sides import sample
from tests.servers.faultproxy import (
    SLOW_DOWN,
    Fault,
    Request,
    cut,
    flip,
    stall,
    status,
    truncate,
)
from tests.servers.process import free_port

pytestmark = pytest.mark.faults

IMPATIENT = {**MINIATURE, "read_timeout": 1.0}
MakeJourney = Callable[..., Journey]
ALL = list(WAYS)
READS = ["down-s3", "down-azure", "s3-azure"]
WRITES = ["up-s3", "up-azure", "azure-s3"]
PLACES = ["request-head", "request-body", "response-head", "response-body"]
VICTIMS = ["small-03.txt", "streamed.bin", "parts.bin"]
# Every way, and every way that an object can take, without all the pairs of them.
EACH = [
    (way, victim)
    for number, way in enumerate(ALL)
    for victim in (VICTIMS if way in ("up-s3", "down-s3") else [VICTIMS[number % 3]])
]


def data_request(way: str) -> Callable[[Request], bool]:
    """Requests that carry the bytes of an object."""
    method = "GET" if way in READS else "PUT"

    def matches(request: Request) -> bool:
        # A listing has no file name in its path.
        return request.method == method and request.path.endswith((".txt", ".bin", "empty"))

    return matches


def of_object(way: str, name: str) -> Callable[[Request], bool]:
    carries = data_request(way)
    return lambda request: carries(request) and request.path.endswith(name)


def must_have_struck(copy: Journey, *, least: int = 1) -> None:
    assert copy.proxy is not None
    assert len(copy.proxy.faults()) >= least, "the fault never happened: the test proves nothing"


@row("N1", "connection refused at start", "exit 3 within seconds, nothing touched")
@pytest.mark.parametrize("way", ALL)
def test_refused(way: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=3, big=False))
    assert copy.proxy is not None
    copy.proxy.port = free_port()
    done = copy.run(timeout=20)
    copy.check(done, 3)
    assert not copy.destination.read()


@row("N2", "connection reset, now and then, at each place of a request", "retried; exit 0")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ALL)
def test_resets(way: str, place: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed))
    assert copy.proxy is not None
    after = {"request-head": 40, "response-head": 0}.get(place, 100)
    copy.proxy.rules += [
        cut(place, after=after, times=2, when=data_request(way)),  # type: ignore[arg-type]
        cut(place, after=after, times=1, when=of_object(way, "parts.bin")),  # type: ignore[arg-type]
        cut(place, after=after, times=1, when=lambda r: not data_request(way)(r)),  # type: ignore[arg-type]
    ]
    done = copy.run()
    must_have_struck(copy, least=3)
    copy.check(done, 0)


@row(
    "N3",
    "one object's requests always reset in mid-body",
    "exit 1; that object named, all others copied; a re-run completes",
    contract="4",
)
@pytest.mark.parametrize(("way", "victim"), EACH)
def test_one_object_always_reset(way: str, victim: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, {**sample(seed), "a/small-03.txt": b"x" * 900})
    assert copy.proxy is not None
    place = "response-body" if way in READS else "request-body"
    copy.proxy.rules.append(cut(place, after=500, when=of_object(way, victim)))
    done = copy.run("--retries", "1")
    must_have_struck(copy)
    fails_alone(copy, done, victim)
    copy.again()


def fails_alone(copy: Journey, done: object, victim: str) -> None:
    """Exit 1, the objects of that name failed by name, all others are there."""
    found = copy.check(done, 1, left=victim == "parts.bin")  # type: ignore[arg-type]
    expected = {key for key in copy.tree if key.endswith(victim)}
    assert expected
    assert set(copy.failed_keys()) == expected, done.explained  # type: ignore[attr-defined]
    assert all(copy.failed_keys().values())
    assert set(copy.tree) - set(found) == expected


@row(
    "N4",
    "a response cut short: with the right length, a lying length, no length",
    "noticed, retried; exit 0",
    contract="2",
)
@pytest.mark.parametrize("declare", ["original", "actual", "none"])
@pytest.mark.parametrize("way", READS)
def test_truncated(way: str, declare: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed))
    assert copy.proxy is not None
    for victim in VICTIMS:
        copy.proxy.rules.append(
            truncate(300, declare=declare, times=1, when=of_object(way, victim))  # type: ignore[arg-type]
        )
    done = copy.run()
    must_have_struck(copy, least=2)
    copy.check(done, 0)


@row(
    "N5",
    "one object's response always short",
    "exit 1, named, no short file under its name",
    contract="2",
)
@pytest.mark.parametrize(
    ("way", "victim", "declare"),
    [
        *(("down-s3", victim, "actual") for victim in VICTIMS),
        *(("down-s3", victim, "none") for victim in VICTIMS[:2]),
        ("down-s3", "parts.bin", "original"),
        ("down-azure", "small-03.txt", "none"),
        ("down-azure", "streamed.bin", "none"),
        ("s3-azure", "parts.bin", "actual"),
    ],
)
def test_always_truncated(
    way: str, victim: str, declare: str, journey: MakeJourney, seed: int
) -> None:
    copy = journey(way, {**sample(seed, small=4), "small-03.txt": b"y" * 900})
    assert copy.proxy is not None
    copy.proxy.rules.append(truncate(300, declare=declare, when=of_object(way, victim)))  # type: ignore[arg-type]
    done = copy.run("--retries", "1")
    must_have_struck(copy)
    fails_alone(copy, done, victim)
    copy.again()


@row("N6", "a connection that stalls for good in mid-body", "no-progress timeout, retried; exit 0")
@pytest.mark.parametrize("place", ["response-head", "response-body", "request-body"])
@pytest.mark.parametrize("way", ["up-s3", "down-s3"])
def test_stalls(way: str, place: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=4))
    assert copy.proxy is not None
    for victim in VICTIMS:
        copy.proxy.rules.append(
            # (rclone holds a part until the connection that brings it is gone.)
            stall(place, seconds=4, after=0, times=1, when=of_object(way, victim))  # type: ignore[arg-type]
        )
    done = copy.run(timeout=25, tweaks=IMPATIENT)
    if place != "request-body" or way == "up-s3":
        must_have_struck(copy)
    copy.check(done, 0)


@row("N6", "a connection that stalls for good in mid-body", "no-progress timeout, retried; exit 0")
@pytest.mark.parametrize("way", ["up-azure", "down-azure"])
def test_stalls_azure(way: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=4))
    assert copy.proxy is not None
    place = "response-body" if way in READS else "request-body"
    for victim in VICTIMS:
        copy.proxy.rules.append(
            stall(place, seconds=30, after=0, times=1, when=of_object(way, victim))
        )
    done = copy.run(timeout=25, tweaks=IMPATIENT)
    must_have_struck(copy)
    copy.check(done, 0)


ANSWERS = [(500, b"", None), (502, b"", None), (503, SLOW_DOWN, None), (503, SLOW_DOWN, 1),
           (429, b"", None), (429, b"", 1)]  # fmt: skip


@row("N7", "500, 502, 503 SlowDown, 429, with and without Retry-After, 1 % and 20 % of requests",
     "backed off with jitter, retried; exit 0")  # fmt: skip
@pytest.mark.parametrize(
    ("share", "code", "body", "after"),
    [(0.2, *ANSWERS[n]) for n in range(6)] + [(0.01, *ANSWERS[2])],
)
@pytest.mark.parametrize("way", ["up-s3", "s3-azure"])
def test_throttled(
    way: str, code: int, body: bytes, after: int | None, share: float, journey: MakeJourney,
    seed: int,
) -> None:  # fmt: skip
    copy = journey(way, sample(seed, small=20))
    assert copy.proxy is not None
    fault = status(code, body=body, retry_after=after, share=share)
    first = status(code, body=body, retry_after=after, times=1, when=data_request(way))
    copy.proxy.rules += [first, fault]
    done = copy.run("--retries", "12")
    must_have_struck(copy)
    copy.check(done, 0)


@row("N8", "every request answered 500, 503 or 429", "exit 1 or 3 in bounded time, nothing lost")
@pytest.mark.parametrize(
    ("way", "code"),
    [
        *((way, (500, 503, 429)[n % 3]) for n, way in enumerate(ALL)),
        ("up-s3", 503),
        ("down-s3", 503),
    ],
)
def test_always_throttled(way: str, code: int, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=6))
    assert copy.proxy is not None
    rule = status(code, body=SLOW_DOWN if code == 503 else b"")
    copy.proxy.rules.append(rule)
    done = copy.run("--retries", "2", timeout=40)
    copy.check(done, {1, 3})
    assert not copy.destination.read()
    copy.proxy.rules[:] = [
        status(code, body=SLOW_DOWN if code == 503 else b"", when=data_request(way))
    ]
    done = copy.run("--retries", "1", timeout=40)
    copy.check(done, {1, 3}, left=True)
    assert len(copy.failed_keys()) == len(copy.tree) - ("a/empty" in copy.destination.read())
    copy.again()


@row("N9", "concurrency under throttling", "falls, and Retry-After is kept")
def test_retry_after_is_kept(journey: MakeJourney, seed: int) -> None:
    copy = journey("up-s3", {"one.txt": b"1" * 100_000})
    assert copy.proxy is not None
    copy.proxy.rules.append(
        status(503, body=SLOW_DOWN, retry_after=2, times=1, when=data_request("up-s3"))
    )
    done = copy.run(tweaks={"sizes": True})
    copy.check(done, 0)
    assert done.seconds >= 2, "asked for 2 seconds"


def flips(way: str, victim: str, **which: object) -> Fault:
    place = "response-body" if way in READS else "request-body"
    return flip(place, after=100, when=of_object(way, victim), **which)


@row("N10", "a bit flipped in transit, either way", "noticed by checksum, retried; exit 0",
     contract="2")  # fmt: skip
@pytest.mark.parametrize(("way", "victim"), EACH)
def test_flipped(way: str, victim: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, {**sample(seed, small=4), "small-03.txt": b"y" * 900})
    assert copy.proxy is not None
    copy.proxy.rules.append(flips(way, victim, times=1))
    done = copy.run()
    must_have_struck(copy)
    copy.check(done, 0)


@row("N11", "every copy of one object arrives altered", "exit 1, named, and no wrong bytes stay",
     contract="2")  # fmt: skip
@pytest.mark.parametrize(("way", "victim"), EACH)
def test_always_flipped(way: str, victim: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, {**sample(seed, small=4), "small-03.txt": b"y" * 900})
    assert copy.proxy is not None
    copy.proxy.rules.append(flips(way, victim))
    done = copy.run("--retries", "1")
    must_have_struck(copy)
    fails_alone(copy, done, victim)
    copy.again()
