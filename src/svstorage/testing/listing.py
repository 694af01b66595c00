"""Listings: complete, in order, by prefix, by level, from the middle, over page borders."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from svstorage.model import CommonPrefix, Entry, key_order
from svstorage.testing.subject import Subject

# Neighbours of / in the order of bytes, and characters that UTF-16 sorts another way.
TREE = (
    "A", "a!", "a-b", "a-b/c", "a.txt", "a/0", "a/b/1", "a/b/2", "a/b-c", "a0", "aa", "b",
    "b b", "b/x", "z", "\u00e9", "\u00fc/1", "\uff5e", "\uff5e/x2", "\U0001f600", "\U0001f600b",
)  # fmt: skip


def _tree(subject: Subject) -> list[str]:
    """Stores what of the tree the store can hold: a local disk has no ``b`` beside ``b/x``."""
    held = [
        key
        for key in TREE
        if not subject.server_loses_key(key) and subject.may_put(key, key.encode())
    ]
    assert len(held) > 12
    return sorted(held, key=key_order)


def _in_order(subject: Subject, found: Sequence[str], wanted: Sequence[str]) -> None:
    if subject.store.capabilities.listing_order != "bytes":
        found = sorted(found, key=key_order)
    assert list(found) == list(wanted)


class ListingContract:
    """What `ObjectStore.list` and `ObjectStore.list_level` promise."""

    def test_empty_bucket(self, subject: Subject) -> None:
        assert subject.keys() == []
        assert subject.level() == []
        assert subject.keys(prefix="nothing/") == []
        assert subject.level("nothing/") == []

    def test_order_and_completeness(self, subject: Subject) -> None:
        held = _tree(subject)
        _in_order(subject, subject.keys(), held)

    def test_entries_agree_with_head(self, subject: Subject) -> None:
        held = _tree(subject)
        entries = {entry.key: entry for entry in subject.entries()}
        for key in held[::4]:
            head = subject.store.head(subject.bucket, key).entry
            entry = entries[key]
            assert (entry.size, entry.etag) == (len(key.encode()), head.etag)
            if entry.modified_ns is not None and head.modified_ns is not None:
                # One may be in whole seconds where the other is not.
                assert abs(entry.modified_ns - head.modified_ns) <= 1_000_000_000
            if entry.checksum is not None and head.checksum is not None:
                assert entry.checksum == head.checksum

    @pytest.mark.parametrize("prefix", ["a", "a/", "a/b", "a/b/", "b", "\uff5e", "\U0001f600", "x"])
    def test_prefix(self, subject: Subject, prefix: str) -> None:
        held = _tree(subject)
        wanted = [key for key in held if key.startswith(prefix)]
        _in_order(subject, subject.keys(prefix), wanted)

    def test_prefix_is_not_a_pattern(self, subject: Subject) -> None:
        _tree(subject)
        for prefix in ("*", "?", "[ab]", "a/../", "./", "%61", "a/b/1/"):
            assert subject.keys(prefix) == []

    @pytest.mark.parametrize(
        "after", ["A", "a", "a!", "a-b/", "a/", "a/b", "a/b/1", "a/b/zzz", "a0", "b b", "\u00e9",
                  "\uff5e", "\U0001f600b", "\U0010ffff"],
    )  # fmt: skip
    def test_start_after(self, subject: Subject, after: str) -> None:
        held = _tree(subject)
        wanted = [key for key in held if key_order(key) > key_order(after)]
        _in_order(subject, subject.keys(start_after=after), wanted)

    @pytest.mark.parametrize("after", ["a", "a/", "a/0", "a/b/1", "a/b/2", "a0", "z"])
    def test_start_after_within_a_prefix(self, subject: Subject, after: str) -> None:
        held = _tree(subject)
        wanted = [k for k in held if k.startswith("a/") and key_order(k) > key_order(after)]
        _in_order(subject, subject.keys("a/", start_after=after), wanted)

    @pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "\uff5e", "nothing"])
    def test_levels(self, subject: Subject, prefix: str) -> None:
        held = _tree(subject)
        wanted = set()
        for key in held:
            if key.startswith(prefix):
                first, slash, _ = key[len(prefix) :].partition("/")
                wanted.add(prefix + first + slash)
        found = subject.level(prefix)
        assert len(found) == len(set(found)), "a name came twice"
        _in_order(subject, found, sorted(wanted, key=key_order))

    def test_levels_tell_objects_from_prefixes(self, subject: Subject) -> None:
        subject.put_all(["top", "folder/one", "folder/two"])
        rows = {type(row): row for row in subject.store.list_level(subject.bucket)}
        assert rows[CommonPrefix] == CommonPrefix("folder/")
        top = rows[Entry]
        assert isinstance(top, Entry)
        assert (top.key, top.size) == ("top", 1)

    def test_folder_marker(self, subject: Subject) -> None:
        subject.require_key("folder/")
        if not subject.may_put("folder/", b""):
            pytest.skip("the provider refuses folder markers")
        assert subject.level() == ["folder/"]
        assert subject.keys() == ["folder/"]
        assert next(iter(subject.entries())).is_folder_marker
        subject.put("folder/x")
        below = ["folder/", "folder/x"]
        if not subject.store.capabilities.holds_folder_markers:
            below = ["folder/x"]
        assert subject.keys() == below
        assert subject.level("folder/") == below
        assert subject.level() == ["folder/"]

    def test_lists_what_is_there_now(self, subject: Subject) -> None:
        subject.put("one")
        assert subject.keys() == ["one"]
        subject.put("two")
        assert sorted(subject.keys()) == ["one", "two"]
        subject.store.delete(subject.bucket, "one")
        assert subject.keys() == ["two"]
        assert subject.level() == ["two"]

    def test_left_in_the_middle(self, subject: Subject) -> None:
        subject.put_all(f"k{n}" for n in range(5))
        for _ in range(20):
            rows = iter(subject.store.list(subject.bucket))
            assert isinstance(next(rows), Entry)
            del rows
        assert len(subject.keys()) == 5

    def test_pages(self, subject: Subject) -> None:
        """More keys than one request lists, the border inside a folder."""
        count = subject.page + 7
        keys = [f"p/{n:06d}" for n in range(count - 4)] + [f"q/{n}/x" for n in range(4)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(subject.put, keys))
        _in_order(subject, subject.keys(), keys)
        _in_order(subject, subject.keys("p/"), keys[:-4])
        middle = keys[count // 2]
        _in_order(subject, subject.keys(start_after=middle), keys[count // 2 + 1 :])
        _in_order(subject, subject.level("p/"), keys[:-4])
        _in_order(subject, subject.level(), ["p/", "q/"])
        outcomes = dict(subject.store.delete_many(subject.bucket, keys))
        assert outcomes == dict.fromkeys(keys)
        assert subject.keys() == []
