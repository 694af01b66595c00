"""Options that mean nothing are refused as they are made, before a storage is asked anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage import TransferOptions, UsageError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"on_exists": "Skip"}, "on_exists: 'Skip' is none of these: None, overwrite, skip"),
        ({"verify": "md5"}, "verify: 'md5' is none of these: none, size, checksum"),
        ({"verify": None}, "verify: None"),
        ({"links": "ignore"}, "links: 'ignore'"),
        ({"concurrency": 0}, "concurrency: 0 is below 1"),
        ({"retries": -1}, "retries: -1 is below 0"),
        ({"max_errors": 0}, "max_errors: 0"),
        ({"min_size": -1}, "min_size: -1"),
        ({"bwlimit": 0}, "bwlimit"),
        ({"include": "*.jpg"}, "include: give a list of globs, as ['*.jpg']"),
        ({"exclude": "*.tmp"}, "exclude: give a list"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_value_that_means_nothing(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        TransferOptions(**given)
    assert str(caught.value).startswith(said)


def test_lists_and_texts_are_taken_for_what_they_mean(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.jpg"):
        (tmp_path / "in" / name).write_text(name)
    journal, report = str(tmp_path / "journal"), str(tmp_path / "report")
    options = TransferOptions(include=["*.txt"], journal=journal, report=report)  # type: ignore[arg-type]
    done = svstorage.sync(tmp_path / "in", tmp_path / "out", options=options)
    assert (done.ok, done.counters.copied, done.counters.excluded) == (True, 1, 1)
    assert Path(journal).stat().st_size > 0
    assert Path(report).stat().st_size > 0
