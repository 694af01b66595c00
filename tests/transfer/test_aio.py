"""The async bridge: the same operations, callbacks in the loop, cancelling stops cleanly."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import svstorage.api
from svstorage import aio
from svstorage.errors import UsageError
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.stop import StopToken
from tests.servers.faultproxy import FaultProxy, delay
from tests.transfer.conftest import Side, add_up, sync

SideOf = Callable[[str], Side]


@pytest.fixture
def sides(side: SideOf) -> tuple[Side, Side]:
    source, destination = side("local"), side("s3")
    for n in range(100):
        source.put(f"k{n:03}", b"%d" % n)
    return source, destination


def test_all_four_operations(sides: tuple[Side, Side], side: SideOf) -> None:
    source, destination = sides
    other = side("azure")

    async def main() -> list[Any]:
        where = {"destination": destination.storage}
        reports = [await aio.copy(source.address, destination.address, recursive=True, **where)]
        reports.append(await aio.sync(source.address, destination.address, **where))
        reports.append(await aio.check(source.address, destination.address, **where))
        reports.append(
            await aio.migrate(
                source=destination.storage,
                destination=other.storage,
                buckets=[destination.bucket],
            )
        )
        return reports

    reports = asyncio.run(main())
    assert [r.operation for r in reports] == ["copy", "sync", "check", "migrate"]
    assert all(r.ok for r in reports)
    other.bucket = destination.bucket
    try:
        assert other.content() == source.content()
    finally:
        other.client.delete_container(destination.bucket)


def test_callbacks_run_in_the_loop_and_before_the_end(sides: tuple[Side, Side]) -> None:
    source, destination = sides
    threads: set[threading.Thread] = set()
    results: list[Any] = []
    progress: list[Any] = []

    def on_result(result: Any) -> None:
        threads.add(threading.current_thread())
        results.append(result)

    async def main() -> tuple[Any, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.005)

        ticking = asyncio.create_task(tick())
        report = await aio.sync(
            source.address,
            destination.address,
            destination=destination.storage,
            on_result=on_result,
            on_progress=progress.append,
        )
        assert len(results) == 100, "each was told before the copy was said to be over"
        assert progress[-1].phase == "done"
        ticking.cancel()
        return report, ticks

    report, ticks = asyncio.run(main())
    assert report.ok
    assert threads == {threading.main_thread()}
    assert ticks > 2, "the loop went on meanwhile"


@pytest.mark.faults
def test_cancelling_stops_and_a_re_run_goes_on(
    sides: tuple[Side, Side], fault_proxy: Callable[..., FaultProxy]
) -> None:
    source, destination = sides
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(delay(0.05, method="PUT"))
    through = destination.through(proxy)
    copied: list[Any] = []

    async def main() -> None:
        task = asyncio.create_task(
            aio.sync(
                source.address,
                through.address,
                destination=through.storage,
                on_result=copied.append,
                options=TransferOptions(concurrency=2),
            )
        )
        while len(copied) < 5:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [t for t in threading.enumerate() if t.name.startswith("svstorage-copy")]

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < 30
    there = len(destination.keys())
    assert 5 <= there < 100
    report = sync(source, through)
    add_up(report)
    assert report.ok
    assert report.counters.copied == 100 - there
    assert destination.content() == source.content()


def test_a_stop_token_of_ones_own_is_heeded_and_not_touched(sides: tuple[Side, Side]) -> None:
    source, destination = sides
    stop = StopToken()
    stop.stop()

    async def main(stop: StopToken | None) -> Any:
        return await aio.sync(
            source.address, destination.address, destination=destination.storage, stop=stop
        )

    report = asyncio.run(main(stop))
    assert report.interrupted
    assert report.counters.copied == 0
    assert asyncio.run(main(None)).ok


def test_errors_come_as_they_are(sides: tuple[Side, Side]) -> None:
    source, destination = sides

    async def main() -> None:
        with pytest.raises(UsageError):
            await aio.sync(source.address, source.address)

        async def awaited(result: Any) -> None:
            return None

        with pytest.raises(TypeError, match="on_result"):
            await aio.sync(source.address, destination.address, on_result=awaited)

    asyncio.run(main())


def test_several_at_once(sides: tuple[Side, Side], side: SideOf) -> None:
    source, _ = sides
    targets = [side("local") for _ in range(4)]

    async def main() -> list[Any]:
        return await asyncio.gather(*(aio.sync(source.address, t.address) for t in targets))

    assert all(report.ok for report in asyncio.run(main()))
    assert all(target.content() == source.content() for target in targets)


def test_a_loop_that_is_behind_holds_the_run_up(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, destination = sides
    monkeypatch.setattr(aio, "_WAITING", 10)
    heard: list[Any] = []
    behind: list[int] = []
    told = 0
    real = svstorage.api.sync

    def counting(*args: Any, **keywords: Any) -> Any:
        on_result = keywords["on_result"]

        def count(result: Any) -> None:
            nonlocal told
            on_result(result)
            told += 1
            behind.append(told - len(heard))

        return real(*args, **{**keywords, "on_result": count})

    monkeypatch.setattr(svstorage.api, "sync", counting)

    async def main() -> Any:
        task = asyncio.create_task(
            aio.sync(
                source.address,
                destination.address,
                destination=destination.storage,
                on_result=heard.append,
            )
        )
        await asyncio.sleep(0)
        for _ in range(400):
            time.sleep(0.005)  # a program that leaves its loop no time
            await asyncio.sleep(0)
            if task.done():
                break
        return await task

    assert asyncio.run(main()).ok
    assert len(heard) == 100
    assert max(behind) <= 10


def test_a_loop_that_was_stopped_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "_WAITING", 1)
    monkeypatch.setattr(aio, "_LOOK_EVERY", 0.01)
    loop = asyncio.new_event_loop()
    try:
        call = aio._InLoop(loop, print)
        for number in range(3):
            call(number)
    finally:
        loop.close()
