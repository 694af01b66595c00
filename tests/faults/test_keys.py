"""Keys that a disk cannot hold, that mean something to a shell, that try to get out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import LocalSide, Tree
from tests.servers.scripted import ScriptedS3

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]

ESCAPES = [
    "../esc", "../../esc", "x/../../esc", "..", "p/..", ".", "./x", "a/./b", "/etc/x", "/abs",
    "a//b", "lead//", "\x00nul", "a\x00b",
]  # fmt: skip
HARMLESS = [
    "line\nend",
    "C:\\x",
    "a\\..\\b",
    "\\\\host\\share",
    "~root",
    "$HOME",
    "-rf",
    "*[x]?",
    "%2e%2e/x",
]


@pytest.fixture
def hostile(scripted_s3: Callable[[], ScriptedS3], cli: object, tmp_path: Path) -> Journey:
    from tests.faults.sides import ScriptedSide

    root = tmp_path / "deep" / "down"
    root.mkdir(parents=True)
    return Journey(cli, ScriptedSide(scripted_s3(), tmp_path), LocalSide(root))  # type: ignore[arg-type]


@row("M3", "keys like ../../esc, /etc/x, a//b, NUL, . and ..; C:\\x, a\\..\\b",
     "each one failed by name, or a file of exactly that name; nothing outside the folder",
     contract="1 4")  # fmt: skip
def test_escapes(hostile: Journey, tmp_path: Path) -> None:
    copy = hostile
    copy.watch(tmp_path / "esc")
    copy.watch(tmp_path / "deep" / "esc")
    tree: Tree = {key: key.encode() for key in [*ESCAPES, *HARMLESS, "good/one", "z"]}
    copy.fill(tree)
    before = {p for p in tmp_path.rglob("*") if "cli" not in p.parts}
    done = copy.run()
    assert done.code == 1, done.explained
    for path, content in copy.watched.items():
        assert path.read_bytes() == content
    assert isinstance(copy.destination, LocalSide)
    new = {p for p in tmp_path.rglob("*") if "cli" not in p.parts} - before
    outside = [p for p in new if copy.destination.root not in p.parents]
    assert [p for p in outside if p.suffix != ".env"] == []
    assert copy.destination.read() == {k: k.encode() for k in [*HARMLESS, "good/one", "z"]}
    assert set(copy.failed_keys()) == set(ESCAPES)
    copy.adds_up(done)


@row("M1", "a and a/b, a/ both objects; a//b beside a/b; /lead beside lead",
     "one of two at its path, the other failed by name; no object in another's file",
     contract="1 4")  # fmt: skip
def test_file_and_folder(journey: MakeJourney) -> None:
    copy = journey("down-s3", server="moto_server", proxy=False)
    tree: Tree = {
        "a": b"1", "a/b": b"2", "a//b": b"3", "/lead": b"4", "lead": b"5", "d": b"6", "d/": b"7",
        "e/": b"", "e/x": b"8", "f/": b"payload",
    }  # fmt: skip
    copy.fill(tree)
    done = copy.run()
    assert done.code == 1, done.explained
    found = copy.destination.read()
    for key, data in found.items():
        assert data == tree[key]
    failed = set(copy.failed_keys())
    assert {"a//b", "/lead", "d/", "f/"} <= failed
    assert len({"a", "a/b"} & failed) == 1
    assert set(found) | failed >= set(tree) - {"e/"}
    copy.adds_up(done)


@row(
    "M5",
    "exact keys between services: %2F, +, ?, #, //, leading and trailing /, all Unicode forms",
    "copied under exactly that name, or failed by name; never renamed",
)
@pytest.mark.parametrize("way", ["s3-s3", "s3-azure"])
def test_exact_between_services(
    way: str, journey: MakeJourney, side: Callable[..., Journey]
) -> None:
    copy = journey("s3-azure", server="moto_server", proxy=False)
    if way == "s3-s3":
        copy.destination = side("s3", "moto_server")  # type: ignore[assignment]
    keys = [
        "a//b", "a/../b", "/lead", "trail/x/", "%2F", "%20", "100%", "a+b", "a b", " a", "a ",
        "a?versionId=x", "a#b", "*[x]{y}", "é", "e\u0301", "\U0001f600", "\u202ebidi", "a\\b",
        "'\"", "$&,:;=@", "k" * 1024, "~", "..", "a/./b", "tab\tkey", "plain",
    ]  # fmt: skip
    copy.fill({key: b"%d" % n for n, key in enumerate(keys)})
    done = copy.run()
    assert done.code in (0, 1), done.explained
    failed = set(copy.failed_keys())
    if way == "s3-s3":
        for key, data in copy.destination.read().items():
            assert copy.tree.get(key) == data, f"{key!r} was renamed"
    # The Azure SDK cannot read every name that it lists.
    found = copy.destination.server.keys(copy.destination.bucket)  # type: ignore[attr-defined]
    assert set(found) | failed == set(keys)
    assert not set(found) & failed
    if way == "s3-s3":
        assert not failed


@row(
    "M13",
    "page borders: 999, 1,000, 1,001 and 2,001 keys in one prefix",
    "none missing, none twice",
    contract="9",
)
@pytest.mark.parametrize("count", [999, 1000, 1001, 2001])
def test_pages(count: int, hostile: Journey) -> None:
    hostile.fill({f"k{n:05}": b"" for n in range(count)})
    hostile.check(hostile.run(), 0)


@pytest.mark.slow
@row("M13m", "100,000 empty objects in one prefix", "all there, memory flat", contract="5 9")
def test_many(hostile: Journey) -> None:
    hostile.fill({f"k{n:06}": b"" for n in range(100_000)})
    done = hostile.run("--dry-run", limits={"RLIMIT_AS": 2 << 30}, timeout=100)
    assert done.code == 0, done.explained
    assert done.summary["listed"] == 100_000


@row("M6", "names that differ only by case or by Unicode form", "kept apart where the disk does")
def test_case_and_forms(hostile: Journey) -> None:
    hostile.fill({"A": b"1", "a": b"2", "é": b"3", "e\u0301": b"4", "ﬁ": b"5", "fi": b"6"})
    hostile.check(hostile.run(), 0)


@row("M12", "folder markers, and markers with a payload", "empty folders both ways; a payload is "
     "failed by name", contract="4")  # fmt: skip
def test_markers(journey: MakeJourney) -> None:
    copy = journey("down-s3", server="moto_server", proxy=False)
    copy.fill({"empty/deep/": b"", "full/": b"", "full/x": b"x"})
    done = copy.run()
    assert done.code == 0, done.explained
    assert isinstance(copy.destination, LocalSide)
    assert (copy.destination.root / "empty" / "deep").is_dir()
    assert copy.destination.read() == {"full/x": b"x"}
    done = copy.run()
    assert done.code == 0
    assert done.summary["copied"] == 0, done.explained
