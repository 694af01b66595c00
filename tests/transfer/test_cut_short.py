"""A run that is stopped between its parts: what was not begun is not passed over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage.errors import Interrupted
from svstorage.transfer.stop import StopToken


def stopping_at(stop: StopToken, action: str) -> Any:
    def on_result(result: Any) -> None:
        if result.action == action:
            stop.stop()

    return on_result


def test_several_sources(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    (tmp_path / "to").mkdir()
    sources = [tmp_path / "a", tmp_path / "b"]
    stop = StopToken()
    heard = stopping_at(stop, "copy")
    report = svstorage.copy(sources, tmp_path / "to", recursive=True, on_result=heard, stop=stop)
    assert (report.interrupted, report.exit_code) == (True, 130)
    assert not (tmp_path / "to/b").exists()
    with pytest.raises(Interrupted):
        svstorage.copy(sources, tmp_path / "to", recursive=True, stop=stop)
    again = svstorage.copy(sources, tmp_path / "to", recursive=True)
    assert again.ok
    assert (tmp_path / "to/b/x").read_text() == "b"


def test_the_last_source_was_the_last(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("a")
    stop = StopToken()
    heard = stopping_at(stop, "copy")
    report = svstorage.copy(
        tmp_path / "a", tmp_path / "to", recursive=True, on_result=heard, stop=stop
    )
    assert report.exit_code == 0


@pytest.mark.parametrize("action", ["copy", "check"])
def test_several_buckets(tmp_path: Path, action: str) -> None:
    storages = []
    for name in ("one", "two"):
        for kind in ("public", "private"):
            (tmp_path / name / "storage" / f"acme-{kind}").mkdir(parents=True)
        (tmp_path / name / ".env").write_text("")
        storages.append(
            svstorage.connect(
                provider="http",
                data_path=str(tmp_path / name),
                buckets_prefix="acme",
                env_file=tmp_path / name / ".env",
            )
        )
    for kind in ("public", "private"):
        (tmp_path / f"one/storage/acme-{kind}/x").write_text(kind)
    one, two = storages
    stop = StopToken()
    report = svstorage.migrate(
        source=one, destination=two, on_result=stopping_at(stop, action), stop=stop
    )
    assert (report.interrupted, report.exit_code) == (True, 130)
    assert not (tmp_path / "two/storage/acme-private/x").exists()
    assert svstorage.migrate(source=one, destination=two).ok
    assert (tmp_path / "two/storage/acme-private/x").read_text() == "private"
