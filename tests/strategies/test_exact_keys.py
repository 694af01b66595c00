"""`obstore_keeps` held against obstore itself, and exotic keys through whole copies."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, cast

import obstore
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from svstorage.providers.base import NativeStore
from svstorage.strategies.exact_keys import obstore_keeps
from tests.transfer.conftest import Heard, Side, add_up, copy, sync

SideOf = Callable[[str], Side]

ODD = [
    "a//b", "/lead", "trail/", "./a", "a/./b", "../a", "a/../b", "..", ".", "a/..", "a/.",
    "tab\there", "line\nend", "cr\r", "nul\x01", "del\x7f", "//", "/", "a/b//", "",
]  # fmt: skip
PLAIN = [
    "a", "a/b", "%20", "a%2Fb", "50%", "a+b", "a&b=c?d#e", "#1", "file#1", "a\\b", "a:b", "*",
    "[x]", "{y}", "^", '"', "'", "~", "$HOME", " lead", "trail ", " ", "é", "e\u0301", "\U0001f600",
    "\u202e", "\u200b", "...", "a/...", ".hidden", "a/.b", "x" * 1000, "-rf", "a;b", "a@b", "<a>",
    "|", "`", ",", "!", "(a)", ".svstorage-x", "\u00a0", "\u0085",
]  # fmt: skip


def listed_by_obstore(key: str) -> list[str] | None:
    """What a store of obstore's lists after one put of ``key``; None where it refuses."""
    store = MemoryStore()
    try:
        obstore.put(store, key, b"x")
        assert bytes(obstore.get(store, key).bytes()) == b"x"
    except (ValueError, UnicodeError, obstore.exceptions.BaseError):
        return None
    return [meta["path"] for page in obstore.list(store) for meta in page]


@settings(max_examples=400)
@given(st.text(st.one_of(st.sampled_from("a./\\%+#?\n\t "), st.characters()), max_size=8))
@example("a\udc80")
def test_what_we_give_to_obstore_it_keeps(key: str) -> None:
    if obstore_keeps(key):
        assert listed_by_obstore(key) == [key]


@pytest.mark.parametrize("key", ODD)
def test_what_obstore_alters_or_refuses_is_not_given_to_it(key: str) -> None:
    assert listed_by_obstore(key) != [key]
    assert not obstore_keeps(key)


@pytest.mark.parametrize("key", PLAIN)
def test_plain_keys_take_the_fast_lane(key: str) -> None:
    assert listed_by_obstore(key) == [key]
    assert obstore_keeps(key)


@pytest.mark.parametrize("kind", ["moto", "azure"])
def test_kept_over_the_wire_too(side: SideOf, kind: str) -> None:
    """The rule is obstore's parser's; the encoding of URLs could still break it."""
    there = side(kind)
    assert there.storage is not None
    native: Any = cast(NativeStore, there.storage.store).native(there.bucket)
    # Azurite folds backslashes, and neither service nor XML has room for some others.
    keys = [key for key in PLAIN if len(key) < 900 and not (kind == "azure" and "\\" in key)]
    for key in keys:
        obstore.put(native, key, key.encode(), use_multipart=False)
    assert set(there.keys()) == set(keys)
    for key in keys:
        assert bytes(obstore.get(native, key).bytes()) == key.encode()


# moto keeps these; Azure cannot hold dot segments under a URL.
BETWEEN = [
    "a//b", "/lead", "trail/", "plain", "tab\there", "a+b", "a%2Fb", "é", "e\u0301", " lead",
    "trail ", "\U0001f600", "a/b", "-rf", "*[x]?", "%", "&=;#", "x" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("kinds", list(product(["moto"], ["moto", "azure"])), ids="-".join)
def test_odd_keys_arrive_exact_by_another_way(side: SideOf, kinds: tuple[str, str]) -> None:
    source, destination = side(kinds[0]), side(kinds[1])
    keys = [key for key in BETWEEN if not (kinds[1] == "azure" and key in AZURITE_CANNOT)]
    for key in keys:
        source.put(key, b"content of " + key.encode())
    heard = Heard()
    report = copy(source, destination, heard=heard)
    add_up(report)
    assert report.ok, report.failures
    assert {r.key for r in heard.results} == set(keys)
    assert destination.content() == {key: b"content of " + key.encode() for key in keys}
    again = sync(source, destination, journal="none")
    assert again.ok
    assert again.counters.copied == 0


# Azurite resolves a tab away and refuses some names that the service itself would take.
AZURITE_CANNOT = {"tab\there", "/lead", "a//b"}


def test_keys_that_a_disk_cannot_hold_fail_by_name(side: SideOf) -> None:
    source, destination = side("moto"), side("local")
    good = ["plain", "tab\there", "a+b", "a%2Fb", "é", "e\u0301", " lead", "-rf", "*[x]?", "d/e"]
    bad = ["a//b", "/lead", "d/../e", "../escape", "x" * 300, "d"]
    for key in (*good, *bad):
        source.put(key, b"c")
    report = copy(source, destination)
    add_up(report)
    assert report.exit_code == 1
    # "d" and "d/e" cannot both be files: one of them is there, the other is named.
    failed = {f.key for f in report.failures}
    assert failed - {"d", "d/e"} == set(bad) - {"d"}
    assert len(failed & {"d", "d/e"}) == 1
    assert set(destination.keys()) == {*good, "d"} - failed
    assert destination.root is not None
    assert not (destination.root.parent / "escape").exists()


def test_a_file_whose_name_is_not_utf8_fails_by_name(side: SideOf) -> None:
    source, destination = side("local"), side("moto")
    assert source.root is not None
    (source.root / "good").write_bytes(b"g")
    with open(bytes(source.root) + b"/bad\xff", "wb") as file:
        file.write(b"b")
    report = copy(source, destination)
    add_up(report)
    assert report.exit_code == 1
    assert [f.key for f in report.failures] == ["bad\udcff"]
    assert destination.keys() == {"good": 1}
