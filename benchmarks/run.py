"""Measures svstorage beside the tools people use today, interleaved in one run.

``./dev bench`` runs all of it (about a quarter of an hour on two cores); ``--quick`` a taste,
``--only upload-small,resync`` some of it, ``--publish`` writes docs/benchmarks.md anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import data, limits, machine, report  # noqa: E402
from benchmarks.measure import RunFailed, Sample, run  # noqa: E402
from benchmarks.peers import TOOLS, Job, Tool  # noqa: E402
from benchmarks.scenarios import SCENARIOS, Scenario  # noqa: E402
from benchmarks.servers import STARTERS, NotInstalled, Server  # noqa: E402

NEEDED = 10 << 30
QUICK_COUNT = 10
"""``--quick`` divides the number of objects, or the size of big ones, by this."""


class Bench:
    """One run of the harness."""

    def __init__(self, work: Path, disk: Path, rounds: int, *, quick: bool) -> None:
        self.work, self.disk = work, disk
        self.rounds, self.quick = rounds, quick
        self.timeout = 60 if quick else 300
        self.samples: list[Sample] = []
        self.notes: list[str] = []
        self._buckets = 0
        self.limits: dict[str, list[float]] = {}
        self._servers: dict[str, Server] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def scenario(self, scenario: Scenario) -> None:
        """Run all tools of one scenario, round by round, in an order that turns."""
        count, size = self._dimensions(scenario)
        try:
            server = self._server(scenario.server)
        except NotInstalled as error:
            self._note(f"{scenario.name}: left out, {error} is not installed")
            return
        rounds = 1 if self.quick else min(self.rounds, scenario.rounds or self.rounds)
        tools = self._tools(scenario, server)
        prepared: dict[int, str] = {}
        for number in range(rounds):
            for tool in tools[number % len(tools) :] + tools[: number % len(tools)]:
                share = max(1, int(count * tool.share)) if count > 1 else count
                try:
                    sample = self._once(scenario, server, tool, number, share, size, prepared)
                except RunFailed as error:
                    self._note(f"{scenario.name}: {tool.name} failed: {error}")
                    tools = [other for other in tools if other is not tool]
                    continue
                self.samples.append(sample)
                print(
                    f"{scenario.name:24} {tool.name:10} round {number + 1}  {sample.wall:8.2f} s "
                    f"wall {sample.cpu:8.2f} s CPU {sample.rss / 2**20:7.0f} MiB",
                    flush=True,
                )
            if scenario.size * scenario.count > 1 << 30 and scenario.what == "upload":
                self._measure_limits(count, size)
        for bucket in prepared.values():
            if server is not None:
                server.drop_bucket(bucket)

    def _once(
        self,
        scenario: Scenario,
        server: Server | None,
        tool: Tool,
        number: int,
        count: int,
        size: int,
        prepared: dict[int, str],
    ) -> Sample:
        what = scenario.what
        source = data.tree(self.work / f"src-{count}-{size}", count, size) if size else self.work
        bucket = other = fresh = ""
        local = source
        if scenario.is_memory or what == "list":
            bucket, other = f"list-{count}-a", f"list-{count}-b"
        elif what in ("download", "copy", "sync") and server is not None:
            if count not in prepared:
                prepared[count] = self._new_name()
                self._fill(server, prepared[count], source)
            bucket = prepared[count]
        if server is not None and what in ("upload", "copy"):
            fresh = self._new_name()
            server.new_bucket(fresh)
            bucket, other = (fresh, "") if what == "upload" else (bucket, fresh)
        if what == "download":
            local = (self.disk if scenario.disk else self.work) / "out"
            local.mkdir()
        command = tool.command(Job(what, server, local, bucket, other))
        if command is None:
            raise RunFailed(f"{tool.name} has no command for this")
        try:
            usage = run(
                command,
                env=tool.environment(server, self.work),
                log=self.work / f"{tool.name}.log",
                timeout=self.timeout,
            )
            self._prove(what, server, local, other or bucket, count)
        finally:
            if what == "download":
                shutil.rmtree(local)
            if server is not None and what in ("upload", "copy"):
                server.drop_bucket(fresh)
        return Sample(
            scenario.name, tool.name, number, usage.wall, usage.cpu, usage.rss, count, count * size
        )

    def _prove(
        self, what: str, server: Server | None, local: Path, bucket: str, count: int
    ) -> None:
        """A run counts only if everything is there afterwards."""
        if what == "download":
            found = data.count_files(local)[0]
        elif what in ("upload", "copy") and server is not None:
            found = server.count(bucket)
        else:
            return
        if found != count:
            raise RunFailed(f"{found} objects are there of {count}")

    def _fill(self, server: Server, bucket: str, source: Path) -> None:
        """Upload by svstorage, not timed. A tool that compares times finds them as it likes."""
        server.new_bucket(bucket)
        tool = TOOLS[0]
        command = tool.command(Job("sync", server, source, bucket))
        assert command is not None
        run(command, env=tool.environment(server, self.work), log=self.work / "fill.log")

    def _new_name(self) -> str:
        self._buckets += 1
        return f"bench-{self._buckets}"

    def _measure_limits(self, count: int, size: int) -> None:
        some = next((self.work / f"src-{count}-{size}").rglob("*.bin"))
        total = max(256 << 20, count * size // 4)
        self.limits.setdefault("file copy", []).append(limits.copy_rate(some, self.work))
        self.limits.setdefault("loopback", []).append(limits.loopback_rate(total))

    def _dimensions(self, scenario: Scenario) -> tuple[int, int]:
        if not self.quick:
            return scenario.count, scenario.size
        if scenario.count > 1:
            return max(1, scenario.count // QUICK_COUNT), scenario.size
        return scenario.count, scenario.size // QUICK_COUNT

    def _tools(self, scenario: Scenario, server: Server | None) -> list[Tool]:
        chosen = []
        for tool in TOOLS:
            if scenario.tools is not None and tool.name not in scenario.tools:
                continue
            if server is not None and server.kind not in tool.kinds:
                continue
            if tool.program() is None:
                self._note(f"{scenario.name}: {tool.name} is not installed")
                continue
            chosen.append(tool)
        return chosen

    def _server(self, name: str | None) -> Server | None:
        if name is None:
            return None
        if name not in self._servers:
            self._servers[name] = self._stack.enter_context(STARTERS[name](self.work))
        return self._servers[name]

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            print(text, file=sys.stderr, flush=True)


def _work_folder(given: Path | None) -> Path:
    """Memory where there is plenty of it: a disk's own noise would hide the tools."""
    if given is not None:
        return given
    shm = Path("/dev/shm")
    if shm.is_dir() and shutil.disk_usage(shm).free > NEEDED and machine.free_memory() > NEEDED:
        return shm
    return Path(tempfile.gettempdir())


