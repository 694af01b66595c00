"""With --json: one JSON object a line on stdout, errors as JSON on stderr; nothing else there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TREE, Store

OBJECT = {"type", "address", "bucket", "key", "size", "modified", "etag", "checksum"}


@pytest.fixture
def full(store: Store, tree: Path) -> Store:
    store("cp", "-r", f"{tree}/", "public:").ok()
    return store


def test_listings(full: Store) -> None:
    names = [row["name"] for row in full("--json", "ls").ok().lines]
    assert names == sorted(full.server.buckets())
    rows = full("--json", "ls", "public:").ok().lines
    assert {(row["type"], row["key"]) for row in rows} == {
        ("object", "-rf"), ("object", "a.txt"), ("folder", "space dir/"), ("folder", "sub/"),
    }  # fmt: skip
    rows = full("ls", "-R", "--json", "public:").ok().lines
    assert [row["key"] for row in rows] == sorted(TREE)
    assert all(set(row) == OBJECT for row in rows)
    assert {row["key"]: row["size"] for row in rows} == {k: len(v) for k, v in TREE.items()}
    assert rows[0]["modified"].endswith("Z")
    assert rows == full("--json", "find", "public:").ok().lines


def test_du_stat_and_the_small_ones(full: Store) -> None:
    total = full("--json", "du", "-s", "public:").ok().json
    assert total == {
        "address": "public:", "size": sum(map(len, TREE.values())), "objects": len(TREE),
    }  # fmt: skip
    known = full("--json", "stat", "public:a.txt").ok().json
    assert known["size"] == 6
    assert known.keys() >= OBJECT | {"content_type", "metadata", "tags"}
    put = full("--json", "put", "-", "public:in", stdin=b"123").ok().json
    assert put == {"address": f"sv://{full.public}/in", "size": 3}
    gone = full("--json", "rm", "public:in").ok().json
    assert (gone["action"], gone["key"]) == ("deleted", "in")
    bucket = f"sv://{full.prefix}-json"
    assert full("--json", "mb", bucket).ok().json == {"bucket": f"{full.prefix}-json", "made": True}
    assert full("--json", "rb", bucket).ok().json["removed"] is True


def test_transfers(full: Store, tree: Path) -> None:
    done = full("--json", "sync", tree, "public:").ok()
    summary = done.json
    assert done.err == ""
    assert (summary["type"], summary["operation"], summary["ok"]) == ("summary", "sync", True)
    counted = ("copied", "skipped", "failed", "excluded", "left")
    assert summary["listed"] == len(TREE) == sum(summary[name] for name in counted)
    planned = full("--json", "cp", "-r", "-n", tree, "public:x").ok().lines
    assert [row["status"] for row in planned[:-1]] == ["planned"] * len(TREE)
    assert planned[-1]["dry_run"] is True
    (tree / "a.txt").write_bytes(b"longer than before")
    found = full("--json", "check", tree, "public:")
    assert found.code == 1
    difference, summary = found.lines
    assert (difference["key"], difference["reason"]) == ("a.txt", "size")
    assert (summary["ok"], summary["exit_code"]) == (False, 1)


def test_failures(store: Store, tmp_path: Path) -> None:
    store.write("x", b"1")
    (tmp_path / "down" / "x" / "y").mkdir(parents=True)
    done = store("--json", "cp", "-r", "public:", f"{tmp_path}/down/", "--retries", "0")
    assert done.code == 1
    (error,) = done.errors
    assert error["key"] == "x"
    assert error["source"] == f"sv://{store.public}/x"
    assert error["error"]
    assert len(done.err.splitlines()) == 1
    assert done.json["failed"] == 1
    for words in (["ls", "public:no"], ["cat", "public:no"], ["rm", "public:no"]):
        failed = store("--json", *words)
        assert (failed.code, failed.out) == (1, "")
        assert [error["exit_code"] for error in failed.errors] == [1]


def test_keys_are_exact_in_json_and_harmless_as_text(new_store: Callable[..., Store]) -> None:
    store = new_store("moto")
    odd = ["a\x1b[31mred", "b\u202ereversed", "c\ttab", "a//b", "/lead", "trail/", "\u00e9"]
    for key in odd:
        store.write(key, b"1")
    assert sorted(row["key"] for row in store("ls", "-R", "--json", "public:").ok().lines) == (
        sorted(odd)
    )
    shown = store("ls", "-R", "public:").ok().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[31mred" in shown
    assert store("find", "public:", "-0").ok().out.split("\0")[:-1] == [
        f"sv://{store.public}/{key}" for key in sorted(odd)
    ]  # fmt: skip
    listed = store("ls", "-R", "--json", "public:").ok().out
    assert listed.isascii()
    store("rm", "public:a//b", "public:/lead").ok()
    store("mv", "public:c\ttab", "public:moved").ok()
    left = {"a\x1b[31mred", "b\u202ereversed", "moved", "trail/", "\u00e9"}
    assert set(store.holds()) == left
