"""Keys are exact: held under exactly that name, or refused by `KeyNotSupported`; never renamed."""

from __future__ import annotations

import pytest

from svstorage.errors import KeyNotSupported, ObjectNotFound
from svstorage.model import key_order
from svstorage.testing.subject import Subject, content

KEYS: dict[str, str] = {
    "plain": "plain.txt",
    "nested": "a/b/c.txt",
    "two-slashes": "a//b",
    "three-slashes": "a///b",
    "leading-slash": "/lead",
    "leading-slashes": "//lead",
    "trailing-slash": "trail/",
    "trailing-slashes": "trail//",
    "slash-alone": "/",
    "dot": ".",
    "dots": "..",
    "dot-inside": "a/./b",
    "dots-inside": "a/../b",
    "dots-escape": "../../escape",
    "dots-at-end": "a/..",
    "dot-first": "./a",
    "hidden": ".hidden/.file",
    "trailing-dot": "name.",
    "segment-trailing-dot": "name./x",
    "percent-slash": "a%2Fb",
    "percent-slash-lower": "a%2fb",
    "percent-percent": "100%25 and %",
    "percent-nul": "a%00b",
    "space": "a b",
    "spaces-at-ends": "  both ends  ",
    "space-segment": "a/ /b",
    "plus": "a+b",
    "plus-and-space": "a+b c%20d",
    "question": "a?versionId=x",
    "question-prefix": "?prefix=a&list-type=2",
    "hash": "a#fragment",
    "glob": "*[x]?{y}",
    "globs-deep": "**/*.txt",
    "option": "-rf",
    "options": "--help/-n",
    "quotes": "\"double\" 'single' `back`",
    "shell": "$HOME;rm&|<>!~",
    "xml": "<a>&amp;]]></a>",
    "backslash": "a\\b",
    "backslash-dots": "a\\..\\b",
    "drive": "C:\\x",
    "colon": "C:x",
    "url": "https://host/path",
    "tab": "a\tb",
    "newline": "a\nb",
    "return": "a\rb",
    "return-newline": "a\r\nb",
    "escape": "a\x1b[31mb",
    "control": "a\x01b",
    "unit-separator": "a\x1fb",
    "delete": "a\x7fb",
    "c1-control": "a\x85b",
    "nul": "a\x00b",
    "nfc": "caf\u00e9",
    "nfd": "cafe\u0301",
    "case-lower": "readme",
    "case-upper": "README",
    "emoji": "\U0001f600/\U0001f468\u200d\U0001f469\u200d\U0001f467.png",
    "bidi": "a\u202etxt.exe",
    "zero-width": "a\u200bb",
    "no-break-space": "a\u00a0b",
    "line-separator": "a\u2028b",
    "bmp-end": "a\uff5eb",
    "replacement": "a\ufffdb",
    "non-character": "a\uffffb",
    "cjk": "\u65e5\u672c\u8a9e/\u30d5\u30a1\u30a4\u30eb",
    "bytes-255": "n" * 255,
    "bytes-1024": "/".join(["d" * 127] * 8)[:1024].ljust(1024, "e"),
    "bytes-1024-unicode": "\u20ac/" + "\u20ac" * 60 + ("/" + "\u20ac" * 60) * 4 + "/" + "z" * 103,
    "our-temporary-name": ".svstorage-tmp-0123456789abcdef~",
    "our-temporary-part": "x/.svstorage-part-0123456789abcdef~",
    "reserved-name": "CON/nul.txt",
}
"""Every odd key by a plain name for test ids."""

LOOKALIKES: dict[str, tuple[str, ...]] = {
    "slashes": ("a//b", "a/b", "/a/b", "a/b/"),
    "dots": ("a/../b", "b", "./b", "a/./b"),
    "percent": ("a%2Fb", "a/b", "a%2fb", "a%252Fb"),
    "plus": ("a+b", "a b", "a%20b", "a%2Bb"),
    "unicode": ("caf\u00e9", "cafe\u0301", "cafe"),
    "case": ("readme", "README", "Readme"),
    "query": ("a", "a?versionId=x", "a#b", "a?"),
    "backslash": ("a\\b", "a/b", "a%5Cb"),
    "trailing": ("x", "x/", "x.", "x "),
    "spaces": ("y", " y", "y ", "y\t"),
    "glob": ("g*", "g[1]", "g1", "g?"),
}
"""Keys that careless software takes for one another."""


