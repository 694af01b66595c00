"""cp and sync with all their options, on every storage."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TREE, Store, read_tree, run


def test_cp_up_and_down_is_exact(store: Store, tree: Path, tmp_path: Path) -> None:
    done = store("cp", "-r", tree, "public:tree").ok()
    assert done.out == ""
    assert f"{len(TREE)} copied" in done.err
    assert store.holds() == {f"tree/{name}": len(data) for name, data in TREE.items()}
    assert all(store.read(f"tree/{name}") == data for name, data in TREE.items())
    store("cp", "-r", "public:tree", tmp_path / "down").ok()
    assert read_tree(tmp_path / "down") == TREE


def test_cp_of_files_globs_and_several(store: Store, tree: Path, tmp_path: Path) -> None:
    store("cp", tree / "a.txt", "public:renamed.txt").ok()
    store("cp", tree / "a.txt", tree / "sub/b.csv", "public:several").ok()
    store("cp", f"{tree}/sub/*", "public:globbed/").ok()
    assert set(store.holds()) == {
        "renamed.txt", "several/a.txt", "several/b.csv", "globbed/b.csv", "globbed/empty",
    }  # fmt: skip
    store("cp", "public:several/*.txt", tmp_path / "down/").ok()
    assert read_tree(tmp_path / "down") == {"a.txt": TREE["a.txt"]}
    assert store("cp", "public:several/*.none", tmp_path / "down/").code == 1
    folder = store("cp", tree, "public:x")
    assert folder.code == 2
    assert "cp -r" in folder.err


def test_cp_within_one_storage(store: Store, tree: Path) -> None:
    store("cp", "-r", f"{tree}/", "public:t/").ok()
    store("cp", "-r", "public:t/", "private:copy/").ok()
    held = store.holds(store.private)
    assert held == {f"copy/{name}": len(data) for name, data in TREE.items()}
    for source, destination in (("public:t", "public:t/in"), ("public:t", "public:t")):
        assert store("cp", "-r", source, destination).code in (1, 2)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--include", "*.csv"], {"sub/b.csv"}),
        (["--include", "sub/**", "--exclude", "*.bin"], {"sub/b.csv", "sub/empty"}),
        (["--exclude", "sub/"], {"a.txt", "space dir/\u00fc %2F +.txt", "-rf"}),
        (["--min-size", "1K"], {"sub/deep/c.bin"}),
        (["--max-size", "0"], {"sub/empty"}),
        (["--newer-than", "1h"], set(TREE) - {"a.txt"}),
        (["--older-than", "1h"], {"a.txt"}),
        (["--older-than", "2020-01-01T00:00:00Z"], set()),
    ],
    ids=lambda value: " ".join(sorted(value) if isinstance(value, set) else value),
)
def test_filters(disk: Store, tree: Path, options: list[str], left: set[str]) -> None:
    old = time.time() - 86400
    os.utime(tree / "a.txt", (old, old))
    done = disk("cp", "-r", f"{tree}/", "public:", *options).ok()
    assert set(disk.holds()) == left
    excluded = len(TREE) - len(left)
    assert f"{excluded} excluded" in done.err


def test_a_dry_check_is_a_check(disk: Store, tree: Path) -> None:
    assert disk("check", tree, "public:", "--dry-run").code == 1
    disk("cp", "-r", f"{tree}/", "public:").ok()
    disk("check", tree, "public:", "--dry-run").ok()


def test_dry_run_writes_nothing(store: Store, tree: Path) -> None:
    store.write("old", b"1")
    done = store("sync", "--delete", "--dry-run", tree, "public:").ok()
    rows = done.out.splitlines()
    assert len(rows) == len(TREE) + 1
    assert sum(row.startswith("would copy ") for row in rows) == len(TREE)
    assert f"would delete sv://{store.public}/old" in rows
    assert set(store.holds()) == {"old"}


def test_sync_copies_only_what_changed(store: Store, tree: Path) -> None:
    assert f"{len(TREE)} copied" in store("sync", tree, "public:").ok().err
    assert "0 copied" in store("sync", tree, "public:").ok().err
    (tree / "a.txt").write_bytes(b"HELLO\n")
    (tree / "new").write_bytes(b"new")
    done = store("--json", "sync", tree, "public:").ok()
    assert (done.lines[-1]["copied"], done.lines[-1]["skipped"]) == (2, len(TREE) - 1)
    assert store.read("a.txt") == b"HELLO\n"


def test_sync_delete(store: Store, tree: Path, tmp_path: Path) -> None:
    store("sync", tree, "public:").ok()
    store.write("gone", b"1")
    store("sync", tree, "public:").ok()
    assert "gone" in store.holds()
    store("sync", "--delete", tree, "public:").ok()
    assert set(store.holds()) == set(TREE)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = store("sync", "--delete", empty, "public:")
    assert refused.code == 2
    assert "--allow-empty-source" in refused.err
    beyond = store("sync", "--delete", "--allow-empty-source", "--max-delete", 2, empty, "public:")
    assert beyond.code == 2
    assert beyond.err.count("--max-delete allows") == 1
    assert store("sync", "--delete", tmp_path / "none", "public:").code == 1
    assert set(store.holds()) == set(TREE)
    store("sync", "--delete", "--allow-empty-source", empty, "public:").ok()
    assert store.holds() == {}


@pytest.mark.parametrize(
    ("how", "content", "code"),
    [("overwrite", b"new", 0), ("skip", b"old!", 0), ("changed", b"new", 0), ("error", b"old!", 1)],
)
def test_on_exists(store: Store, tmp_path: Path, how: str, content: bytes, code: int) -> None:
    (tmp_path / "x").write_bytes(b"new")
    store.write("x", b"old!")
    done = store("cp", "--on-exists", how, tmp_path / "x", "public:x")
    assert done.code == code, done.said
    assert store.read("x") == content


def test_report_has_a_line_for_each_object(store: Store, tree: Path, tmp_path: Path) -> None:
    (tree / "a.txt").chmod(0o600)
    report = tmp_path / "report.jsonl"
    store("cp", "-r", f"{tree}/", "public:", "--report", report).ok()
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert {row["destination"] for row in rows} == {f"sv://{store.public}/{name}" for name in TREE}
    for row in rows:
        assert {"source", "destination", "size", "action", "status", "checksum", "attempts",
                "seconds", "error"} <= set(row)  # fmt: skip
        assert (row["action"], row["status"], row["error"]) == ("copy", "done", None)
    assert report.stat().st_mode & 0o077 == 0
    store("sync", tree, "public:", "--report", report).ok()
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert {row["action"] for row in rows} == {"skip"}


@pytest.mark.parametrize(
    "options",
    [
        ["--verify", "none"],
        ["--verify", "size"],
        ["--verify", "checksum"],
        ["--concurrency", "1"],
        ["--concurrency", "auto"],
        ["--bwlimit", "50M"],
        ["--retries", "0"],
        ["--strategy", "stream"],
        ["--engine", "local"],
        ["--journal", "none"],
        ["--journal", "{tmp}/journal"],
        ["--max-errors", "3"],
        ["--stats"],
        ["--no-progress"],
        ["--links", "skip"],
        ["--on-exists", "changed"],
        ["--tags"],
    ],
    ids=" ".join,
)
def test_every_option_is_taken(disk: Store, tree: Path, tmp_path: Path, options: list[str]) -> None:
    words = [word.format(tmp=tmp_path) for word in options]
    disk("cp", "-r", f"{tree}/", "public:", *words).ok()
    assert set(disk.holds()) == set(TREE)
    disk("sync", tree, "public:", *words).ok()
    if options[0] not in ("--tags",):
        disk("check", tree, "public:", *words).ok()


def test_stats(disk: Store, tree: Path) -> None:
    done = disk("cp", "-r", "--stats", f"{tree}/", "public:").ok()
    assert f"bytes copied: {sum(map(len, TREE.values()))}" in done.err
    assert "strategies:" in done.err


def test_one_failing_object_is_named_and_stops_nothing(store: Store, tmp_path: Path) -> None:
    for key in ("a", "b/c", "d"):
        store.write(key, b"1")
    (tmp_path / "down" / "a" / "x").mkdir(parents=True)  # a folder where the file must go
    done = store("cp", "-r", "public:", f"{tmp_path}/down/", "--retries", "0")
    assert done.code == 1
    assert f"sv://{store.public}/a" in done.err
    assert "1 failed" in done.err
    assert read_tree(tmp_path / "down") == {"b/c": b"1", "d": b"1"}


def test_links_of_a_local_source(disk: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "real").write_bytes(b"1")
    (source / "link").symlink_to("real")
    disk("cp", "-r", f"{source}/", "public:follow/").ok()
    disk("cp", "-r", "--links", "skip", f"{source}/", "public:skip/").ok()
    assert set(disk.holds()) == {"follow/real", "follow/link", "skip/real"}


def test_tags_by_choice(new_store: Callable[..., Store]) -> None:
    store = new_store("moto")
    tagging = {"TagSet": [{"Key": "team", "Value": "cars"}]}
    client = store.server.client
    client.put_object(Bucket=store.public, Key="t", Body=b"1", Tagging="team=cars")
    store("cp", "public:t", "private:without").ok()
    store("cp", "--tags", "public:t", "private:with").ok()
    with_tags = client.get_object_tagging(Bucket=store.private, Key="with")
    assert with_tags["TagSet"] == tagging["TagSet"]


def test_from_env_and_to_env(new_store: Callable[..., Store], tree: Path) -> None:
    one, two = new_store("s3"), new_store("azure")
    one("cp", "-r", f"{tree}/", "public:").ok()
    words = ["--from-env", one.env_file, "--to-env", two.env_file]
    there = (f"sv://{one.public}", f"sv://{two.public}/in")
    run("cp", "-r", *words, *there).ok()
    assert two.holds() == {f"in/{name}": len(data) for name, data in TREE.items()}
    run("check", *words, *there).ok()
    run("sync", *words, "public:", "public:in").ok()
    two.write("in/a.txt", b"other!")
    assert run("check", *words, *there).code == 1


def test_env_files_of_two_sides_leave_the_environment_out(
    new_store: Callable[..., Store], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store("s3")
    # The environment describes another storage, with secrets of its own.
    monkeypatch.setenv("STORAGE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("STORAGE_SECRET_KEY", "of-the-environment")
    run("cp", "-r", "--to-env", store.env_file, f"{tree}/", "public:").ok()
    assert set(store.holds()) == set(TREE)


def test_a_folder_that_cannot_be_made_is_no_bucket(disk: Store, tmp_path: Path) -> None:
    disk.write("k", b"1")
    failed = disk("cp", "public:k", "/proc/none/k", "--retries", "0")
    assert failed.code == 1
    assert "there is no folder '/proc/none'" in failed.err
