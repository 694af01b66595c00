"""Random operations on both sides, random kills, then a sync: equal to a plain dictionary."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.faults.command import Cli
from tests.faults.conftest import forks  # noqa: F401 - a fixture
from tests.faults.journey import difference
from tests.faults.rows import row
from tests.faults.sides import LocalSide, S3Side, Side

pytestmark = pytest.mark.faults

NAMES = st.sampled_from(
    ["a", "b", "d/a", "d/b", "d/e/c", "d-", "d.x", "d0", "é", "x y", "big.bin", "-rf", "z"]
)
CONTENTS = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"same-size-1", b"same-size-2", b"p" * 1_200_000, b"q" * 1_200_000]),
)


class Model(RuleBasedStateMachine):
    """``source`` and ``destination`` are what both sides should hold."""

    cli: Cli
    make_sides: Any

    keys = Bundle("keys")

    @initialize()
    def begin(self) -> None:
        self.one, self.two = self.make_sides()
        self.source: dict[str, bytes] = {}
        self.destination: dict[str, bytes] = {}

    @rule(target=keys, key=NAMES, data=CONTENTS)
    def put_source(self, key: str, data: bytes) -> Any:
        self.one.write({key: data})
        self.source[key] = data
        return key

    @rule(key=keys)
    def delete_source(self, key: str) -> None:
        if key in self.source:
            self.one.delete(key)
            del self.source[key]

    @rule(key=NAMES, data=CONTENTS)
    def put_destination(self, key: str, data: bytes) -> None:
        self.two.write({key: data})
        self.destination[key] = data

    @rule(key=keys)
    def delete_destination(self, key: str) -> None:
        if key in self.two.read():
            self.two.delete(key)
        self.destination.pop(key, None)

    @rule(moment=st.floats(0.0, 0.15))
    def killed_sync(self, moment: float) -> None:
        running = self.cli.start("sync", *self._ends())
        time.sleep(moment)
        running.send(signal.SIGKILL)
        running.wait()
        found = self.two.read()
        for key, data in found.items():
            allowed = [t[key] for t in (self.source, self.destination) if key in t]
            assert data in allowed, f"{key}: no whole version"
        for key in self.destination:
            assert key in found, f"{key} was deleted without --delete"
        self.destination = found

    @rule()
    def sync_without_delete(self) -> None:
        done = self.cli.run("sync", *self._ends())
        assert done.code == 0, done.explained
        self.destination = {**self.destination, **self.source}

    @rule()
    def sync_with_delete(self) -> None:
        done = self.cli.run("sync", "--delete", "--allow-empty-source", *self._ends())
        assert done.code == 0, done.explained
        self.destination = dict(self.source)
        assert self.two.leftovers() == []

    @rule()
    def check(self) -> None:
        # By the bytes: without a checksum on both sides, the size alone would decide.
        done = self.cli.run("check", "--checksum", *self._ends())
        assert done.code == (0 if self.source == self.destination else 1), done.explained

    @invariant()
    def as_the_model_says(self) -> None:
        if hasattr(self, "one"):
            assert not difference(self.destination, self.two.read())
            assert not difference(self.source, self.one.read())

    def _ends(self) -> list[str]:
        env = self.two.env_file()
        return [*(["--to-env", str(env)] if env else []), self.one.address, self.two.address]


@row("MODEL", "random changes on both sides, random kills (hypothesis, stateful)",
     "sync makes the destination what a plain dictionary says", contract="1 2 3 8")  # fmt: skip
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_sync_model(kind: str, tmp_path: Path, forks: str, request: Any, new_bucket: Any) -> None:  # noqa: F811
    folder = tmp_path / "cli"
    folder.mkdir()
    made: list[Path] = []

    def sides() -> tuple[Side, Side]:
        for old in made:
            shutil.rmtree(old)
        made[:] = [Path(tempfile.mkdtemp(dir=tmp_path)) for _ in range(2)]
        if kind == "local":
            return LocalSide(made[0]), LocalSide(made[1])
        server = request.getfixturevalue("rclone_s3")
        return LocalSide(made[0]), S3Side(server, new_bucket(server), made[1])

    class Machine(Model):
        cli = Cli(folder, forks)
        make_sides = staticmethod(sides)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
