"""The directory rules of a copy, case by case as fsspec's page "Copying files and directories"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import svstorage
from svstorage.errors import ObjectNotFound, UsageError
from svstorage.transfer.options import TransferOptions
from tests.transfer.conftest import Side

SideOf = Callable[[str], Side]
WHERE = [("local", "local"), ("local", "s3"), ("s3", "local"), ("azure", "s3")]
TREE = ["file1", "file2", "subdir/subfile1", "subdir/subfile2", "subdir/nesteddir/nestedfile"]
SUB = ["subfile1", "subfile2"]
NESTED = [*SUB, "nesteddir/nestedfile"]

# (sources, destination, recursive, what is below the destination's root afterwards)
CASES: dict[str, tuple[str | list[str], str, bool, list[str]]] = {
    "1a file to existing folder": ("source/file1", "target/", False, ["file1"]),
    "1a without slash": ("source/file1", "target", False, ["file1"]),
    "1b file to new folder": ("source/file1", "target/new/", False, ["new/file1"]),
    "1c file to file": ("source/file1", "target/newfile", False, ["newfile"]),
    "1d file to file in new folder": ("source/file1", "target/new/f", False, ["new/f"]),
    "1e folder/ to existing": ("source/subdir/", "target/", True, NESTED),
    "1e folder to existing": (
        "source/subdir", "target/", True, [f"subdir/{name}" for name in NESTED],
    ),
    "1f folder/ to new": ("source/subdir/", "target/new/", True, [f"new/{n}" for n in NESTED]),
    "1f folder to new": ("source/subdir", "target/new", True, [f"new/{n}" for n in NESTED]),
    "1g glob to existing": ("source/subdir/*", "target/", False, SUB),
    "1g glob recursive": ("source/subdir/*", "target/", True, NESTED),
    "1h glob to new": ("source/subdir/*", "target/new/", False, [f"new/{n}" for n in SUB]),
    "glob on folders": ("source/*/subfile*", "target/", False, SUB),
    "2a list to existing": (
        ["source/file1", "source/file2", "source/subdir/subfile1"], "target/", False,
        ["file1", "file2", "subfile1"],
    ),
    "2b list to new": (
        ["source/file1", "source/subdir/subfile1"], "target/new/", False,
        ["new/file1", "new/subfile1"],
    ),
}  # fmt: skip


def run(source: Side, destination: Side, src: str | list[str], dst: str, **more: Any) -> Any:
    addresses = [src] if isinstance(src, str) else src
    return svstorage.copy(
        [source.address + one for one in addresses],
        destination.address + dst,
        source=source.storage,
        destination=destination.storage,
        options=TransferOptions(journal="none"),
        **more,
    )


@pytest.mark.parametrize("kinds", WHERE, ids="-".join)
def test_every_case(side: SideOf, kinds: tuple[str, str]) -> None:
    """One bucket for all: each case has its own target."""
    source, destination = side(kinds[0]), side(kinds[1])
    for name in TREE:
        source.put(f"source/{name}", name.encode())
    wrong = {}
    for number, (name, (src, dst, recursive, expected)) in enumerate(CASES.items()):
        target = f"t{number}"
        destination.put(f"{target}/there", b"")
        report = run(source, destination, src, dst.replace("target", target), recursive=recursive)
        assert report.ok, (name, report.failures)
        found = destination.below(f"{target}/")
        if found != sorted([*expected, "there"]):
            wrong[name] = found
    assert wrong == {}


@pytest.mark.parametrize("kinds", WHERE, ids="-".join)
def test_what_cannot_be_meant(side: SideOf, kinds: tuple[str, str]) -> None:
    source, destination = side(kinds[0]), side(kinds[1])
    source.put("d/f", b"f")
    before = destination.keys()
    for src, dst, kind in (
        ("d", "x", UsageError),  # a folder, and not recursive
        ("d/", "x", UsageError),
        ("nowhere", "x", ObjectNotFound),
        ("nowhere/", "x", ObjectNotFound),
    ):
        with pytest.raises(kind):
            run(source, destination, src, dst)
    with pytest.raises(UsageError):
        run(source, destination, [], "x")
    assert destination.keys() == before


def test_objects_named_one_by_one_move_as_one_leg(side: SideOf) -> None:
    """As a shell spreads a glob. One that is named twice, or comes from elsewhere, goes after."""
    source, destination = side("local"), side("moto")
    for name in ("a", "b", "c", "x/a"):
        source.put(name, name.encode())
    report = run(source, destination, ["a", "b", "c"], "t/")
    assert (report.exit_code, report.counters.copied) == (0, 3)
    assert report.parts == ()
    assert destination.below("t/") == ["a", "b", "c"]
    again = run(source, destination, ["a", "b", "x/a", "b", "b"], "u/")
    assert [part.counters.copied for part in again.parts] == [2, 1, 1, 1]
    assert destination.get("u/a") == b"x/a", "the last one named is the one that stays"
    assert destination.below("u/") == ["a", "b"]


def test_a_glob_that_matches_nothing_is_told(side: SideOf) -> None:
    source, destination = side("local"), side("local")
    source.put("a.txt", b"")
    report = run(source, destination, "*.bin", "")
    assert report.exit_code == 1
    assert "nothing matches" in (report.fatal or "")


@pytest.mark.parametrize("kind", ["local", "s3", "azure"])
def test_onto_itself(side: SideOf, kind: str) -> None:
    one = side(kind)
    one.put("d/f", b"f")
    for src, dst, recursive in (("d/f", "d/f", False), ("d/f", "d/", False), ("d/", "d/", True)):
        with pytest.raises(UsageError):
            svstorage.copy(
                one.address + src,
                one.address + dst,
                source=one.storage,
                destination=one.storage,
                recursive=recursive,
            )
    assert one.content() == {"d/f": b"f"}


def test_an_object_and_a_folder_of_one_name(side: SideOf) -> None:
    """S3 holds ``a`` and ``a/b``: the object goes, and with -r what is below it too."""
    source, destination = side("moto"), side("moto")
    source.put("a", b"object")
    source.put("a/b", b"below")
    assert run(source, destination, "a", "one/").ok
    assert destination.keys() == {"one/a": 6}
    assert run(source, destination, "a", "two/", recursive=True).ok
    assert destination.below("two/") == ["a", "b"]


def test_any_fsspec_filesystem_is_an_end(side: SideOf) -> None:
    """memory:// promises no order: its listing is sorted on disk first."""
    import fsspec

    memory = fsspec.filesystem("memory")
    source, back = side("local"), side("local")
    names = ["a/b", "a.b", "a/c", "z", "é", "a-b/x", "A"]
    for name in names:
        source.put(name, name.encode())
    root = f"memory://{source.root.name}-test/" if source.root else ""
    try:
        report = svstorage.sync(source.address, root)
        assert report.ok, report.fatal
        assert report.counters.copied == len(names)
        report = svstorage.sync(root, back.address)
        assert report.ok, report.fatal
        assert back.content() == source.content()
        again = svstorage.sync(root, back.address, options=TransferOptions(journal="none"))
        assert again.counters.copied == 0
    finally:
        memory.rm("/", recursive=True)
