"""One copy under test, and what must hold after it whatever was done to it.

The numbered checks are the invariants of the fault matrix:
I1 every object of the destination is one complete version; I2 nothing outside it changed;
I3 the source is unchanged; I4 no secret was told; I5 the counters add up; I6 no hang (`Cli`);
I7 nothing is left over after a failure that was handled; I8 the same command again, without the
fault, ends with 0 and both trees equal byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.command import Cli, Done, Running
from tests.faults.sides import Side, Tree
from tests.servers.faultproxy import FaultProxy

WAYS = {
    "up-s3": ("local", "s3", "destination"),
    "down-s3": ("s3", "local", "source"),
    "up-azure": ("local", "azure", "destination"),
    "down-azure": ("azure", "local", "source"),
    "s3-azure": ("s3", "azure", "source"),
    "azure-s3": ("azure", "s3", "destination"),
}
"""Name: kind of source, kind of destination, and the side whose network is faulty."""


def difference(expected: Mapping[str, bytes], found: Mapping[str, bytes]) -> dict[str, str]:
    """Key by key what differs; empty where the trees are equal."""
    told: dict[str, str] = {}
    for key in sorted({*expected, *found}):
        if key not in found:
            told[key] = "missing"
        elif key not in expected:
            told[key] = "should not be there"
        elif expected[key] != found[key]:
            told[key] = f"other bytes ({len(found[key])} of {len(expected[key])})"
    return told


@dataclass(slots=True)
class Journey:
    """A copy from ``source`` to ``destination``; faults are rules of ``proxy``."""

    cli: Cli
    source: Side
    destination: Side
    proxy: FaultProxy | None = None
    faulty: str = "destination"
    secrets: tuple[str, ...] = ()
    tree: Tree = field(default_factory=dict)
    """What the source holds."""
    before: Tree = field(default_factory=dict)
    """What the destination held at first."""
    watched: dict[Path, bytes] = field(default_factory=dict)
    """Files outside both trees that must stay as they are (I2)."""
    runs: int = 0

    def fill(self, tree: Tree, *, before: Tree | None = None) -> None:
        self.source.write(tree)
        self.tree = dict(tree)
        if before:
            self.destination.write(before)
            self.before = dict(before)

    def watch(self, path: Path, content: bytes = b"canary\n") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.watched[path] = content

    # -- running -----------------------------------------------------------------------------

    def argv(self, *options: str, command: str = "sync", tells: bool = True) -> list[str]:
        words: list[str] = []
        if tells:
            words += ["--json", "-vv", "--log-file", str(self.cli.log)]
        words += [command, *(("-r",) if command == "cp" else ()), *options]
        for option, side, name in (
            ("--from-env", self.source, "source"),
            ("--to-env", self.destination, "destination"),
        ):
            through = self.proxy.endpoint if self.proxy and name == self.faulty else None
            env = side.env_file(through)
            if env is not None:
                words += [option, str(env)]
        if tells:
            self.runs += 1
            words += ["--report", str(self.report_path)]
        return [*words, self.source.address, self.destination.address]

    @property
    def report_path(self) -> Path:
        return self.cli.folder / f"report-{self.runs}.jsonl"

    @property
    def report(self) -> list[dict[str, Any]]:
        """The last run's ``--report``."""
        return [json.loads(line) for line in self.report_path.read_text().splitlines()]

    def start(self, *options: str, command: str = "sync", **how: Any) -> Running:
        return self.cli.start(*self.argv(*options, command=command), **how)

    def run(self, *options: str, command: str = "sync", **how: Any) -> Done:
        done = self.cli.run(*self.argv(*options, command=command), **how)
        print(f"exit {done.code} in {done.seconds:.1f} s")
        return done

    # -- what must hold ----------------------------------------------------------------------

    def holds_versions(self, *versions: Mapping[str, bytes]) -> Tree:
        """I1: each object of the destination is one of its complete versions, or untouched."""
        allowed = (self.tree, self.before, *versions)
        found = self.destination.read()
        for key, data in found.items():
            known = [tree[key] for tree in allowed if key in tree]
            assert data in known, f"{key}: {len(data)} bytes that are no complete version"
        return found

    def told_no_secret(self, done: Done) -> None:
        """I4, with the words of this copy (`test_leaks` searches more places)."""
        texts = [done.stdout, done.stderr]
        for path in (self.cli.log, self.report_path):
            if path.exists():
                texts.append(path.read_text(errors="replace"))
        for secret in self.secrets:
            assert not any(secret in text for text in texts), "a secret was told"

    def adds_up(self, done: Done) -> dict[str, Any]:
        """I5; gives the summary."""
        told = done.summary
        parts = ("copied", "skipped", "failed", "excluded", "left")
        assert told["listed"] == sum(told[name] for name in parts), done.explained
        return told

    def check(self, done: Done, code: int | Iterable[int], *, left: bool = False) -> Tree:
        """I1 to I7 after a run that should end with ``code``; gives what the destination holds.

        ``left`` True: unfinished uploads may wait for the next run.
        """
        codes = {code} if isinstance(code, int) else set(code)
        assert done.code in codes, done.explained
        found = self.holds_versions()
        for path, content in self.watched.items():
            assert path.read_bytes() == content, f"{path} was changed"
        assert not difference(self.tree, self.source.read())
        self.told_no_secret(done)
        if any(record.get("type") == "summary" for record in done.records):
            told = self.adds_up(done)
            if done.code == 0:
                assert told["failed"] == 0, done.explained
                assert not difference({**self.before, **self.tree}, found)
        if not left:
            assert self.destination.leftovers() == []
        return found

    def again(self, *options: str, command: str = "sync", **how: Any) -> Done:
        """I8: without the fault, by the same addresses (a journal is bound to them)."""
        if self.proxy is not None:
            self.proxy.rules.clear()
        done = self.cli.run(*self.argv(*options, command=command), **how)
        assert done.code == 0, done.explained
        assert not difference({**self.before, **self.tree}, self.destination.read())
        assert self.destination.leftovers() == []
        self.told_no_secret(done)
        return done

    def failed_only(self, done: Done, *keys: str, left: bool = False) -> Tree:
        """Exit 1, exactly these failed by name, and everything else is there."""
        found = self.check(done, 1, left=left)
        assert set(self.failed_keys()) == set(keys), done.explained
        assert not set(self.tree) - set(found) - set(keys)
        return found

    def failed_keys(self) -> dict[str, str]:
        """Key to reason of every object that the last report calls failed."""
        return {row["key"]: row["error"] for row in self.report if row["status"] == "failed"}
