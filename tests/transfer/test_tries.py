"""What is left behind by tries that fail, and tries where a run only looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import svstorage
from svstorage.errors import AccessRefused, ConnectionFailed, Interrupted
from svstorage.model import Checksum
from svstorage.providers.local.store import LocalStore
from svstorage.strategies.base import Confirmed, Context, End, Job, Pair
from svstorage.transfer import branches
from svstorage.transfer.carry import Carrier
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Work
from tests.servers.faultproxy import SLOW_DOWN, FaultProxy, status
from tests.transfer.conftest import Side

SideOf = Callable[[str], Side]


class Garbling:
    """Stores other bytes than it has read at its first try; then as the test says."""

    name = "garbling"
    summary = "for this test"

    def __init__(self, stop: StopToken | None = None) -> None:
        self.stop = stop
        self.tries = 0

    def can_carry(self, job: Job) -> float | None:
        return 1.0

    def carry(self, job: Job, context: Context) -> Confirmed:
        self.tries += 1
        if self.tries > 1:
            raise ConnectionFailed("cut")
        stored = job.pair.destination.store.put("", job.destination_key, b"bad!", size=4)
        if self.stop is not None:
            self.stop.stop()
        return Confirmed(stored, sent=Checksum("md5", "0" * 32))


@pytest.mark.parametrize("interrupted", [False, True])
def test_wrong_bytes_do_not_stay_whatever_fails_after_them(
    tmp_path: Path, interrupted: bool
) -> None:
    ends = []
    for name in ("source", "destination"):
        (tmp_path / name).mkdir()
        ends.append(End(LocalStore.for_folder(str(tmp_path / name)), ""))
    (tmp_path / "source/a").write_bytes(b"good")
    pair = Pair(*ends)
    entry = pair.source.store.head("", "a").entry
    # As a service announces it, so that there is something to compare with.
    entry = replace(entry, checksum=Checksum("md5", "1" * 32))
    stop = StopToken()
    strategy = Garbling(stop if interrupted else None)
    carrier = Carrier([strategy], TransferOptions(retries=1), stop=stop)
    work = Work(Job(pair, entry, "a"), "a")
    if interrupted:
        with pytest.raises(Interrupted):
            carrier.carry(work)
    else:
        outcome = carrier.carry(work)
        assert outcome.result.error_kind == "ConnectionFailed"
        assert strategy.tries == 2
    assert not (tmp_path / "destination/a").exists()


def test_a_glob_is_listed_to_its_end_by_a_busy_service(
    side: SideOf, fault_proxy: Callable[..., FaultProxy]
) -> None:
    source, destination = side("moto"), side("local")
    source.put("a.bin", b"a")
    proxy = fault_proxy(source.server.endpoint)
    seen = source.through(proxy)
    proxy.rules.append(status(503, body=SLOW_DOWN, method="GET", path="list-type", times=2))
    report = svstorage.copy(f"{seen.address}*.bin", destination.address, source=seen.storage)
    assert report.exit_code == 0, report.fatal
    assert proxy.rules[0].done == 2
    assert destination.content() == {"a.bin": b"a"}


def test_a_glob_over_branches_finds_all(side: SideOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed side by side, here below a beginning that is no whole folder."""
    monkeypatch.setattr(branches, "LOOK_AFTER", 10)
    monkeypatch.setattr(branches, "WORTH_A_BRANCH", 4)
    source, destination = side("moto"), side("local")
    names = [f"day{n // 20}/h{n // 5:02}/f{n:02}.bin" for n in range(60)]
    for name in (*names, "other/f.bin"):
        source.put(name, b"x")
    glob = f"{source.address}da*/**/*.bin"
    options = TransferOptions(dry_run=True)
    told: list[str] = []
    report = svstorage.copy(
        glob,
        destination.address,
        source=source.storage,
        options=options,
        on_result=lambda result: told.append(result.key),
    )
    assert report.exit_code == 0, report.fatal
    assert sorted(told) == names


def test_a_look_at_the_destination_is_tried_again(
    side: SideOf, fault_proxy: Callable[..., FaultProxy]
) -> None:
    source, destination = side("local"), side("moto")
    source.put("a.txt", b"a")
    source.put("b.txt", b"b")
    proxy = fault_proxy(destination.server.endpoint)
    seen = destination.through(proxy)
    proxy.rules.append(status(503, body=SLOW_DOWN, method="HEAD", path=r"/[ab]\.txt", times=2))
    report = svstorage.copy(
        f"{source.address}*.txt",
        seen.address,
        destination=seen.storage,
        options=TransferOptions(on_exists="skip"),
    )
    assert report.exit_code == 0, report.fatal
    assert destination.content() == {"a.txt": b"a", "b.txt": b"b"}


def test_a_look_that_is_refused_costs_that_object_alone(
    side: SideOf, fault_proxy: Callable[..., FaultProxy]
) -> None:
    source, destination = side("local"), side("moto")
    for name in "abc":
        source.put(f"{name}.txt", name.encode())
    proxy = fault_proxy(destination.server.endpoint)
    seen = destination.through(proxy)
    proxy.rules.append(status(403, method="HEAD", path=r"/a\.txt"))
    report = svstorage.copy(
        f"{source.address}*.txt",
        seen.address,
        destination=seen.storage,
        options=TransferOptions(on_exists="skip"),
    )
    assert report.exit_code == 1
    assert report.fatal is None
    assert [(f.key, f.error_kind) for f in report.failures] == [("a.txt", "AccessRefused")]
    assert destination.content() == {"b.txt": b"b", "c.txt": b"c"}


def test_a_bucket_that_cannot_be_made_is_told_before_anything_is_moved(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    names = [f"{stem}-{tmp_path.name}".replace("_", "-")[:60] for stem in ("one", "two")]
    for name in names:
        (tmp_path / "storage" / name).mkdir(parents=True)
        (tmp_path / "storage" / name / "x").write_text("x")
    source = svstorage.connect(provider="http", data_path=str(tmp_path))
    end = side("moto")
    proxy = fault_proxy(end.server.endpoint)
    destination = end.through(proxy).storage
    assert destination is not None
    proxy.rules.append(status(403, method="PUT", path=rf"/{names[1]}/?$"))
    with pytest.raises(AccessRefused):
        svstorage.migrate(source=source, destination=destination, buckets=names)
    assert proxy.rules[0].done >= 1
    assert list(destination.store.list(names[0])) == []
