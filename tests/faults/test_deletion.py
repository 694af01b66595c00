"""sync --delete: only what was meant, only when all else went well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.command import Cli
from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import LocalSide
from tests.servers.faultproxy import status

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]
OLD = {f"old{n:02}": b"old" for n in range(20)}


@row("M24", "sync --delete from an empty folder, or one that is not there",
     "exit 2 (1 where it is not there), nothing deleted", contract="8")  # fmt: skip
@pytest.mark.parametrize("way", ["up-s3", "down-s3"])
def test_empty_source(way: str, journey: MakeJourney) -> None:
    copy = journey(way, {}, before=OLD, proxy=False)
    done = copy.run("--delete")
    assert done.code == 2, done.explained
    assert "empty" in done.stdout + done.stderr
    assert copy.destination.read() == OLD
    done = copy.run("--delete", "--allow-empty-source")
    assert done.code == 0, done.explained
    assert copy.destination.read() == {}


@row("M24", "sync --delete from an empty folder, or one that is not there",
     "exit 2 (1 where it is not there), nothing deleted", contract="8")  # fmt: skip
def test_missing_source(journey: MakeJourney) -> None:
    copy = journey("up-s3", {}, before=OLD, proxy=False)
    assert isinstance(copy.source, LocalSide)
    copy.source.root.rmdir()
    done = copy.run("--delete", "--allow-empty-source")
    assert done.code in (1, 2, 3), done.explained
    assert copy.destination.read() == OLD


@row("D8", "more deletions than --max-delete", "exit 2, nothing deleted", contract="8")
def test_max_delete(journey: MakeJourney) -> None:
    copy = journey("up-s3", {"new": b"n"}, before=OLD, proxy=False)
    done = copy.run("--delete", "--max-delete", "19")
    assert done.code == 2, done.explained
    assert set(copy.destination.read()) == {*OLD, "new"}
    done = copy.run("--delete", "--max-delete", "20")
    assert done.code == 0, done.explained
    assert copy.destination.read() == {"new": b"n"}


@row("D9", "--delete while one copy fails", "exit 1, nothing deleted", contract="8")
def test_a_failed_copy_stops_deletion(journey: MakeJourney) -> None:
    copy = journey("up-s3", {"one.txt": b"1", "two.txt": b"2"}, before=OLD)
    assert copy.proxy is not None
    copy.proxy.rules.append(status(403, method="PUT", path="one"))
    done = copy.run("--delete")
    assert done.code == 1, done.explained
    assert set(copy.destination.read()) == {*OLD, "two.txt"}


@row("D10", "without --delete", "nothing is ever deleted", contract="8")
def test_without_delete(journey: MakeJourney) -> None:
    copy = journey("up-s3", {"new": b"n"}, before=OLD, proxy=False)
    assert copy.run().code == 0
    assert set(copy.destination.read()) == {*OLD, "new"}


@row("D11", "a failing deletion", "named; exit 1; the others are deleted", contract="4 8")
def test_failing_deletion(journey: MakeJourney) -> None:
    copy = journey("up-s3", {"new": b"n"}, before=OLD)
    assert copy.proxy is not None
    copy.proxy.rules.append(status(403, method="POST", path="delete"))
    copy.proxy.rules.append(status(403, method="DELETE"))
    done = copy.run("--delete")
    assert done.code in (1, 3), done.explained
    assert set(copy.destination.read()) == {*OLD, "new"}
    assert done.summary["delete_failed"] == len(OLD)


@row("T15", "source and destination one in the other, or the same", "exit 2, nothing touched",
     contract="8")  # fmt: skip
@pytest.mark.parametrize("pair", [("x", "x"), ("x", "x/y"), ("x/y", "x"), ("x", "link")])
@pytest.mark.parametrize("command", ["sync", "cp"])
def test_overlap(pair: tuple[str, str], command: str, cli: Cli, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "x" / "y").mkdir(parents=True)
    (root / "x" / "y" / "f").write_bytes(b"f")
    (root / "link").symlink_to(root / "x")
    options = ("--delete",) if command == "sync" else ("-r",)
    done = cli.run(command, *options, f"{root}/{pair[0]}/", f"{root}/{pair[1]}/")
    assert done.code == 2, done.explained
    assert [p.name for p in root.rglob("*") if p.is_file()] == ["f"]


@row("T15", "source and destination one in the other, or the same", "exit 2, nothing touched",
     contract="8")  # fmt: skip
def test_overlap_in_a_bucket(journey: MakeJourney) -> None:
    copy = journey("down-s3", {"x/y/f": b"f", "x/g": b"g"}, proxy=False)
    env = copy.source.env_file()
    base = copy.source.address
    for one, two in (("x/", "x/"), ("x/", "x/y/"), ("x/y/", "x/"), ("", "x/")):
        done = copy.cli.run("--env-file", str(env), "sync", "--delete", base + one, base + two)
        assert done.code == 2, done.explained
    assert copy.source.read() == copy.tree


@row("D12", "a destination object that cannot be read while deleting", "nothing deleted below it",
     contract="8")  # fmt: skip
def test_unreadable_destination(journey: MakeJourney) -> None:
    copy = journey("down-s3", {"new": b"n"}, before={"gone/a": b"a", "closed/b": b"b"}, proxy=False)
    assert isinstance(copy.destination, LocalSide)
    closed = copy.destination.root / "closed"
    closed.chmod(0)
    done = copy.run("--delete", ordinary=True)
    closed.chmod(0o755)
    assert done.code == 1, done.explained
    assert copy.destination.read() == {"gone/a": b"a", "closed/b": b"b", "new": b"n"}
