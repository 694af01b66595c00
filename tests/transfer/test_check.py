"""check: what differs is named, and only what must be read is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import svstorage
from svstorage.errors import ObjectNotFound
from svstorage.transfer.options import TransferOptions
from tests.servers.faultproxy import FaultProxy
from tests.transfer.conftest import KINDS, Side, add_up, check, sync
from tests.transfer.test_parts import BIG, in_parts

SideOf = Callable[[str], Side]
pytestmark = pytest.mark.usefixtures("small_parts")


@pytest.mark.parametrize("kind", KINDS)
def test_differences_are_named(side: SideOf, kind: str) -> None:
    one, two = side("local"), side(kind)
    for key in ("same", "size", "content", "missing"):
        one.put(key, b"12345")
        two.put(key, b"12345")
    two.put("size", b"123456")
    two.put("content", b"abcde")
    two.delete("missing")
    two.put("extra", b"")
    plain = check(one, two)
    add_up(plain)
    assert plain.exit_code == 1
    reasons = {d.key: d.reason for d in plain.differences}
    # Two disks and a disk and a service offer no common checksum: only reading tells.
    assert reasons == {"size": "size", "missing": "missing", "extra": "extra"}
    thorough = check(one, two, read_back=True)
    add_up(thorough)
    assert {d.key: d.reason for d in thorough.differences} == {**reasons, "content": "checksum"}
    assert not thorough.failures


def test_two_services_compare_without_reading(
    side: SideOf, fault_proxy: Callable[..., FaultProxy]
) -> None:
    one, two = side("s3"), side("azure")
    for n in range(20):
        one.put(f"k{n}", b"%d" % n * 1000)
        two.put(f"k{n}", b"%d" % n * 1000)
    two.put("k7", b"x" * 1000)
    proxies = [fault_proxy(end.server.endpoint) for end in (one, two)]
    report = check(*(end.through(proxy) for end, proxy in zip((one, two), proxies, strict=True)))
    assert [d.key for d in report.differences] == ["k7"]
    # The one that differs is looked at once more, since some ETags only look like an MD5.
    asked = [r for proxy in proxies for r in proxy.requests if "/k" in r.path]
    assert {r.method for r in asked} == {"HEAD"}
    assert len(asked) == 2


def reads(proxy: FaultProxy) -> int:
    return sum(r.received for r in proxy.requests if r.method == "GET" and r.received > 100_000)


def test_a_big_object_is_read_on_the_local_side_only(
    side: SideOf, fault_proxy: Callable[..., FaultProxy]
) -> None:
    """Its ETag is that of parts; the service tells how they were cut."""
    one, two = side("local"), side("moto")
    one.put("big", BIG)
    in_parts(two, "big", 7 << 20)
    proxy = fault_proxy(two.server.endpoint)
    through = two.through(proxy)
    assert check(one, through, read_back=True).ok
    assert check(through, one, read_back=True).ok
    assert reads(proxy) == 0
    one.put("big", BIG[:-1] + b"!")
    report = check(one, through, read_back=True)
    assert [d.key for d in report.differences] == ["big"]
    assert reads(proxy) == 0


def test_both_are_read_where_neither_tells_anything(
    side: SideOf, fault_proxy: Callable[..., FaultProxy]
) -> None:
    one, two = side("azure"), side("local")
    two.put("big", BIG)
    assert sync(two, one).ok  # in blocks: Azure then has no digest of the whole
    proxy = fault_proxy(one.server.endpoint)
    through = one.through(proxy)
    assert check(through, two).ok
    assert reads(proxy) == 0
    assert check(through, two, read_back=True).ok
    assert reads(proxy) >= len(BIG)
    two.put("big", BIG[:-1] + b"!")
    assert check(through, two).ok, "sizes are equal, and nothing else is compared"
    assert not check(through, two, read_back=True).ok


@pytest.mark.parametrize("kind", KINDS)
def test_single_objects(side: SideOf, kind: str) -> None:
    one, two = side("local"), side(kind)
    one.put("here.bin", b"12345")
    two.put("d/there.bin", b"12345")
    two.put("d/here.bin", b"12346")

    def compare(there: str, **options: Any) -> Any:
        return svstorage.check(
            f"{one.address}here.bin",
            f"{two.address}{there}",
            destination=two.storage,
            options=TransferOptions(**options),
        )

    report = compare("d/there.bin", read_back=True)
    add_up(report)
    assert report.ok
    assert report.counters.listed == 1
    report = compare("d/", read_back=True)  # the object of the same name in that folder
    assert report.exit_code == 1
    assert report.differences[0].destination == f"{two.address}d/here.bin"
    assert compare("d", read_back=True).exit_code == 1
    report = compare("nothing")
    assert [d.reason for d in report.differences] == ["missing"]
    with pytest.raises(ObjectNotFound):
        svstorage.check(
            f"{one.address}nowhere", f"{two.address}d/there.bin", destination=two.storage
        )


def test_unreadable_is_not_different(
    side: SideOf, fault_proxy: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    from svstorage.transfer import retry
    from tests.servers.faultproxy import status

    monkeypatch.setattr(retry, "FIRST_WAIT", 0.005)
    one, two = side("local"), side("azure")
    one.put("big", BIG)
    assert sync(one, two).ok
    proxy = fault_proxy(two.server.endpoint)
    proxy.rules.append(status(500, method="GET", path="/big"))
    report = check(one, two.through(proxy), read_back=True)
    add_up(report)
    assert report.exit_code == 1
    assert not report.differences
    assert [f.error_kind for f in report.failures] == ["ServiceError"]
    proxy.rules[:] = [status(500, method="GET", path="/big", times=2)]
    assert check(one, two.through(proxy), read_back=True).ok


# rclone holds no folder markers, and says so.
@pytest.mark.parametrize("kind", ["local", "moto", "azure"])
def test_markers_and_empty_folders(side: SideOf, kind: str) -> None:
    one, two = side("local"), side(kind)
    assert one.root is not None
    os.makedirs(one.root / "empty" / "deeper")
    one.put("full/x", b"x")
    assert sync(one, two).ok
    assert check(one, two).ok
    again = sync(one, two, journal="none")
    assert again.counters.copied == 0
    back = side("local")
    assert sync(two, back).ok
    assert back.root is not None
    assert (back.root / "empty" / "deeper").is_dir()
    assert sync(two, replace(back), delete=True, journal="none").counters.deleted == 0
