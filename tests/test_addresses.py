"""Addresses: keys stay exact, a bucket is never guessed, nothing typed leaks or steers."""

from __future__ import annotations

import os
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svstorage.addresses import (
    Address,
    Kind,
    display,
    has_glob,
    parse,
    split_glob,
    storage_url,
)
from svstorage.errors import UsageError

CANARY = "canary7f3a9c"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("name", "name"),
        ("./a/b", "./a/b"),
        ("/a/b", "/a/b"),
        ("/a//b/../c/", "/a//b/../c/"),
        (".", "."),
        ("-rf", "-rf"),
        ("~/x", "~/x"),
        ("a:b", "a:b"),
        ("C:\\x", "C:\\x"),
        ("C:/x", "C:/x"),
        ("c://x", "c://x"),
        ("./sv:x", "./sv:x"),
        ("./s3://x", "./s3://x"),
        ("publicly:x", "publicly:x"),
        ("Public:x", "Public:x"),
        ("a::b", "a::b"),
        ("file:///a/b%20c?d#e", "/a/b%20c?d#e"),
        ("FILE:///a", "/a"),
        ("file:////a", "//a"),
        ("local:///a", "/a"),
        ("caf\udce9", "caf\udce9"),
        ("line\nsv://b/k", "line\nsv://b/k"),
    ],
)
def test_local_paths(text: str, path: str) -> None:
    assert parse(text) == Address(Kind.LOCAL, path=path)


@pytest.mark.parametrize(
    ("text", "storage", "bucket", "key"),
    [
        ("sv://", None, "", ""),
        ("sv://b", None, "b", ""),
        ("sv://b/", None, "b", ""),
        ("sv://b/k", None, "b", "k"),
        ("SV://b/K", None, "b", "K"),
        ("sv://b/a//b", None, "b", "a//b"),
        ("sv://b//lead", None, "b", "/lead"),
        ("sv://b//", None, "b", "/"),
        ("sv://b/a/../b", None, "b", "a/../b"),
        ("sv://b/..", None, "b", ".."),
        ("sv://b/./", None, "b", "./"),
        ("sv://b/%2F%41", None, "b", "%2F%41"),
        ("sv://b/a?versionId=1#f&g=+ h", None, "b", "a?versionId=1#f&g=+ h"),
        ("sv://b/trail/", None, "b", "trail/"),
        ("sv://b/ blanks ", None, "b", " blanks "),
        ("sv://b/x@y:z@w", None, "b", "x@y:z@w"),
        ("sv://b/a\\..\\b", None, "b", "a\\..\\b"),
        ("sv://b/\x1b\n\t", None, "b", "\x1b\n\t"),
        ("sv://b/e\u0301", None, "b", "e\u0301"),
        ("sv://b/\u00e9", None, "b", "\u00e9"),
        ("sv://b/sv://c/d", None, "b", "sv://c/d"),
        ("sv://b/*[x]?", None, "b", "*[x]?"),
        ("sv://my-cars@b/k", "my-cars", "b", "k"),
        ("sv://my-cars@b", "my-cars", "b", ""),
        ("sv://my-cars@", "my-cars", "", ""),
        ("sv://my cars@b//k", "my cars", "b", "/k"),
    ],
)
def test_storage_addresses_keep_the_key(
    text: str, storage: str | None, bucket: str, key: str
) -> None:
    assert parse(text) == Address(Kind.STORAGE, bucket=bucket, key=key, storage=storage)


_KEYS = st.text(st.characters(exclude_characters="\0"), min_size=1)


@given(_KEYS, st.sampled_from([None, "my-cars"]))
def test_any_key_is_read_back(key: str, storage: str | None) -> None:
    parsed = parse(storage_url("bucket", key, storage))
    assert (parsed.storage, parsed.bucket, parsed.key) == (storage, "bucket", key)


@given(_KEYS)
def test_any_key_is_read_from_the_short_form(key: str) -> None:
    if key.startswith("//"):
        return
    parsed = parse(f"private:{key}")
    assert parsed == Address(Kind.SHORT, key=key, short="private")
    assert parsed.in_prefix("acme") == Address(Kind.STORAGE, bucket="acme-private", key=key)


def test_short_forms() -> None:
    assert parse("public:").in_prefix("p") == Address(Kind.STORAGE, bucket="p-public")
    assert parse("public:/a").key == "/a"
    assert parse("sv://b/k").in_prefix("p") == parse("sv://b/k")


@pytest.mark.parametrize("scheme", ["s3", "azure", "google", "fs"])
def test_linked_addresses(scheme: str) -> None:
    text = f"{scheme}://b//a/../k?x#y%2F/"
    parsed = parse(text)
    assert (parsed.kind, parsed.scheme) == (Kind.LINKED, scheme)
    assert (parsed.bucket, parsed.key, parsed.url) == ("b", "/a/../k?x#y%2F/", text)
    assert parse(f"{scheme}://b").key == ""


