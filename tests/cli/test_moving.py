"""The deleting half of ``mv``: sources looked at side by side, each for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from svstorage.cli import moving
from tests.cli.conftest import Store, run
from tests.servers.faultproxy import FaultProxy, status


def test_sources_are_looked_at_side_by_side(
    new_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store("s3")
    for name in "abcd":
        store.write(f"in/{name}", name.encode())
    together = threading.Barrier(4)
    real = moving.retrying

    def retrying(ask: Callable[[], Any]) -> Any:
        together.wait(timeout=20)  # breaks where one waits for another
        return real(ask)

    monkeypatch.setattr(moving, "retrying", retrying)
    store("mv", "-r", "public:in/", f"{tmp_path}/out/").ok()
    assert store.holds() == {}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == list("abcd")


@pytest.mark.faults
def test_one_that_cannot_be_looked_at_stays_and_is_named(
    new_store: Callable[..., Store], fault_proxy: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    store = new_store("s3")
    for name in "abc":
        store.write(f"in/{name}", name.encode())
    proxy = fault_proxy(store.server.server.endpoint)
    env = store.write_env(tmp_path / ".env.proxy", STORAGE_ENDPOINT=proxy.endpoint)
    proxy.rules.append(status(403, method="HEAD", path="/in/b"))
    done = run("--env-file", env, "mv", "-r", "public:in/", f"{tmp_path}/out/")
    assert done.code == 1, done.said
    assert list(store.holds()) == ["in/b"]
    assert "in/b" in done.err
    assert "3 copied" in done.err
    assert "2 deleted at the source" in done.err
