"""File names: long, odd, impossible."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import Cli
from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import LocalSide, Tree

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]


@row("D1", "empty files, empty folders, hard links, names of 255 bytes, deep paths, odd names",
     "copied exactly, up and down again")  # fmt: skip
def test_odd_names_round_trip(journey: MakeJourney, side: Any, cli: Cli) -> None:
    copy = journey("up-s3", server="moto_server", proxy=False)
    tree: Tree = {
        "empty": b"",
        "n" * 255: b"255",
        "é" * 127: b"254 bytes",
        "/".join(["deep"] * 60): b"d",
        "-rf": b"option",
        "*[x]?": b"glob",
        "file#1": b"#",
        "x.partial": b"p",
        ".svstorage-tmp-x": b"looks like ours",
        "CON": b"c",
        "a.": b"dot",
        " blank ": b"b",
        "tab\tescape\x1b": b"control",  # (moto finds no key with a line end)
        "e\u0301": b"NFD",
        "\u00e9": b"NFC",
        "A": b"upper",
        "a": b"lower",
        "%2F%20+&": b"percent",
        "back\\slash": b"\\",
        "\u202egnp": b"bidi",
    }
    copy.fill(tree)
    assert isinstance(copy.source, LocalSide)
    os.link(copy.source.root / "A", copy.source.root / "linked")
    copy.tree["linked"] = b"upper"
    copy.check(copy.run(), 0)
    back = Journey(cli, copy.destination, side("local"), secrets=copy.secrets)
    back.tree = copy.tree
    back.runs = copy.runs
    back.check(back.run(), 0)


@row("D2", "a file name that is not UTF-8; a path over 4,096 bytes; names of 256 bytes",
     "named with escapes; exit 1; the rest copied", contract="4")  # fmt: skip
def test_impossible_names(journey: MakeJourney, side: Any) -> None:
    copy = journey("up-s3", {"good": b"g"}, proxy=False)
    assert isinstance(copy.source, LocalSide)
    odd = os.fsencode(copy.source.root) + b"/\xff\xfe"
    with open(odd, "wb") as file:
        file.write(b"odd")
    done = copy.run()
    assert done.code == 1, done.explained
    assert copy.destination.read() == {"good": b"g"}
    assert "\udcff" not in done.stderr
    assert len(copy.failed_keys()) == 1
    down = journey("down-s3", server="moto_server", proxy=False)
    down.fill({"good": b"g", "n" * 256: b"n", "/".join(["d" * 200] * 5): b"deep"})
    assert isinstance(down.destination, LocalSide)
    down.destination.root = Path(f"{down.destination.root}/{'/'.join(['p' * 200] * 16)}")
    down.failed_only(down.run(), "n" * 256, "/".join(["d" * 200] * 5))