@pytest.mark.parametrize(
    "text",
    [
        "az://c/k",
        "gs://b/k",
        "sftp://user@host:22/a",
        "memory://x",
        "https://host:8443/a@b",
        "simplecache::s3://b/k",
        "zip://x.csv::file:///a.zip",
    ],
)
def test_other_urls_stay_as_they_are(text: str) -> None:
    parsed = parse(text)
    assert (parsed.kind, parsed.url) == (Kind.URL, text)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("", "sv://bucket/key"),
        ("a\0b", "NUL"),
        ("sv://b/a\0b", "NUL"),
        ("sv:/x", r"sv://bucket/key, or \./sv:/x"),
        ("sv:x", r"sv://bucket/key, or \./sv:x"),
        ("SV:x", r"sv://bucket/key"),
        ("sv:///x", "sv://bucket/key"),
        ("sv:///", "there is no bucket"),
        ("sv://NAME@/x", "sv://NAME@bucket/key"),
        ("sv://@b/x", "NAME of the links file"),
        ("sv://a@b@c/x", "NAME of the links file"),
        ("sv://./x", "cannot have this name"),
        ("sv://../x", "cannot have this name"),
        ("sv://host:9000/x", "colon"),
        ("s3:/b/k", r"s3://.*\./s3:/b/k"),
        ("https:/b/k", "https://"),
        ("file:/a", "file://"),
        ("file://a/b", "file:///"),
        ("file://", "file:///"),
        ("s3:///k", "s3://bucket/key"),
        ("public://k", r"public:k"),
        ("private:///k", r"private:/k"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_a_mend(text: str, mend: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, role="source")
    assert re.search(mend, str(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        f"sv://user:{CANARY}@b/k",
        f"s3://AKIA:{CANARY}@b/k",
        f"s3://AKIA:ab/{CANARY}@b/k",
        f"sv://AKIA:ab/{CANARY}@b/k",
        f"sftp://user:{CANARY}@host/k",
        f"https://user:{CANARY}@host/k?a=b",
        f"https://me@corp:{CANARY}@host/k",
        f"simplecache::sftp://user:{CANARY}@host/k",
        f"ftp://:{CANARY}@host/k",
    ],
)
def test_passwords_are_refused_and_masked(text: str) -> None:
    with pytest.raises(UsageError, match=r"the destination .*\.env") as caught:
        parse(text, role="destination")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("url", ["https://host/k", "simplecache::https://host/k"])
def test_a_presigned_url_is_not_shown(url: str) -> None:
    parsed = parse(f"{url}?X-Amz-Signature={CANARY}")
    assert CANARY in parsed.url
    assert CANARY not in f"{parsed} {parsed!r}"
    assert str(parsed) == f"{url}?***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/", True),
        ("a", False),
        ("/", True),
        ("sv://", True),
        ("sv://b", True),
        ("sv://b/", True),
        ("sv://b/a", False),
        ("sv://b/a/", True),
        ("public:", True),
        ("public:a", False),
        ("s3://b/a/", True),
        ("memory://a/", True),
        ("memory://a", False),
    ],
)
def test_directory_form(text: str, expected: bool) -> None:
    assert parse(text).is_directory_form is expected


# Globs


@pytest.mark.parametrize(
    ("text", "literal", "pattern"),
    [
        ("", "", ""),
        ("a/b", "a/b", ""),
        ("a/*.txt", "a/", "*.txt"),
        ("*", "", "*"),
        ("a?b", "a", "?b"),
        ("a[xy]b*", "a", "[xy]b*"),
        ("a[!x]", "a", "[!x]"),
        ("a[]x]", "a", "[]x]"),
        ("a[x", "a[x", ""),
        ("a]b", "a]b", ""),
        ("a[]", "a[]", ""),
        ("a[!]", "a[!]", ""),
        ("a[!]b]", "a", "[!]b]"),
        ("a[*]b", "a*b", ""),
        ("a[*]b/*", "a*b/", "*"),
        ("[[][*][?]", "[*?", ""),
        ("a[1].txt", "a", "[1].txt"),
        ("a\\*", "a\\", "*"),
        ("**/x", "", "**/x"),
        ("{a,b}", "{a,b}", ""),
    ],
)
def test_split_glob(text: str, literal: str, pattern: str) -> None:
    assert split_glob(text) == (literal, pattern)
    assert has_glob(parse(f"sv://b/{text}")) is bool(pattern)
    assert has_glob(parse(f"./{text}")) is bool(pattern)


@given(st.text("ab*?[]!^-/"))
def test_an_escaped_text_is_literal(text: str) -> None:
    escaped = re.sub(r"[*?\[]", lambda match: f"[{match[0]}]", text)
    assert split_glob(escaped) == (text, "")
    assert re.match(_fnmatch(escaped), text)


def _fnmatch(pattern: str) -> str:
    import fnmatch

    return fnmatch.translate(pattern)


# Terminals


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain/ü→🙂 \u00a0x", "plain/ü→🙂 \u00a0x"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x7f\x80\x9b", "\\x7f\\x80\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066\u2069\u200e\u200f\u061c", "\\u2066\\u2069\\u200e\\u200f\\u061c"),
        ("\u2028\u2029\ufeff\u200b", "\\u2028\\u2029\\ufeff\\u200b"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("नम\u200dस्ते", "नम\u200dस्ते"),
    ],
)
def test_display(text: str, shown: str) -> None:
    assert display(text) == shown


@given(st.text(st.characters()))
def test_display_is_one_harmless_line_that_can_be_encoded(text: str) -> None:
    shown = display(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)


@given(st.text(string.printable + "\x1b\u202e", min_size=1))
def test_errors_are_harmless_too(text: str) -> None:
    for prefix in ("sv:", "sv:///", "file://", "s3:/", "public://", "sv://"):
        try:
            shown = repr(parse(prefix + text))
        except UsageError as exc:
            shown = str(exc)
        assert not re.search(r"[\x00-\x1f\u202e]", shown)


@pytest.mark.skipif(os.name != "posix", reason="Windows paths have two separators")
def test_a_backslash_is_an_ordinary_character() -> None:
    assert not parse("a\\").is_directory_form
