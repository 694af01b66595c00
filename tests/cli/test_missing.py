"""One of several that is not there: it is named, the others are done, exit 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Store


@pytest.fixture
def disk(new_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    store = new_store("disk")
    store.write("a", b"a")
    store.write("b", b"b")
    return store


@pytest.mark.parametrize("command", ["cp", "mv"])
@pytest.mark.parametrize("missing", ["./nothing", "./nothing/", "./n*", "sv://no-such-bucket/x"])
def test_cp_and_mv(tmp_path: Path, disk: Store, command: str, missing: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    report = tmp_path / "report.jsonl"
    words = [command, "./a", missing, "./b", "public:to/", "--report", str(report)]
    done = disk(*words)
    assert done.code == 1, done.said
    assert disk.read("to/a") == b"a"
    assert disk.read("to/b") == b"b"
    assert done.err.count("error:") == 1
    assert "2 copied" in done.err
    assert (tmp_path / "a").exists() == (command == "cp")
    if "*" not in missing:
        rows = [json.loads(line) for line in report.read_text().splitlines()]
        assert [row["error_kind"] for row in rows if row["status"] == "failed"] in (
            ["ObjectNotFound"],
            ["BucketNotFound"],
        )


def test_alone_it_is_the_one_error(disk: Store) -> None:
    for words in (["cp", "./nothing", "public:"], ["mv", "./n*", "public:"], ["rm", "public:n*"]):
        done = disk(*words)
        assert done.code == 1, done.said
        assert done.err.count("error:") == 1
    assert sorted(disk.holds()) == ["a", "b"]


def test_a_wrong_request_still_touches_nothing(tmp_path: Path, disk: Store) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "f").write_text("f")
    done = disk("cp", "./f", "./nothing", "./folder", "public:to/")
    assert done.code == 2, done.said
    assert sorted(disk.holds()) == ["a", "b"]


@pytest.mark.parametrize("more", [[], ["-r"]])
@pytest.mark.parametrize("missing", ["public:nothing", "public:n*", "sv://no-such-bucket/x"])
def test_rm(disk: Store, missing: str, more: list[str]) -> None:
    done = disk("rm", *more, "public:a", missing, "public:b")
    assert done.code == 1, done.said
    assert disk.holds() == {}
    assert done.err.count("error:") == 1
    assert "deleted 2 objects, 1 failed" in done.err
    disk.write("a", b"a")
    disk("rm", "-f", *more, missing, "public:a").ok()
    assert disk.holds() == {}


def test_rb(disk: Store) -> None:
    disk("mb", "sv://empty-one").ok()
    full = f"sv://{disk.prefix}-public"
    done = disk("rb", full, "sv://no-such-bucket", "sv://empty-one")
    assert done.code == 1, done.said
    assert done.err.count("error:") == 2
    assert "removed sv://empty-one" in done.err
    assert sorted(disk.holds()) == ["a", "b"]
    assert disk("rb", full).code == 1
