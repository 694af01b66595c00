"""What is left behind by tries that fail, and tries where a run only looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from svstorage.errors import ConnectionFailed, Interrupted
from svstorage.model import Checksum
from svstorage.providers.local.store import LocalStore
from svstorage.strategies.base import Confirmed, Context, End, Job, Pair
from svstorage.transfer.carry import Carrier, Work
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.stop import StopToken


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
