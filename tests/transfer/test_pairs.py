"""Every pair of kinds: content, attributes, times; a second pass copies nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import product

import pytest

from tests.transfer.conftest import KINDS, Heard, Side, add_up, check, copy, sync

PAIRS = list(product(KINDS, KINDS))
SideOf = Callable[[str], Side]
TREE = {
    "a.txt": b"one",
    "b/c.json": b"{}",
    "b/d e+f%20.bin": bytes(range(256)) * 40,
    "empty": b"",
    "ü/ß.txt": b"unicode",
    "big.bin": os.urandom(9 << 20),
}


def pair(side: SideOf, kinds: tuple[str, str]) -> tuple[Side, Side]:
    source, destination = side(kinds[0]), side(kinds[1])
    for key, data in TREE.items():
        source.put(key, data)
    return source, destination


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_second_pass_copies_nothing_and_changes_are_seen(
    side: SideOf, kinds: tuple[str, str]
) -> None:
    source, destination = pair(side, kinds)
    first = sync(source, destination, journal="none")
    add_up(first)
    assert first.ok, (first.failures, first.fatal)
    assert first.counters.copied == len(TREE)
    assert destination.content() == TREE

    for journal in ("none", None, None):
        heard = Heard()
        again = sync(source, destination, journal=journal, heard=heard)
        add_up(again)
        assert again.ok
        assert again.counters.copied == 0, heard.actions()
        assert again.counters.skipped == len(TREE)

    # The same size and other bytes, with the old date where a date can be set.
    before = os.stat(source.root / "a.txt") if source.root else None
    source.put("a.txt", b"two")
    if before and source.root:
        os.utime(source.root / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    source.put("new", b"new")
    for journal in ("none", None):
        third = sync(source, destination, journal=journal)
        assert third.ok
        assert third.counters.copied == (2 if journal == "none" else 0)
    assert destination.get("a.txt") == b"two"

    # Somebody spoils the destination under the journal's nose.
    destination.put("empty", b"")
    destination.put("b/c.json", b"[]")
    fourth = sync(source, destination)
    assert fourth.ok
    assert fourth.counters.copied >= 1
    assert destination.content() == {**TREE, "a.txt": b"two", "new": b"new"}
    assert check(source, destination, read_back=True).ok


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_cp_overwrites_and_tells_what_it_used(side: SideOf, kinds: tuple[str, str]) -> None:
    source, destination = pair(side, kinds)
    destination.put("a.txt", b"old")
    destination.put("other", b"stays")
    report = copy(source, destination)
    add_up(report)
    assert report.ok
    assert report.counters.copied == len(TREE)
    assert destination.content() == {**TREE, "other": b"stays"}
    assert sum(report.strategies.values()) == len(TREE)
    if kinds == ("local", "local"):
        assert report.strategies == {"server-side": len(TREE)}


@pytest.mark.parametrize("kinds", [("s3", "s3"), ("azure", "azure")], ids="-".join)
def test_one_service_copies_inside_itself(
    side: SideOf, kinds: tuple[str, str], fault_proxy
) -> None:
    """The bytes do not come here: seen at a proxy before the service."""
    source, destination = pair(side, kinds)
    proxy = fault_proxy(source.server.endpoint)
    there = source.through(proxy)
    from dataclasses import replace

    report = sync(there, replace(destination, storage=there.storage))
    assert report.ok
    assert report.strategies == {"server-side": len(TREE)}
    assert destination.content() == TREE
    assert sum(r.received for r in proxy.requests) < 100_000
    assert sum(r.sent for r in proxy.requests) < 100_000


BIG_PAIRS = [
    ("local", "moto"), ("local", "azure"), ("moto", "local"), ("azure", "local"),
    ("moto", "azure"), ("azure", "moto"), ("moto", "moto"), ("azure", "azure"), ("local", "local"),
]  # fmt: skip


@pytest.mark.parametrize("kinds", BIG_PAIRS, ids="-".join)
def test_big_objects_too(side: SideOf, kinds: tuple[str, str], small_parts: int) -> None:
    """In parts, most services have no digest of the whole; a pass without journal knows all the
    same what it did, and sees other bytes of the same size and date."""
    source, destination = side(kinds[0]), side(kinds[1])
    old = os.urandom(1 << 20) * 11
    if source.root:
        source.put("big", old)
    else:  # as our own upload leaves it: in parts, where the service has them
        maker = side("local")
        maker.put("big", old)
        assert sync(maker, source).ok
    # Services tell whole seconds, and what lies in one second is copied once more.
    time.sleep(1.1)
    first = sync(source, destination, journal="none")
    assert first.ok, first.failures
    assert destination.content() == {"big": old}
    for _ in range(2):
        again = sync(source, destination, journal="none")
        assert again.ok
        assert again.counters.copied == 0
    new = old[:-1] + bytes([old[-1] ^ 1])
    if source.root:
        before = os.stat(source.root / "big")
        source.put("big", new)
        os.utime(source.root / "big", ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        assert maker.root
        before = os.stat(maker.root / "big")
        maker.put("big", new)
        os.utime(maker.root / "big", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert sync(maker, source, on_exists="overwrite", journal="none").ok
        assert source.content() == {"big": new}
    changed = sync(source, destination, journal="none")
    assert changed.ok
    assert changed.counters.copied == 1
    assert destination.content() == {"big": new}
