"""Ranges of keys: together they are the tree, whatever is cut where."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from svstorage.model import Capabilities, Entry, Problem, key_order
from svstorage.providers.local.store import LocalStore
from svstorage.strategies.base import End
from svstorage.transfer.merge import Both, merge
from svstorage.transfer.spans import Span, cut, listed_in, within
from svstorage.transfer.stop import StopToken


class Listed:
    """The listing of a store that needs no server: what is tested lies behind it."""

    capabilities = Capabilities()
    identity = "listed"

    def __init__(self, keys: set[str]) -> None:
        self.keys = sorted(keys, key=key_order)

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[Entry]:
        for key in self.keys:
            if key.startswith(prefix) and key_order(key) > key_order(start_after):
                yield Entry(key, 0 if key.endswith("/") else 1)


def side(keys: set[str], prefix: str) -> End:
    return End(Listed({prefix + key for key in keys}), "b", prefix)  # type: ignore[arg-type]


def joined(source: End, destination: End, span: Span | None) -> list[Any]:
    stop = StopToken()
    merged = merge(
        listed_in(source, span, stop=stop),
        listed_in(destination, span, stop=stop),
        source_prefix=source.prefix,
        destination_prefix=destination.prefix,
        markers_fold=True,
    )
    return list(merged if span is None else within(merged, span, source.prefix, destination.prefix))


def shown(rows: list[Any]) -> list[tuple[str, bool, bool]]:
    return [
        (row.key, row.source is not None, row.destination is not None)
        for row in rows
        if isinstance(row, Both)
    ]


KEYS = st.sets(st.text("ab/\u00e9\U0001f600\uffff", min_size=1, max_size=5), max_size=12)


@given(source=KEYS, destination=KEYS, cuts=KEYS)
@example(source={"d/x"}, destination={"d/"}, cuts={"d/"})
@example(source={"d/"}, destination={"d/x"}, cuts={"d/a"})
@example(source=set(), destination={"z"}, cuts=set())
def test_ranges_are_together_the_whole(
    source: set[str], destination: set[str], cuts: set[str]
) -> None:
    left, right = side(source, "in/"), side(destination, "out/")
    bounds = [None, *sorted(cuts, key=key_order), None]
    spans = [Span(after, upto) for after, upto in pairwise(bounds)]
    parts = [row for span in spans for row in shown(joined(left, right, span))]
    assert parts == shown(joined(left, right, None))


@given(keys=KEYS, first=st.integers(1, 5))
def test_the_cut_meets_end_to_end(keys: set[str], first: int) -> None:
    spans = list(cut(side(keys, "in/"), first=first))
    assert spans[0].after is None
    assert spans[-1].upto is None
    assert [span.upto for span in spans[:-1]] == [span.after for span in spans[1:]]
    assert sum(span.objects for span in spans) == len(keys)
    again = list(cut(side(keys, "in/"), after=spans[-1].after, first=first))
    assert again[0].after == spans[-1].after
    for key in keys:
        assert sum(span.holds(key) for span in spans) == 1


def test_only_one_entry_behind_a_range_is_listed() -> None:
    end = side({f"k{number:04}" for number in range(1000)}, "")
    keys = [item.key for item in listed_in(end, Span("k0100", "k0200"), stop=StopToken())]
    assert keys == [f"k{number:04}" for number in range(101, 202)]


def test_what_is_no_object_is_told_once(tmp_path: Path) -> None:
    for name in ("a", "z"):
        (tmp_path / name).write_text("")
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d/fifo")
    end = End(LocalStore.for_folder(str(tmp_path)), "")
    spans = [Span(None, "a"), Span("a", "d/f"), Span("d/f", "e"), Span("e", None)]
    found = [row for span in spans for row in joined(end, side(set(), ""), span)]
    assert [row.problem.key for row in found if not isinstance(row, Both)] == ["d/fifo"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    _hidden(tmp_path)
    end = End(LocalStore.for_folder(str(tmp_path)), "")
    spans = [Span(None, "a"), Span("a", "d/f"), Span("d/f", "e"), Span("e", None)]
    try:
        found = [
            row.problem
            for span in spans
            for row in joined(end, side(set(), ""), span)
            if not isinstance(row, Both)
        ]
    finally:
        (tmp_path / "d").chmod(0o700)
    assert [problem.key.rstrip("/") for problem in found] == ["d"]
    assert all(isinstance(problem, Problem) for problem in found)


def _hidden(root: Path) -> None:
    (root / "d").mkdir()
    for name in ("a", "d/f", "d/g", "z"):
        (root / name).write_text("")
    (root / "d").chmod(0)
