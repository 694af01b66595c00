"""The quick way of small objects, over real servers; and what keeps it quick."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage.errors import ChecksumMismatch, ObjectChanged, ServiceError
from svstorage.model import Attributes, Entry, Stored
from svstorage.providers.base import WholeStore
from svstorage.transfer.concurrency import AdaptiveConcurrency
from svstorage.transfer.journal import ROWS_AT_ONCE, Journal
from svstorage.transfer.options import TransferOptions
from tests.servers.faultproxy import FaultProxy, flip
from tests.servers.s3 import S3Server

DATA = bytes(range(256)) * 16
OPTIONS = TransferOptions(journal="none")


def store_of(server: S3Server, tmp_path: Path) -> Any:
    return svstorage.connect(env_file=server.write_env(tmp_path / "quick.env")).store


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def listed(store: Any, bucket: str) -> dict[str, Entry]:
    return {entry.key: entry for entry in store.list(bucket)}


def test_whole_objects_there_and_back(
    rclone_s3: S3Server, new_bucket: Callable[..., str], tmp_path: Path
) -> None:
    store, bucket = store_of(rclone_s3, tmp_path), new_bucket(rclone_s3)
    assert isinstance(store, WholeStore)
    assert store.carries_whole
    attributes = Attributes(content_type="text/x-test", metadata={"mtime": "12.5"})
    for size in (0, 1, 4096, 300_000):
        data = (DATA * 80)[:size]
        key = f"a b+ü%2F/{size}"
        stored = store.put(
            bucket, key, data, size=size, attributes=attributes, md5=md5(data)
        )  # fmt: skip
        assert stored.checksum is not None
        assert stored.checksum.value == md5(data).hex()
        body, info = store.read_whole(bucket, listed(store, bucket)[key])
        assert bytes(body) == data
        assert info.entry.checksum == stored.checksum
        assert info.attributes.metadata["mtime"] == "12.5"


def test_another_version_is_noticed(
    rclone_s3: S3Server, new_bucket: Callable[..., str], tmp_path: Path
) -> None:
    store, bucket = store_of(rclone_s3, tmp_path), new_bucket(rclone_s3)
    store.put(bucket, "k", DATA, size=len(DATA))
    old = listed(store, bucket)["k"]
    store.put(bucket, "k", DATA[::-1], size=len(DATA))
    with pytest.raises(ObjectChanged):
        store.read_whole(bucket, old)


def test_bytes_that_changed_on_the_way_are_refused_by_the_service(
    rclone_s3: S3Server, new_bucket: Callable[..., str], tmp_path: Path
) -> None:
    store, bucket = store_of(rclone_s3, tmp_path), new_bucket(rclone_s3)
    with pytest.raises(ChecksumMismatch):
        store.put(bucket, "k", DATA, size=len(DATA), md5=md5(b"others"))
    assert rclone_s3.keys(bucket) == {}


@pytest.mark.faults
def test_a_flipped_download_is_read_again(
    rclone_s3: S3Server,
    new_bucket: Callable[..., str],
    fault_proxy: Callable[..., FaultProxy],
    tmp_path: Path,
) -> None:
    bucket = new_bucket(rclone_s3)
    store_of(rclone_s3, tmp_path).put(bucket, "k", DATA, size=len(DATA))
    proxy = fault_proxy(rclone_s3.endpoint)
    proxy.rules.append(
        flip("response-body", times=1, method="GET", when=lambda r: r.target.endswith("/k"))
    )
    env = rclone_s3.at(proxy.endpoint).write_env(tmp_path / "through.env")
    target = tmp_path / "down"
    report = svstorage.copy(
        f"sv://{bucket}/", f"{target}/", source=svstorage.connect(env_file=env), recursive=True
    )
    assert report.ok
    assert report.counters.retries == 1
    assert report.strategies == {"native": 1}
    assert (target / "k").read_bytes() == DATA


def test_a_gone_server_is_an_error_of_ours(tmp_path: Path, rclone_s3: S3Server) -> None:
    from tests.servers.process import free_port

    store = store_of(rclone_s3.at(f"http://127.0.0.1:{free_port()}"), tmp_path)
    with pytest.raises((ServiceError, svstorage.StorageError), match="refused"):
        store.put("some-bucket", "k", DATA, size=len(DATA))


# What keeps it quick


def test_rows_of_the_journal_are_there_whatever_their_number(tmp_path: Path) -> None:
    count = 2 * ROWS_AT_ONCE + 3
    path = tmp_path / "j.sqlite"
    with Journal(path, source="a", destination="b", explicit=True) as journal:
        for number in range(count):
            entry = Entry(f"k{number:05d}", number, etag="e")
            journal.done(entry.key, entry, Stored(number, "e"))
        assert sum(1 for _ in journal.rows()) == count
        journal.drop(b"k00000")
        assert sum(1 for _ in journal.rows()) == count - 1
    with Journal(path, source="a", destination="b", explicit=True) as journal:
        assert sum(1 for _ in journal.rows()) == count - 1


class Clock:
    """Stands in for the time module: throughput must not depend on this machine's."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cpu = 0.0

    def monotonic(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.cpu


def window(one: AdaptiveConcurrency, clock: Clock, objects: int, size: int, cpu: float) -> int:
    """One window in which so many objects were carried; the limit after it."""
    one.enter()
    clock.now += one.WINDOW
    clock.cpu += cpu * one.WINDOW
    one.leave(objects * size, objects)
    return one.limit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("svstorage.transfer.concurrency.time", clock)
    return clock


def test_threads_grow_while_that_helps(clock: Clock) -> None:
    one = AdaptiveConcurrency()
    limits = [window(one, clock, 100 * 2**n, 4096, 0.1) for n in range(8)]
    assert limits == sorted(limits)
    assert limits[-1] == one.maximum
    assert window(one, clock, 100, 4096, 0.1) < one.maximum


def test_threads_do_not_grow_where_the_interpreter_is_busy(clock: Clock) -> None:
    one = AdaptiveConcurrency()
    assert [window(one, clock, 1000 * 2**n, 4096, 0.95) for n in range(5)] == [one.START] * 5
    # Big objects pass outside of the interpreter.
    assert window(one, clock, 100_000, 8 << 20, 0.95) > one.START


def test_a_throttled_run_halves_once_a_second(clock: Clock) -> None:
    one = AdaptiveConcurrency()
    one.slow_down()
    one.slow_down()
    assert one.limit == one.START // 2
    clock.now += 1.1
    one.slow_down()
    assert one.limit == one.START // 4


def test_threads_that_fight_for_the_interpreter_become_fewer(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches = 0
    monkeypatch.setattr("svstorage.transfer.concurrency._switches", lambda: switches)
    one = AdaptiveConcurrency()
    one.limit = 16
    limits = []
    for _ in range(5):
        switches += 30 * 1000
        limits.append(window(one, clock, 1000, 4096, 1.2))
    assert limits == [8, 4, 2, 2, 2]
    # Answers that take their time: no more fight, and more threads help.
    assert window(one, clock, 2000, 4096, 0.3) > 2


def many(tmp_path: Path, count: int = 60) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}").write_bytes(DATA)
    return folder


def test_a_defect_in_the_lane_loses_no_object(
    rclone_s3: S3Server,
    new_bucket: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svstorage.transfer.pipelining import Pipelining

    bucket, folder = new_bucket(rclone_s3), many(tmp_path)
    storage = svstorage.connect(env_file=rclone_s3.write_env(tmp_path / "quick.env"))
    real, count = Pipelining._end, 0

    def defective(self: Any, *args: Any) -> None:
        nonlocal count
        count += 1
        if count == 7:
            raise RuntimeError("a defect")
        real(self, *args)

    monkeypatch.setattr(Pipelining, "_end", defective)
    report = svstorage.copy(
        f"{folder}/", f"sv://{bucket}/", recursive=True, destination=storage, options=OPTIONS
    )
    assert count == 7
    counters = report.counters
    assert (counters.copied, counters.failed, counters.left) == (60, 0, 0)
    assert len(listed(storage.store, bucket)) == 60


def test_an_outcome_that_cannot_be_taken_ends_the_run(
    rclone_s3: S3Server,
    new_bucket: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It must not be lost, as if the object had never been."""
    from svstorage.transfer.carry import Carrier

    def defective(self: Any, *args: Any) -> None:
        raise RuntimeError("a defect")

    bucket, folder = new_bucket(rclone_s3), many(tmp_path)
    storage = svstorage.connect(env_file=rclone_s3.write_env(tmp_path / "quick.env"))
    monkeypatch.setattr(Carrier, "landed", defective)
    with pytest.raises(RuntimeError, match="a defect"):
        svstorage.copy(
            f"{folder}/", f"sv://{bucket}/", recursive=True, destination=storage, options=OPTIONS
        )
