"""Listings of branches ahead: the same entries in the same order, for trees of any shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svstorage.errors import ListingError, ServiceError
from svstorage.model import CommonPrefix, Entry, key_order
from svstorage.strategies.base import End
from svstorage.transfer import branches, retry
from svstorage.transfer.listing import in_order, listed
from tests.transfer.conftest import Side


class Tree:
    """A store of keys alone, which counts what it is asked. Stands for a service with millions."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys, key=key_order)
        self.lists: list[str] = []
        self.levels: list[str] = []
        self.fails: dict[str, int] = {}

    def list(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[Entry]:
        self.lists.append(prefix)
        after = key_order(start_after)
        for key in self.keys:
            if key.startswith(prefix) and (not start_after or key_order(key) > after):
                if self.fails.get(key, 0) > 0:
                    self.fails[key] -= 1
                    raise ServiceError("500")
                yield Entry(key, 1)

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Any]:
        self.levels.append(prefix)
        last = None
        for key in self.keys:
            if key.startswith(prefix):
                rest = key[len(prefix) :]
                if "/" not in rest:
                    yield Entry(key, 1)
                elif (name := prefix + rest[: rest.index("/") + 1]) != last:
                    last = name
                    yield CommonPrefix(name)

    class capabilities:
        listing_order = "bytes"
        is_local = False


def keys_of(tree: Tree, prefix: str = "") -> list[str]:
    end = End(tree, "b", prefix)  # type: ignore[arg-type]
    return [item.key for item in listed(end)]


names = st.text(st.sampled_from("ab-.0é\U0001f600"), min_size=1, max_size=2)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
odd = st.text(st.sampled_from("a/."), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@example(["a//0", "a//1", "a/0", "a/1/0", "b/0", "c/0"], "", 2, 1)
@given(
    st.lists(st.one_of(paths, odd), unique=True, max_size=80),
    st.sampled_from(["", "a", "a/", "b/a/"]),
    st.integers(1, 20),
    st.integers(1, 10),
)
def test_any_tree_is_listed_as_before(
    keys: list[str], prefix: str, look_after: int, worth: int
) -> None:
    tree = Tree(keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branches, "LOOK_AFTER", look_after)
        patch.setattr(branches, "WORTH_A_BRANCH", worth)
        assert keys_of(tree, prefix) == [key for key in tree.keys if key.startswith(prefix)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "LOOK_AFTER", 40)
    monkeypatch.setattr(branches, "WORTH_A_BRANCH", 10)
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)


def test_big_branches_are_listed_by_themselves(small: None) -> None:
    tree = Tree([f"data/p{p:02}/{n:03}" for p in range(30) for n in range(25)] + ["a", "z/z"])
    assert keys_of(tree) == tree.keys
    assert tree.levels == ["data/", ""]
    # The first two were read before it was looked at; each of the others is asked for once.
    assert sorted(tree.lists) == ["", *(f"data/p{p:02}/" for p in range(2, 30)), "z/"]


def test_small_branches_cost_no_more_requests(small: None) -> None:
    tree = Tree([f"p{p:03}/{n}" for p in range(300) for n in range(3)])
    assert keys_of(tree) == tree.keys
    assert tree.lists == [""]


def test_a_wide_level_is_left_alone(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "WIDEST", 20)
    tree = Tree([f"p{p:03}/{n:02}" for p in range(30) for n in range(20)])
    assert keys_of(tree) == tree.keys
    assert tree.lists == [""]


def test_a_branch_that_breaks_off_is_taken_up_or_ends_the_listing(small: None) -> None:
    tree = Tree([f"p{p:02}/{n:02}" for p in range(10) for n in range(30)])
    tree.fails = {"p07/13": 3, "p02/01": 1}
    assert keys_of(tree) == tree.keys
    tree.fails = {"p07/13": 10_000}
    got = []
    with pytest.raises(ServiceError):
        for item in listed(End(tree, "b")):  # type: ignore[arg-type]
            got.append(item.key)
    assert got == tree.keys[: tree.keys.index("p07/13")]


def test_a_branch_told_twice_is_noticed(small: None) -> None:
    """The order of the whole is checked behind the branches, not only within them."""
    tree = Tree([f"p{p:02}/{n:02}" for p in range(10) for n in range(30)])
    level = tree.list_level

    def twice(bucket: str, prefix: str = "") -> Iterator[Any]:
        rows = list(level(bucket, prefix))
        yield from [*rows[:5], rows[4], *rows[5:]]

    tree.list_level = twice  # type: ignore[method-assign]
    with pytest.raises(ListingError, match=r"twice|out of order"):
        keys_of(tree)


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_over_a_real_service(side: Callable[[str], Side], kind: str, small: None) -> None:
    there = side(kind)
    for p in range(5):
        for n in range(11):
            there.put(f"d/p{p}/{n:02}", b"")
    there.put("d/zz", b"")
    assert there.storage is not None
    end = End(there.storage.store, there.bucket, "d/")
    asked: list[str] = []
    level = there.storage.store.list_level

    def counted(bucket: str, prefix: str = "") -> Any:
        asked.append(prefix)
        return level(bucket, prefix)

    there.storage.store.list_level = counted  # type: ignore[method-assign]
    found = [item.key for item in in_order(listed(end), "here")]
    assert asked == ["d/"]
    assert found == sorted(there.keys())
