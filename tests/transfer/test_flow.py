"""Nothing piles up: no object on disk between two services, no list of objects in memory."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from svstorage.model import Entry
from svstorage.plugins import plugins
from svstorage.strategies.base import End, Pair
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.run import Hooks, Run
from tests.transfer.conftest import Side, add_up, copy
from tests.transfer.test_branches import Tree

SideOf = Callable[[str], Side]

_opened: list[tuple[str, int]] = []
_listening: list[bool] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _listening and event == "open":
        path, _, flags = args
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _opened.append((str(path), flags))


@pytest.fixture
def written() -> Iterator[list[tuple[str, int]]]:
    """Every file that this process opens for writing meanwhile (audit hooks are for good)."""
    if not getattr(sys, "_svstorage_audited", False):
        sys.addaudithook(_audit)
        sys._svstorage_audited = True  # type: ignore[attr-defined]
    _opened.clear()
    _listening.append(True)
    yield _opened
    _listening.clear()


@pytest.mark.parametrize("kinds", [("moto", "azure"), ("azure", "s3")], ids="-".join)
def test_between_services_nothing_touches_the_disk(
    side: SideOf, kinds: tuple[str, str], small_parts: int, written: list[Any]
) -> None:
    source, destination = side(kinds[0]), side(kinds[1])
    for key, size in {"small": 100, "stream": 9 << 20, "parts": 21 << 20}.items():
        source.put(key, os.urandom(1000) * (size // 1000))
    written.clear()
    report = copy(source, destination, journal="none")
    held = [path for path, _ in written if not path.startswith("/dev/") and path.isascii()]
    assert report.ok
    assert set(report.strategies) == {"native", "stream", "parts"}
    assert held == []
    assert destination.content() == source.content()


class Listing(Tree):
    """A listing made up as it goes, for both sides."""

    identity = "made up"

    def __init__(self, count: int) -> None:
        super().__init__([])
        self.count = count

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[Entry]:
        return (
            Entry(f"data/{n // 1000:06}/{n:09}.jpg", n % 7, n, f"e{n}") for n in range(self.count)
        )

    class capabilities(Tree.capabilities):
        holds_folder_markers = True
        server_side_copy = True
        is_local = True
        sets_modified = True


def peak(count: int, *, same: bool, on_result: Any = None) -> int:
    """Bytes that a dry run over so many objects takes at its peak."""
    source, destination = Listing(count), Listing(count if same else 0)
    destination.identity = "another"
    pair = Pair(End(source, "b"), End(destination, "b"))  # type: ignore[arg-type]
    run = Run(
        "sync",
        pair,
        options=TransferOptions(dry_run=True, journal="none", concurrency=4),
        default_on_exists="changed",
        registry=plugins().registry,
        hooks=Hooks(on_result=on_result),
        keep_journal=True,
    )
    destination.bucket_exists = lambda bucket: True  # type: ignore[attr-defined]
    gc.collect()
    tracemalloc.start()
    try:
        report = run.execute(lambda run, deletions: run.tree_planner(deletions))
        add_up(report)
        assert report.counters.listed == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("same", [True, False])
def test_memory_is_flat(same: bool) -> None:
    peak(2_000, same=same)
    small, large = peak(6_000, same=same), peak(24_000, same=same)
    # A list of the entries alone would take some 5 MB more.
    assert large < small + (2 << 20), (small, large)


def test_results_do_not_pile_up_before_a_slow_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """A no-op pass with a report: the planner must wait for who writes it."""
    from svstorage.transfer import ledger

    monkeypatch.setattr(ledger, "MOST_TOLD", 500)
    longest = 0
    take = ledger.Ledger.take_told

    def measured(self: ledger.Ledger) -> None:
        nonlocal longest
        longest = max(longest, len(self._told))
        take(self)

    monkeypatch.setattr(ledger.Ledger, "take_told", measured)
    heard: list[str] = []
    peak(6_000, same=True, on_result=lambda result: heard.append(result.key))
    assert len(heard) == len(set(heard)) == 6_000
    assert longest <= 500