class KeysContract:
    """Section 2 of the contract, key by key and together."""

    @pytest.mark.parametrize("name", KEYS)
    def test_key_is_kept_exactly_or_refused(self, subject: Subject, name: str) -> None:
        key = KEYS[name]
        subject.require_key(key)
        data = content(name, 100)
        if not subject.may_put(key, data):
            # Nothing else may answer for it, and nothing was stored in its place.
            with pytest.raises((KeyNotSupported, ObjectNotFound)):
                subject.store.head(subject.bucket, key)
            with pytest.raises((KeyNotSupported, ObjectNotFound)):
                subject.get(key)
            assert subject.keys() == []
            return
        assert subject.keys() == [key]
        assert subject.keys(prefix=key) == [key]
        assert subject.store.head(subject.bucket, key).entry.key == key
        assert subject.store.head(subject.bucket, key).entry.size == len(data)
        assert subject.get(key) == data
        subject.store.delete(subject.bucket, key)
        assert subject.keys() == []

    @pytest.mark.parametrize("name", KEYS)
    def test_key_is_found_by_level(self, subject: Subject, name: str) -> None:
        key = KEYS[name]
        subject.require_key(key)
        if not subject.may_put(key, b"x"):
            pytest.skip("the provider refuses this key")
        prefix, seen = "", []
        for _ in range(key.count("/") + 1):
            (row,) = subject.level(prefix)
            seen.append(row)
            if row == key and not (key.endswith("/") and len(row) == len(prefix)):
                break
            assert row.endswith("/")
            assert key.startswith(row)
            prefix = row
        assert seen[-1] == key

    @pytest.mark.parametrize("name", LOOKALIKES)
    def test_lookalikes_stay_apart(self, subject: Subject, name: str) -> None:
        held: dict[str, bytes] = {}
        for key in LOOKALIKES[name]:
            if subject.server_loses_key(key):
                continue
            data = content(key, 50)
            if subject.may_put(key, data):
                held[key] = data
        if not held:
            pytest.skip("not one of these keys can be held")
        assert sorted(subject.keys(), key=key_order) == sorted(held, key=key_order)
        assert {key: subject.get(key) for key in held} == held
        gone = next(iter(held))
        subject.store.delete(subject.bucket, gone)
        assert sorted(subject.keys()) == sorted(set(held) - {gone})

    def test_all_keys_in_one_bucket(self, subject: Subject) -> None:
        held: dict[str, bytes] = {}
        for name, key in KEYS.items():
            if subject.server_loses_key(key):
                continue
            data = content(name, 64)
            if subject.may_put(key, data):
                held[key] = data
        listed = subject.keys()
        assert sorted(listed, key=key_order) == sorted(held, key=key_order)
        if subject.store.capabilities.listing_order == "bytes":
            assert listed == sorted(held, key=key_order)
        for key, data in held.items():
            assert subject.get(key) == data
        outcomes = dict(subject.store.delete_many(subject.bucket, list(held)))
        assert outcomes == dict.fromkeys(held)
        assert subject.keys() == []

    @pytest.mark.parametrize(
        "key",
        ["", "\ud800", "x" * 1_000_000, "a\udc80b" * 2000],
        ids=["empty", "lone-surrogate", "a-million-bytes", "long-escapes"],
    )
    def test_impossible_keys_are_refused_by_name(self, subject: Subject, key: str) -> None:
        with pytest.raises(KeyNotSupported) as told:
            subject.put(key)
        assert len(str(told.value)) < 10_000, "a message must stay readable"
        assert "\ud800" not in str(told.value), "a message must be printable"
        assert subject.keys() == []

    def test_a_refused_key_does_not_read_the_body(self, subject: Subject) -> None:
        class Body:
            def read(self, size: int = -1, /) -> bytes:
                raise AssertionError("the body was read")

        with pytest.raises(KeyNotSupported):
            subject.store.put(subject.bucket, "", Body(), size=1)

    @pytest.mark.parametrize("name", ["two-slashes", "dots-inside", "nfd", "plus", "percent-slash"])
    def test_copy_inside_the_service_keeps_keys(self, subject: Subject, name: str) -> None:
        if not subject.store.capabilities.server_side_copy:
            pytest.skip("this store has no server-side copy")
        key = KEYS[name]
        subject.require_key(key)
        data = content(name, 100)
        if not subject.may_put(key, data):
            pytest.skip("the provider refuses this key")
        source = subject.store.head(subject.bucket, key).entry
        subject.store.copy(subject.bucket, source, subject.bucket, f"copy-{name}")
        assert subject.get(f"copy-{name}") == data
        copied = subject.store.head(subject.bucket, f"copy-{name}").entry
        subject.store.delete(subject.bucket, key)
        subject.store.copy(subject.bucket, copied, subject.bucket, key)
        assert subject.get(key) == data
        assert sorted(subject.keys()) == sorted([key, f"copy-{name}"])
