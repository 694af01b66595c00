"""The merge join against a dictionary, and listings that must not be believed."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svstorage
from svstorage.errors import ListingError, ServiceError
from svstorage.model import Checksum, Entry, Problem, key_order
from svstorage.providers.local.store import LocalStore
from svstorage.strategies.base import End
from svstorage.transfer import branches, retry
from svstorage.transfer.ahead import ReadAhead
from svstorage.transfer.listing import in_order, listed, sorted_on_disk
from svstorage.transfer.merge import Both, merge
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.stop import StopToken
from tests.transfer.conftest import Side, add_up, sync

# Few letters, so that the sides share keys; some that sort by bytes otherwise than by UTF-16.
keys = st.text(st.sampled_from("ab/.-é\U0001f600\uff5e\udc80"), min_size=1, max_size=5)
sizes = st.integers(0, 3)
trees = st.dictionaries(keys, sizes, max_size=30)


def entries(tree: dict[str, int], prefix: str = "") -> Iterator[Entry]:
    for key in sorted(tree, key=key_order):
        yield Entry(prefix + key, tree[key])


@given(trees, trees)
def test_merge_is_what_two_dictionaries_say(left: dict[str, int], right: dict[str, int]) -> None:
    found = list(
        merge(
            entries(left, "src/"),
            entries(right, "deep/dst/"),
            source_prefix="src/",
            destination_prefix="deep/dst/",
        )
    )
    assert all(isinstance(both, Both) for both in found)
    assert [both.key for both in found] == sorted({*left, *right}, key=key_order)
    for both in found:
        assert (both.source and both.source.size) == left.get(both.key)
        assert (both.destination and both.destination.size) == right.get(both.key)


@given(trees, trees)
def test_folder_markers_fold_only_into_what_lies_below_them(
    left: dict[str, int], right: dict[str, int]
) -> None:
    """On a disk a folder is told only while it is empty: its marker is there all the same."""

    def has_below(tree: dict[str, int], marker: str) -> bool:
        return any(key.startswith(marker) and key != marker for key in tree)

    found = {
        both.key: both
        for both in merge(entries(left), entries(right), markers_fold=True)
        if isinstance(both, Both)
    }
    for key in {*left, *right}:
        size = left.get(key, right.get(key))
        marker = key.endswith("/") and size == 0
        if key in left and key in right:
            assert found[key].source is not None
            assert found[key].destination is not None
        elif marker and key in left and has_below(right, key):
            assert found[key].destination is not None, "it would be made again and again"
        elif marker and key in right and has_below(left, key):
            assert key not in found, "it would be deleted"
        else:
            assert (found[key].source is None) == (key not in left)
            assert (found[key].destination is None) == (key not in right)


def test_problems_pass_through_from_both_sides() -> None:
    left = iter([Problem("x", "unreadable"), Entry("a", 1)])
    right = iter([Entry("a", 1), Problem("y", "loop")])
    told = [(one.side, one.problem.key) for one in merge(left, right) if not isinstance(one, Both)]
    assert told == [("source", "x"), ("destination", "y")]


@pytest.mark.parametrize(
    ("order", "how"), [(["a", "c", "b"], "out of order"), (["a", "b", "b"], "twice")]
)
def test_a_listing_out_of_order_or_twice_is_an_error(order: list[str], how: str) -> None:
    passed = []
    with pytest.raises(ListingError, match=how):
        for one in in_order(iter([Entry(key, 1) for key in order]), "somewhere"):
            passed.append(one)
    assert [one.key for one in passed if isinstance(one, Entry)] == order[:2]


@settings(max_examples=30)
@given(st.lists(keys, unique=True, max_size=40), st.randoms())
def test_any_order_is_sorted_on_disk(names: list[str], random: Any) -> None:
    random.shuffle(names)
    wanted = [
        Entry(name, n, n * 10**9, f"e{n}", Checksum("md5", "0" * 32), n)
        for n, name in enumerate(names)
    ]
    found = list(sorted_on_disk(lambda: iter([*wanted, Problem("p", "why")]), StopToken()))
    assert found[0] == Problem("p", "why")
    assert found[1:] == sorted(wanted, key=lambda e: key_order(e.key))


def test_an_unordered_listing_that_breaks_off_begins_anew() -> None:
    calls = []

    def start() -> Iterator[Entry | Problem]:
        calls.append(1)
        yield Entry("b", 1)
        yield Problem("p", "why")
        if len(calls) == 1:
            raise ServiceError("cut")
        yield Entry("a", 1)

    found = list(sorted_on_disk(start, StopToken()))
    assert found == [Problem("p", "why"), Entry("a", 1), Entry("b", 1)]
    assert len(calls) == 2


def test_branches_are_only_listed_ahead_where_the_service_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "LOOK_AFTER", 4)
    monkeypatch.setattr(branches, "WORTH_A_BRANCH", 1)
    for name in ("a/1", "a/2", "b/1", "b/2", "c/1", "c/2", "d/1"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    store = LocalStore.for_folder(str(tmp_path))
    asked = []

    def busy(bucket: str, prefix: str = "") -> Iterator[Entry]:
        asked.append(prefix)
        raise ServiceError("busy")

    monkeypatch.setattr(store, "list_level", busy)
    found = branches.in_branches(End(store, ""), lambda prefix: store.list("", prefix))
    assert [e.key for e in found] == ["a/1", "a/2", "b/1", "b/2", "c/1", "c/2", "d/1"]
    assert asked


class Told(LocalStore):
    """A real store that tells its listing as a test wants it."""

    tell: Callable[[list[Entry | Problem]], Iterator[Entry | Problem]] = staticmethod(iter)
    unordered = False
    calls = 0

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Any:
        self.calls += 1
        return type(self).tell(list(super().list(bucket, prefix, start_after=start_after)))

    @property
    def capabilities(self) -> Any:
        found = super().capabilities
        order = "unordered" if self.unordered else "bytes"
        return dataclasses.replace(found, listing_order=order)


def broken_sync(
    monkeypatch: pytest.MonkeyPatch, source: Side, destination: Side, tell: Any, *, side: str
) -> Any:
    """`sync --delete` where the listing of one side is told by ``tell``."""
    real = LocalStore.for_folder.__func__  # type: ignore[attr-defined]
    root = str((source if side == "source" else destination).root)
    told = type("ToldHere", (Told,), {"tell": staticmethod(tell)})

    def for_folder(cls: Any, path: Any, **more: Any) -> Any:
        return real(told if str(path) == root else LocalStore, path, **more)

    monkeypatch.setattr(LocalStore, "for_folder", classmethod(for_folder))
    return sync(source, destination, delete=True, max_delete=1000, journal="none")


def swapped(items: list[Any]) -> Iterator[Any]:
    items[3], items[4] = items[4], items[3]
    return iter(items)


def doubled(items: list[Any]) -> Iterator[Any]:
    return iter([*items[:3], items[2], *items[3:]])


def broken_off(items: list[Any]) -> Iterator[Any]:
    yield from items[:3]
    raise ListingError("the page is not the last but names no next one")


def partly_unreadable(items: list[Any]) -> Iterator[Any]:
    yield from items[:3]
    yield Problem("d/", "permission denied")
    yield from items[4:]


@pytest.mark.parametrize("which", ["source", "destination"])
@pytest.mark.parametrize("tell", [swapped, doubled, broken_off, partly_unreadable])
def test_nothing_is_deleted_on_account_of_a_bad_listing(
    side: Callable[[str], Side], monkeypatch: pytest.MonkeyPatch, tell: Any, which: str
) -> None:
    source, destination = side("local"), side("local")
    for n in range(6):
        source.put(f"k{n}", b"new")
        destination.put(f"k{n}", b"old!")
        destination.put(f"z{n}", b"only here")
    report = broken_sync(monkeypatch, source, destination, tell, side=which)
    add_up(report)
    assert report.exit_code == 1
    assert report.counters.deleted == 0
    assert destination.keys().keys() >= {f"z{n}" for n in range(6)}
    if tell is partly_unreadable:
        # The rest was copied all the same.
        assert destination.get("k5") == b"new"
        assert any("could not be read" in w for w in report.warnings)
    else:
        assert report.fatal


def test_a_store_that_lists_in_any_order_is_synced_right(
    side: Callable[[str], Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, destination = side("local"), side("local")
    for n in range(40):
        source.put(f"d{n % 7}/k{n}", b"%d" % n)
        destination.put(f"d{n % 5}/k{n}", b"%d" % n)
    monkeypatch.setattr(Told, "unordered", True)

    def backwards(items: list[Any]) -> Iterator[Any]:
        return reversed(items)

    report = broken_sync(monkeypatch, source, destination, backwards, side="source")
    assert report.ok, report.fatal
    assert report.counters.deleted > 0
    assert destination.content() == source.content()


def test_a_listing_is_taken_up_behind_its_last_key(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    for n in range(30):
        (tmp_path / f"k{n:02}").write_bytes(b"")
    failures = [ServiceError("500"), ServiceError("500"), ServiceError("500")]

    def tell(items: list[Any]) -> Iterator[Any]:
        for n, item in enumerate(items):
            if n == 7 and failures:
                raise failures.pop()
            yield item

    store = type("ToldHere", (Told,), {"tell": staticmethod(tell)}).for_folder(tmp_path)
    found = [item.key for item in listed(End(store, ""))]
    assert found == [f"k{n:02}" for n in range(30)]
    assert store.calls == 4


def test_a_listing_that_keeps_failing_ends(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    (tmp_path / "a").write_bytes(b"")

    def tell(items: list[Any]) -> Iterator[Any]:
        raise ServiceError("500")
        yield  # type: ignore[unreachable]

    store = type("ToldHere", (Told,), {"tell": staticmethod(tell)}).for_folder(tmp_path)
    with pytest.raises(ServiceError):
        list(listed(End(store, "")))
    assert store.calls == retry.ATTEMPTS


def test_reading_ahead_is_bounded_and_ends_when_closed() -> None:
    made = 0
    ended = threading.Event()

    def endless() -> Iterator[int]:
        nonlocal made
        try:
            while True:
                made += 1
                yield made
        finally:
            ended.set()

    ahead = ReadAhead(endless, "test")
    assert [next(ahead) for _ in range(1000)] == list(range(1, 1001))
    ahead.close()
    assert ended.wait(5)
    assert made < 1000 + 12 * 512
    assert list(ahead) == []


def test_an_error_comes_after_all_that_came_before_it() -> None:
    def failing() -> Iterator[int]:
        yield from range(700)
        raise ListingError("broke off")

    got = []
    with pytest.raises(ListingError):
        for n in ReadAhead(failing, "test"):
            got.append(n)
    assert got == list(range(700))


def test_same_folder_by_two_ways_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"1")
    os.symlink(tmp_path / "a", tmp_path / "b")
    with pytest.raises(svstorage.StorageError) as caught:
        svstorage.sync(f"{tmp_path}/a/", f"{tmp_path}/b/", options=TransferOptions(delete=True))
    assert caught.value.exit_code == 2
