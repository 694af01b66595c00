"""A Dask cluster of real processes, and the command as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.process import clean_environment, free_port, listens, running

COMMAND = (sys.executable, "-m", "svstorage.cli")


@dataclass
class Cluster:
    """A scheduler and its workers, each a process that a test may kill."""

    folder: Path
    state: Path
    port: int = field(default_factory=free_port)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheduler: subprocess.Popen[bytes] | None = None
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, workers: int = 2) -> Cluster:
        command = [
            sys.executable, "-m", "distributed.cli.dask_scheduler",
            "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard",
            "--dashboard-address", "127.0.0.1:0",
        ]  # fmt: skip
        self.scheduler = self.stack.enter_context(
            running(
                command,
                folder=self.folder / "scheduler",
                ready=lambda: listens(self.port),
                env=clean_environment(self.folder),
            )
        )
        for _ in range(workers):
            self.add_worker()
        return self

    def add_worker(self, **env: str) -> subprocess.Popen[bytes]:
        folder = self.folder / f"worker-{len(self.workers)}"
        command = [
            sys.executable, "-m", "distributed.cli.dask_worker", self.address,
            "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--memory-limit", "0", "--local-directory", str(folder),
        ]  # fmt: skip
        log = folder / "server.log"
        worker = self.stack.enter_context(
            running(
                command,
                folder=folder,
                ready=lambda: "Registered to" in log.read_text(errors="replace"),
                env=clean_environment(self.folder, SVSTORAGE_STATE_PATH=str(self.state), **env),
            )
        )
        self.workers.append(worker)
        return worker


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One scheduler and two workers for the tests that leave them alive."""
    made = Cluster(tmp_path_factory.mktemp("dask"), tmp_path_factory.mktemp("dask-state"))
    with made.stack:
        yield made.start()


@pytest.fixture
def mortal_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One for a test that kills."""
    made = Cluster(tmp_path / "dask", tmp_path / "dask-state")
    with made.stack:
        yield made.start()


@dataclass
class Done:
    code: int
    out: str
    err: str
    report: list[dict]
    summary: dict

    @property
    def actions(self) -> Counter[tuple[str, str]]:
        return Counter((row["action"], row["status"]) for row in self.report)


class Command:
    """``svstorage WORDS``, its report and its end."""

    def __init__(self, folder: Path, state: Path, cluster: Cluster | None) -> None:
        self.folder = folder
        self.report = folder / "report.jsonl"
        self.state = state
        self.engine = ["--engine", "dask"]
        self.engine += ["--scheduler", cluster.address] if cluster else ["--workers", "2"]

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        self.report.unlink(missing_ok=True)
        return subprocess.Popen(
            [*COMMAND, "--json", *words, *self.engine, "--report", str(self.report)],
            cwd=self.folder,
            env=clean_environment(self.folder, SVSTORAGE_STATE_PATH=str(self.state), **env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], timeout: float = 100) -> Done:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            raise
        rows = self.report.read_text().splitlines() if self.report.exists() else []
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return Done(
            process.returncode, out, err, [json.loads(row) for row in rows],
            lines[-1] if lines else {},
        )  # fmt: skip

    def __call__(self, *words: str, **env: str) -> Done:
        return self.end(self.start(*words, **env))


@pytest.fixture
def run(tmp_path: Path, cluster: Cluster) -> Command:
    """The command, with the shared cluster as its scheduler."""
    return Command(tmp_path, cluster.state, cluster)


@pytest.fixture
def run_on(tmp_path: Path) -> Callable[[Cluster], Command]:
    """The command, with another cluster."""
    return lambda cluster: Command(tmp_path, cluster.state, cluster)


@pytest.fixture
def embedded(tmp_path: Path) -> Command:
    """The command with processes of its own."""
    return Command(tmp_path, tmp_path / "state", None)


MakeTree = Callable[..., dict[str, bytes]]


@pytest.fixture
def make_tree() -> MakeTree:
    """Writes ``count`` files in a few folders; gives names and contents."""

    def make(root: Path, count: int, size: int = 40) -> dict[str, bytes]:
        made = {}
        for number in range(count):
            name = f"d{number % 7}/e{number % 3}/f{number:05}"
            data = (f"{number} ".encode() * size)[:size]
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            made[name] = data
        return made

    return make


def tree_of(root: Path) -> dict[str, bytes]:
    """What is below a folder, but for temporary files, which kill -9 leaves behind."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".svstorage-tmp-")
    }


@pytest.fixture(name="tree_of")
def _tree_of() -> Callable[[Path], dict[str, bytes]]:
    return tree_of
