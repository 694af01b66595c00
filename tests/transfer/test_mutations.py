"""Sources that change under a copy: copied anew or told, never a mix of two versions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from svstorage.providers.local.reader import LocalReader
from tests.servers.faultproxy import FaultProxy
from tests.transfer.conftest import Side, add_up, copy, sync

SideOf = Callable[[str], Side]
pytestmark = pytest.mark.usefixtures("small_parts")
SIZES = [3 << 20, 9 << 20, 21 << 20]


def changes(path: Any, how: str) -> None:
    """What another program may do to a file that is being read."""
    before = path.stat()
    if how == "grows":
        with path.open("ab") as file:
            file.write(b"more")
    elif how == "shrinks":
        os.truncate(path, before.st_size // 2)
    elif how == "is replaced":
        other = path.with_name("other.tmp")
        other.write_bytes(b"R" * before.st_size)
        other.rename(path)
    elif how == "is rewritten with its old date":
        with path.open("r+b") as file:
            file.write(b"W" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "vanishes":
        path.unlink()


@pytest.mark.parametrize(
    ("kind", "size"), [("s3", SIZES[0]), ("azure", SIZES[1]), ("s3", SIZES[2])]
)
@pytest.mark.parametrize(
    "how", ["grows", "shrinks", "is replaced", "is rewritten with its old date", "vanishes"]
)
def test_a_file_that_changes_while_it_is_read(
    side: SideOf, kind: str, how: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svstorage.transfer import carry

    monkeypatch.setattr(carry, "LONGEST_WAIT", 0.02)
    source, destination = side("local"), side(kind)
    old = os.urandom(size)
    source.put("f", old)
    source.put("other", b"o")
    assert source.root is not None
    path = source.root / "f"
    once = threading.Lock()
    read = LocalReader.read
    count = LocalReader._count

    def tampered(self: Any, number: int, wanted: int) -> None:
        if number and self.info.entry.key == "f" and once.acquire(blocking=False):
            changes(path, how)
        count(self, number, wanted)

    monkeypatch.setattr(LocalReader, "_count", tampered)
    report = copy(source, destination)
    add_up(report)
    assert not once.acquire(blocking=False), "nothing was changed: the test tests nothing"
    assert destination.get("other") == b"o"
    assert read is LocalReader.read
    if how == "vanishes":
        if report.ok:  # an unlinked file that was open keeps its bytes: the old version, whole
            assert destination.get("f") == old
        else:
            assert report.failures[0].error_kind == "ObjectNotFound"
            assert set(destination.keys()) == {"other"}
        return
    new = path.read_bytes()
    if report.ok:
        assert destination.get("f") == new
        assert report.counters.retries >= 1
    else:
        assert set(destination.keys()) == {"other"}


@pytest.mark.faults
@pytest.mark.parametrize(
    ("pair", "size"),
    [
        (("moto", "local"), SIZES[0]),
        (("moto", "local"), SIZES[2]),
        (("azure", "local"), SIZES[1]),
        (("azure", "s3"), SIZES[2]),
    ],
)
def test_an_object_that_is_replaced_while_it_is_read(
    side: SideOf,
    pair: tuple[str, str],
    size: int,
    fault_proxy: Callable[..., FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the first GET of its bytes the next version is put in place: no two are mixed."""
    from svstorage.transfer import carry

    monkeypatch.setattr(carry, "LONGEST_WAIT", 0.02)
    source, destination = side(pair[0]), side(pair[1])
    source.put("f", b"1" * size)
    proxy = fault_proxy(source.server.endpoint)
    replaced = threading.Event()

    def put_in_place(request: Any) -> bool:
        is_read = request.method == "GET" and request.path.endswith("/f")
        if is_read and not replaced.is_set():
            replaced.set()
            source.put("f", b"2" * size)
        return False

    from tests.servers.faultproxy import delay

    proxy.rules.append(delay(0, when=put_in_place))
    report = sync(source.through(proxy), destination)
    assert replaced.is_set()
    assert report.ok, report.failures
    assert destination.get("f") == b"2" * size
    assert report.counters.retries == 1
    assert sync(source, destination, journal="none").counters.copied == 0
