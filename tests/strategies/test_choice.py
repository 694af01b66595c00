"""One rule: the cheapest strategy that can carry; and plans of parts within every limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svstorage.errors import KeyNotSupported
from svstorage.model import Entry, PartLimits, Stored
from svstorage.plugins import plugins
from svstorage.providers.azure.objects import PART_LIMITS as AZURE
from svstorage.providers.s3.limits import LIMITS as S3
from svstorage.strategies.base import Confirmed, Context, End, Job, Pair
from svstorage.strategies.digest import PartsDigest, joined, likely_parts
from svstorage.strategies.part_plan import MIB, part_ranges, part_size
from svstorage.transfer.carry import Carrier
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Work
from tests.transfer.conftest import Side

SideOf = Callable[[str], Side]
GIB = 1 << 30


def carrier(*strategies: Any, **options: Any) -> Carrier:
    return Carrier(strategies, TransferOptions(**options), stop=StopToken())


def job_between(source: Side, destination: Side, key: str, size: int) -> Job:
    ends = []
    for one in (source, destination):
        if one.storage is not None:
            ends.append(End(one.storage.store, one.bucket))
        else:
            from svstorage.providers.local.store import LocalStore

            ends.append(End(LocalStore.for_folder(one.root or ""), ""))
    return Job(Pair(*ends), Entry(key, size), key)


class Costs:
    """A strategy with a price; carries nothing."""

    summary = "for tests"

    def __init__(self, name: str, cost: float | None) -> None:
        self.name = name
        self._cost = cost

    def can_carry(self, job: Job) -> float | None:
        return self._cost

    def carry(self, job: Job, context: Context) -> Confirmed:
        return Confirmed(Stored(job.entry.size))


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=1, max_size=6))
def test_the_cheapest_that_can(costs: list[float | None]) -> None:
    job = Job(None, Entry("k", 1), "k")  # type: ignore[arg-type]
    made = [Costs(str(n), cost) for n, cost in enumerate(costs)]
    able = [(cost, n) for n, cost in enumerate(costs) if cost is not None]
    if not able:
        with pytest.raises(KeyNotSupported):
            carrier(*made).choose(job)
    else:
        assert carrier(*made).choose(job).name == str(min(able)[1])


def test_one_that_failed_is_taken_again_only_where_no_other_can() -> None:
    job = Job(None, Entry("k", 1), "k")  # type: ignore[arg-type]
    first, second = Costs("first", 1), Costs("second", 10)
    assert carrier(first, second).choose(job, rather_not="first") is second
    assert carrier(first).choose(job, rather_not="first") is first


CASES = [
    ("local", "local", "k", 10, "server-side"),
    ("local", "local", "k", 10 * GIB, "server-side"),
    ("moto", "moto2", "k", 10 * GIB, "server-side"),
    ("local", "moto", "k", 10, "native"),
    ("local", "moto", "k", 9 * MIB, "stream"),
    ("local", "moto", "k", 64 * MIB, "parts"),
    ("moto", "local", "k", 64 * MIB, "parts"),
    ("azure", "moto", "k", 10, "native"),
    ("moto", "azure", "k", 300 * GIB, "parts"),
    ("moto", "azure", "d/", 0, "marker"),
]


@pytest.mark.parametrize(("one", "two", "key", "size", "expected"), CASES)
def test_what_carries_what(
    side: SideOf, one: str, two: str, key: str, size: int, expected: str
) -> None:
    source = side(one)
    destination = replace(source) if two == "moto2" else side(two)
    job = job_between(source, destination, key, size)
    chosen = carrier(*plugins().registry.strategies.values()).choose(job)
    assert chosen.name == expected


def test_an_object_that_nothing_can_carry_fails_by_name(side: SideOf) -> None:
    source, destination = side("local"), side("moto")
    job = job_between(source, destination, "k", 60 << 40)
    outcome = carrier(*plugins().registry.strategies.values(), retries=0).carry(Work(job, "k"))
    assert outcome.result.status == "failed"


@given(st.data(), st.sampled_from([S3, AZURE]))
def test_no_plan_breaks_a_limit(data: st.DataObject, limits: PartLimits) -> None:
    size = data.draw(st.integers(1, limits.max_object))
    part = part_size(size, limits)
    count = -(-size // part)
    assert limits.min_part <= part <= limits.max_part
    assert count <= limits.max_parts
    last = size - (count - 1) * part
    assert 0 < last <= part


@given(st.integers(0, 500), st.integers(1, 60))
def test_ranges_cover_everything_once(size: int, part: int) -> None:
    ranges = part_ranges(size, part)
    assert [number for number, _, _ in ranges] == list(range(1, len(ranges) + 1))
    covered = [byte for _, start, length in ranges for byte in range(start, start + length)]
    assert covered == list(range(size))


@pytest.mark.parametrize(
    ("size", "limits"), [(S3.max_object + 1, S3), (AZURE.max_object + 1, AZURE)]
)
def test_too_large_is_told_before_a_byte_is_sent(size: int, limits: PartLimits) -> None:
    with pytest.raises(KeyNotSupported):
        part_size(size, limits)


@given(st.binary(max_size=200), st.integers(1, 50), st.lists(st.integers(1, 30), max_size=20))
def test_digest_of_parts_in_any_chunks(data: bytes, part: int, cuts: list[int]) -> None:
    import hashlib

    digest = PartsDigest(part)
    rest = data
    for cut in cuts:
        digest.update(rest[:cut])
        rest = rest[cut:]
    digest.update(rest)
    pieces = [data[n : n + part] for n in range(0, len(data), part)]
    assert digest.checksum() == joined([hashlib.md5(p).digest() for p in pieces])


def test_likely_parts_are_those_of_common_tools() -> None:
    from svstorage.model import Checksum

    def tag(count: int) -> Checksum:
        return Checksum("etag-multipart", f"{'0' * 32}-{count}")

    assert likely_parts(100 * MIB, tag(13)) == [8 * MIB]
    assert likely_parts(100 * MIB, tag(7)) == [16 * MIB, 15 * MIB]
    assert likely_parts(100 * MIB, tag(1)) == [100 * MIB]
    assert likely_parts(100 * MIB, tag(99)) == []
