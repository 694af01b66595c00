"""What is carried beside the bytes: content headers, user metadata, times, tags."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import product

import pytest

from svstorage.strategies.attributes import format_mtime, parse_mtime
from tests.transfer.conftest import Side, copy, sync

SideOf = Callable[[str], Side]
REMOTE = ("moto", "azure")
HEADERS = {
    "content_type": "application/x-odd",
    "cache_control": "max-age=60",
    "content_encoding": "gzip",
    "content_language": "de",
    "content_disposition": 'attachment; filename="x.bin"',
}
METADATA = {"owner": "me", "camera": "left"}
SIZES = {"small": 10, "stream": 9 << 20, "parts": 11 << 20}
pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kinds", list(product(REMOTE, REMOTE)), ids="-".join)
def test_headers_and_metadata_between_services(
    side: SideOf, kinds: tuple[str, str], size: str
) -> None:
    source, destination = side(kinds[0]), side(kinds[1])
    data = os.urandom(1 << 20) * (SIZES[size] >> 20) or b"0123456789"
    source.put("x/y.bin", data, **HEADERS, metadata=METADATA)
    report = copy(source, destination)
    assert report.ok, report.failures
    found = destination.head("x/y.bin")
    assert {name: found[name] for name in HEADERS} == HEADERS
    assert METADATA.items() <= found["metadata"].items()
    assert destination.get("x/y.bin") == data


@pytest.mark.parametrize("kinds", list(product(REMOTE, REMOTE)), ids="-".join)
def test_through_a_local_disk_and_back(side: SideOf, kinds: tuple[str, str]) -> None:
    source, middle, destination = side(kinds[0]), side("local"), side(kinds[1])
    source.put("y.bin", b"data", **HEADERS, metadata={**METADATA, "mtime": "1600000000.123456789"})
    assert copy(source, middle).ok
    assert middle.root
    assert os.stat(middle.root / "y.bin").st_mtime_ns == 1600000000123456789
    assert copy(middle, destination).ok
    found = destination.head("y.bin")
    assert {name: found[name] for name in HEADERS} == HEADERS
    assert found["metadata"].items() >= {**METADATA, "mtime": "1600000000.123456789"}.items()


@pytest.mark.parametrize("kind", ["local", "moto", "azure"])
@pytest.mark.parametrize("size", SIZES)
def test_time_of_a_file_survives_the_round_trip(side: SideOf, kind: str, size: str) -> None:
    here, there, back = side("local"), side(kind), side("local")
    here.put("f.txt", b"x" * SIZES[size])
    assert here.root
    assert back.root
    os.utime(here.root / "f.txt", ns=(1, 1_500_000_000_987_654_321))
    assert sync(here, there).ok
    if kind != "local":
        # As rclone and s3fs write it, so that they understand it.
        assert there.head("f.txt")["metadata"]["mtime"] == "1500000000.987654321"
        assert there.head("f.txt")["content_type"] == "text/plain"
    if kind == "azure" and size == "parts":
        time.sleep(1.1)  # it has no digest then, and tells whole seconds (see test_pairs)
    assert sync(there, back).ok
    assert os.stat(back.root / "f.txt").st_mtime_ns == 1_500_000_000_987_654_321
    again = sync(there, back, journal="none")
    assert again.ok
    assert again.counters.copied == 0


@pytest.mark.parametrize("kinds", list(product(REMOTE, REMOTE)), ids="-".join)
@pytest.mark.parametrize("size", ["small", "parts"])
def test_tags_by_choice(side: SideOf, kinds: tuple[str, str], size: str) -> None:
    source, destination = side(kinds[0]), side(kinds[1])
    tags = {"set": "train", "lot": "7"}
    more = {"tags": "set=train&lot=7"} if kinds[0] == "moto" else {"tags": tags}
    source.put("t", b"t" * SIZES[size], **more)
    if kinds[0] != kinds[1]:
        assert copy(source, destination).ok
        assert _tags(destination, "t") == {}
    assert copy(source, destination, tags=True).ok
    assert _tags(destination, "t") == tags


def _tags(side: Side, key: str) -> dict[str, str]:
    if side.kind == "azure":
        return side.client.get_blob_client(side.bucket, key).get_blob_tags()
    found = side.client.get_object_tagging(Bucket=side.bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1600000000", 1_600_000_000 * 10**9),  # s3fs-fuse
        ("1600000000.5", 1_600_000_000_500_000_000),  # rclone on S3
        ("2020-09-13T12:26:40.123456789Z", 1_600_000_000_123_456_789),  # rclone on Azure
        ("2020-09-13T14:26:40+02:00", 1_600_000_000 * 10**9),
        ("-1.5", -1_500_000_000),
        ("", None), ("yesterday", None), ("nan", None), ("1e400", None),
        ("2020-13-40T00:00:00Z", None),
    ],
)  # fmt: skip
def test_forms_of_a_recorded_time(text: str, expected: int | None) -> None:
    assert parse_mtime(text) == expected


@pytest.mark.parametrize("ns", [0, 1, 999_999_999, 10**18 + 1, -1, -1_500_000_000])
def test_a_written_time_reads_back_exactly(ns: int) -> None:
    assert parse_mtime(format_mtime(ns)) == ns