def main() -> int:
    """The command line."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help=f"some of: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of the objects")
    parser.add_argument("--work", type=Path, help="folder for the data (default: memory)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--again", type=Path, help="only write the report of these results anew")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else names
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.again is not None:
        results = json.loads(options.again.read_text())
    else:
        results = _measure(options, wanted)
        path = options.out / "results.json"
        path.write_text(json.dumps(results, indent=1))
        print(f"the numbers are in {path}", file=sys.stderr)
    text = report.markdown(results)
    (options.out / "results.md").write_text(text)
    if options.publish:
        report.publish(results, ROOT / "docs")
    print(text)
    return 0


def _measure(options: argparse.Namespace, wanted: list[str]) -> dict[str, object]:
    base = _work_folder(options.work)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=base) as work,
        tempfile.TemporaryDirectory(prefix="bench-") as disk,
        Bench(Path(work), Path(disk), options.rounds, quick=options.quick) as bench,
    ):
        try:
            for scenario in SCENARIOS:
                if scenario.name in wanted:
                    bench.scenario(scenario)
        except KeyboardInterrupt:
            bench.notes.append("interrupted: what follows was not measured")
        return {
            "machine": machine.describe(Path(work), Path(disk)),
            "quick": options.quick,
            "samples": [asdict(sample) for sample in bench.samples],
            "limits": bench.limits,
            "notes": bench.notes,
        }


if __name__ == "__main__":
    os.umask(0o077)
    raise SystemExit(main())
