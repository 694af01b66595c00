"""Big objects: what a kill leaves is gone on with, what goes wrong in a part costs that part."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.faultproxy import FaultProxy, cut, flip, stall, status
from tests.transfer import killed
from tests.transfer.conftest import Side, add_up, check, hidden_files, sync

SideOf = Callable[[str], Side]
MIB = 1 << 20
PART = 5 * MIB
BIG = random.Random(3).randbytes(8 * PART + 17)
PARTS = 9
pytestmark = pytest.mark.usefixtures("small_parts")

UPLOADED = {"moto": r"partNumber=(\d+)", "azure": r"comp=block&.*blockid=|blockid=.*comp=block\b"}


def sent_parts(proxy: FaultProxy, kind: str) -> list[Any]:
    """The requests that carried a part to the service."""
    return [
        r
        for r in proxy.requests
        if r.method == "PUT"
        and re.search(UPLOADED[kind], r.target)
        and "comp=blocklist" not in r.target
    ]


def ranged_reads(proxy: FaultProxy) -> list[Any]:
    return [r for r in proxy.requests if r.method == "GET" and "range" in _ranges(r)]


def _ranges(request: Any) -> dict[str, str]:
    found = request.headers.get("range") or request.headers.get("x-ms-range")
    return {"range": found} if found else {}


class Process:
    """The sync of `killed`, running."""

    def __init__(self, folder: Path, source: Side, destination: Side, **options: Any) -> None:
        job = folder / "job.json"
        job.write_text(
            json.dumps(
                {
                    "src": source.address,
                    "dst": destination.address,
                    "source": _keywords(source),
                    "destination": _keywords(destination),
                    "options": options,
                }
            )
        )
        self.log = folder / "process.log"
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, killed.__file__, str(job)], stdout=sink, stderr=sink
            )

    def kill_when(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not true():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "it never came so far"
            time.sleep(0.02)
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def finish(self) -> dict[str, int]:
        code = self.process.wait(100)
        text = self.log.read_text()
        assert code == 0, text
        answer: dict[str, int] = json.loads(text.splitlines()[-1])
        return answer


def _keywords(side: Side) -> dict[str, str] | None:
    if side.storage is None:
        return None
    server = side.seen_at or side.server
    return {k.removeprefix("STORAGE_").lower(): v for k, v in server.env().items()}


@pytest.mark.parametrize("kind", ["moto", "azure"])
def test_upload_goes_on_after_kill_9(
    side: SideOf, kind: str, fault_proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    source, destination = side("local"), side(kind)
    source.put("big", BIG)
    for n in range(20):
        source.put(f"small/{n}", b"x%d" % n)
    proxy = fault_proxy(destination.server.endpoint)
    through = destination.through(proxy)
    # Two parts get through, then nothing more does.
    is_part = {"method": "PUT", "path": UPLOADED[kind]}
    proxy.rules.append(stall("request-body", seconds=600, skip=2, **is_part))
    first = Process(tmp_path, source, through)
    done = lambda: [r for r in sent_parts(proxy, kind) if r.status in (200, 201)]  # noqa: E731
    smalls = lambda: len(destination.keys()) >= 20  # noqa: E731
    first.kill_when(lambda: len(done()) == 2 and smalls())
    time.sleep(0.3)
    assert "big" not in {k for k, size in destination.keys().items() if size == len(BIG)}
    proxy.rules.clear()
    proxy.requests.clear()

    answer = Process(tmp_path, source, through).finish()
    assert destination.content() == source.content()
    again = sent_parts(proxy, kind)
    assert len(again) == PARTS - 2, [r.target for r in again]
    assert sum(r.sent for r in again) <= len(BIG) - 2 * PART
    assert answer["copied"] == 1
    puts = [r for r in proxy.requests if r.method == "PUT" and "small" in r.target]
    # The journal is written once a second: what came after may be asked, never sent again.
    assert not puts


@pytest.mark.parametrize("kind", ["moto", "azure"])
def test_download_goes_on_after_kill_9(
    side: SideOf, kind: str, fault_proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    source, destination = side(kind), side("local")
    source.put("big", BIG)
    proxy = fault_proxy(source.server.endpoint)
    through = source.through(proxy)
    proxy.rules.append(
        stall("response-body", seconds=600, skip=3, method="GET", when=lambda r: bool(_ranges(r)))
    )
    first = Process(tmp_path, through, destination)

    def three_on_disk() -> bool:
        assert destination.root is not None
        lists = [f for f in hidden_files(destination.root) if "-list-" in f]
        return bool(lists) and (destination.root / lists[0]).read_text().count('"number"') == 3

    first.kill_when(three_on_disk)
    assert destination.root is not None
    assert not (destination.root / "big").exists()
    proxy.rules.clear()
    proxy.requests.clear()

    Process(tmp_path, through, destination).finish()
    assert destination.get("big") == BIG
    assert hidden_files(destination.root) == []
    reads = ranged_reads(proxy)
    assert len(reads) == PARTS - 3
    assert sum(r.received for r in reads) <= len(BIG) - 3 * PART
    assert all(r.headers.get("if-match") for r in reads)


@pytest.mark.parametrize("pair", [("local", "moto"), ("moto", "local"), ("local", "azure")])
def test_source_that_changed_before_the_next_run(
    side: SideOf, pair: tuple[str, str], fault_proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    """The old parts are of no use: they are dropped, the new version goes whole."""
    source, destination = side(pair[0]), side(pair[1])
    source.put("big", BIG)
    remote = destination if destination.server else source
    proxy = fault_proxy(remote.server.endpoint)
    through = remote.through(proxy)
    ends = (source, through) if destination.server else (through, destination)
    if destination.server:
        proxy.rules.append(
            stall("request-body", seconds=600, skip=2, method="PUT", path=UPLOADED[pair[1]])
        )
        first = Process(tmp_path, *ends)
        first.kill_when(
            lambda: len([r for r in sent_parts(proxy, pair[1]) if r.status in (200, 201)]) == 2
        )
    else:
        proxy.rules.append(
            stall(
                "response-body", seconds=600, skip=2, method="GET", when=lambda r: bool(_ranges(r))
            )
        )
        first = Process(tmp_path, *ends)
        root = destination.root
        assert root is not None
        first.kill_when(lambda: any("-list-" in f for f in hidden_files(root)))
    proxy.rules.clear()
    new = BIG[::-1]
    source.put("big", new)
    report = sync(*ends)
    assert report.ok, report.failures
    assert destination.get("big") == new
    _nothing_unfinished(destination)


def _nothing_unfinished(side: Side) -> None:
    if side.root is not None:
        assert hidden_files(side.root) == []
    elif side.kind == "moto":
        assert not side.client.list_multipart_uploads(Bucket=side.bucket).get("Uploads")


def test_upload_of_a_source_that_vanished_is_dropped(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    source, destination = side("local"), side("moto")
    source.put("big", BIG)
    source.put("other", b"o")
    proxy = fault_proxy(destination.server.endpoint)
    through = destination.through(proxy)
    proxy.rules.append(
        stall("request-body", seconds=600, skip=2, method="PUT", path=UPLOADED["moto"])
    )
    first = Process(tmp_path, source, through)
    first.kill_when(lambda: len([r for r in sent_parts(proxy, "moto") if r.status == 200]) == 2)
    assert destination.client.list_multipart_uploads(Bucket=destination.bucket)["Uploads"]
    proxy.rules.clear()
    source.delete("big")
    assert sync(source, through).ok
    _nothing_unfinished(destination)
    assert set(destination.keys()) == {"other"}


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["moto", "azure"])
def test_a_part_altered_on_its_way_is_sent_again_alone(
    side: SideOf, kind: str, fault_proxy: Callable[..., FaultProxy]
) -> None:
    source, destination = side("local"), side(kind)
    source.put("big", BIG)
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(flip("request-body", after=1000, times=2, method="PUT", path=UPLOADED[kind]))
    report = sync(source, destination.through(proxy))
    assert report.ok, report.failures
    assert destination.get("big") == BIG
    assert len(proxy.faults()) == 2
    assert len(sent_parts(proxy, kind)) == PARTS + 2


@pytest.mark.faults
@pytest.mark.parametrize(("retries", "sent"), [(0, 1), (1, 4)])
def test_retries_bound_the_tries_of_a_part_too(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], retries: int, sent: int
) -> None:
    """(1 + retries) tries of the object, in each as many of the part (and never above four)."""
    source, destination = side("local"), side("moto")
    source.put("big", BIG)
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(status(500, method="PUT", path=r"partNumber=3\b"))
    report = sync(source, destination.through(proxy), retries=retries)
    assert not report.ok
    assert len(proxy.faults()) == sent
    assert not destination.keys()


@pytest.mark.faults
@pytest.mark.parametrize("to", ["local", "azure"])
@pytest.mark.parametrize("made", ["in parts", "at once"])
def test_a_range_altered_on_its_way_down_is_noticed(
    side: SideOf, made: str, to: str, fault_proxy: Callable[..., FaultProxy]
) -> None:
    source, destination = side("moto"), side(to)
    if made == "at once":
        source.put("big", BIG)
    else:
        in_parts(source, "big", 7 * MIB)
    proxy = fault_proxy(source.server.endpoint)
    proxy.rules.append(
        flip("response-body", after=70_000, times=1, method="GET", when=lambda r: bool(_ranges(r)))
    )
    through = source.through(proxy)
    report = sync(through, destination, retries=0)
    assert not report.ok
    assert "ChecksumMismatch" in {f.error_kind for f in report.failures}
    assert destination.keys() == {}
    again = sync(through, destination, retries=0)
    assert again.ok, again.failures
    assert destination.get("big") == BIG
    _nothing_unfinished(destination)


def in_parts(side: Side, key: str, part: int) -> None:
    """As another tool would upload it, with parts of an odd size."""
    client, where = side.client, {"Bucket": side.bucket, "Key": key}
    upload = client.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(BIG), part), start=1):
        tag = client.upload_part(
            **where, UploadId=upload, PartNumber=number, Body=BIG[start : start + part]
        )["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})


@pytest.mark.faults
def test_lost_answer_to_the_last_request(
    side: SideOf, fault_proxy: Callable[..., FaultProxy]
) -> None:
    """The service has published the object, we never hear it: a look tells, nothing is resent."""
    source, destination = side("local"), side("moto")
    source.put("big", BIG)
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(cut("response-head", method="POST", path="uploadId=", times=1))
    report = sync(source, destination.through(proxy))
    assert report.ok, report.failures
    assert destination.get("big") == BIG
    assert len(sent_parts(proxy, "moto")) == PARTS


@pytest.mark.faults
@pytest.mark.parametrize("journal", ["none", None])
def test_upload_that_fails_is_kept_for_a_journal_else_dropped(
    side: SideOf,
    journal: str | None,
    fault_proxy: Callable[..., FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("svstorage.strategies.parts.LONGEST_WAIT", 0.01)
    source, destination = side("local"), side("moto")
    source.put("big", BIG)
    source.put("a", b"a")
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(status(500, method="PUT", path="partNumber=9"))
    report = sync(source, destination.through(proxy), journal=journal, retries=1)
    add_up(report)
    assert report.exit_code == 1
    assert [f.key for f in report.failures] == ["big"]
    assert destination.keys() == {"a": 1}
    # The second try went on with the parts of the first.
    assert len({r.target for r in sent_parts(proxy, "moto")}) == PARTS
    assert len([r for r in sent_parts(proxy, "moto") if r.status == 200]) == PARTS - 1
    if journal == "none":
        _nothing_unfinished(destination)
        return
    proxy.rules.clear()
    proxy.requests.clear()
    assert sync(source, destination.through(proxy)).ok
    assert len(sent_parts(proxy, "moto")) == 1
    assert destination.get("big") == BIG
    assert check(source, destination, read_back=True).ok


def test_resumed_bytes_are_not_slowed_down(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--bwlimit`` is about bytes that move."""
    monkeypatch.setattr("svstorage.strategies.parts.LONGEST_WAIT", 0.01)
    source, destination = side("local"), side("moto")
    source.put("big", BIG)
    proxy = fault_proxy(destination.server.endpoint)
    proxy.rules.append(status(500, method="PUT", path="partNumber=9"))
    through = destination.through(proxy)
    assert not sync(source, through, retries=0).ok
    proxy.rules.clear()
    started = time.monotonic()
    assert sync(source, through, bwlimit=1.0 * MIB).ok
    # 17 bytes were left; 40 MiB would have taken 40 s.
    assert time.monotonic() - started < 20
