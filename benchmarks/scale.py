"""The constants of docs/scale.md: what one object, one listed key and one GiB cost the client.

    python benchmarks/scale.py            # some ten minutes on two cores
    python benchmarks/scale.py --quick

Each figure is a slope: two runs of different size, so that what a command costs by itself falls
out; medians of interleaved rounds. The service is ``sink.py``, which does next to nothing (for big
objects ``rclone serve s3``), and the folders are in memory (/dev/shm), so that what is measured is
the client. ``dask`` compares one process with two workers, once with the start of the embedded
cluster and once with a cluster that is there already.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measure import Usage, run  # noqa: E402
from benchmarks.servers import ACCESS_KEY, SECRET_KEY, Server, rclone, sink  # noqa: E402
from tests.servers.faultproxy import FaultProxy  # noqa: E402
from tests.servers.process import clean_environment, free_port, running  # noqa: E402

PARTS = ["slopes", "requests", "journal", "report", "dask"]
SMALL = 4096
MIB = 1 << 20


class Place:
    """The folder of one run of this program, its settings files and the command in it."""

    def __init__(self, folder: Path, server: Server, other: Server, other_key: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.server = server
        self.other = other
        self.other_key = other_key
        self.count = 0
        # Two services to svstorage, so that the bytes pass the client.
        self.one = self.settings("one", ACCESS_KEY, server.endpoint)
        self.two = self.settings("two", other_key, other.endpoint)

    def settings(self, name: str, key: str, endpoint: str) -> Path:
        path = self.folder / f"{name}.env"
        path.write_text(
            f"STORAGE_PROVIDER=minio\nSTORAGE_ENDPOINT={endpoint}\n"
            f"STORAGE_ACCESS_KEY={key}\nSTORAGE_SECRET_KEY={SECRET_KEY}\n"
        )
        path.chmod(0o600)
        return path

    def bucket(self) -> str:
        self.count += 1
        name = f"scale-{os.getpid()}-{self.count}"
        self.server.new_bucket(name)
        if self.other is not self.server:
            self.other.new_bucket(name)
        return name

    def drop(self, bucket: str) -> None:
        self.server.drop_bucket(bucket)
        if self.other is not self.server:
            self.other.drop_bucket(bucket)

    def fresh(self, name: str) -> Path:
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def svstorage(self, *words: str) -> Usage:
        """The command, with a state folder of its own."""
        return run(
            [sys.executable, "-m", "svstorage.cli", "-q", *words],
            env=clean_environment(
                self.folder, SVSTORAGE_STATE_PATH=str(self.folder / "state"), PYTHONPATH=""
            ),
            log=self.folder / "log",
        )


def files(folder: Path, count: int, size: int) -> Path:
    """A tree of ``count`` files in folders of 500."""
    for number in range(count):
        path = folder / f"{number // 500:05}" / f"object-{number:08}.bin"
        if number % 500 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            left = size
            while left > 0:
                left -= file.write(os.urandom(min(left, MIB)))
    return folder


def listing(place: Place, count: int, size: int) -> Usage:
    return place.svstorage("--env-file", str(place.one), "du", f"sv://list-{count}-x")


def upload(place: Place, count: int, size: int) -> Usage:
    source = files(place.fresh("src"), count, size)
    bucket = place.bucket()
    used = _up(place, source, bucket)
    place.drop(bucket)
    return used


def download(place: Place, count: int, size: int) -> Usage:
    bucket = place.bucket()
    _up(place, files(place.fresh("src"), count, size), bucket)
    target = place.fresh("dst")
    words = ["--from-env", str(place.one), f"sv://{bucket}/", f"{target}/"]
    used = place.svstorage("cp", "-r", *words)
    shutil.rmtree(target)
    place.drop(bucket)
    return used


def across(place: Place, count: int, size: int) -> Usage:
    return _across(place, count, size)[0]


def nothing_new(place: Place, count: int, size: int) -> Usage:
    """The pass after a pass: all is there, and the journal knows it."""
    return _across(place, count, size)[1]


def _up(place: Place, source: Path, bucket: str) -> Usage:
    return place.svstorage("cp", "-r", "--to-env", str(place.one), f"{source}/", f"sv://{bucket}/")


def _across(place: Place, count: int, size: int) -> tuple[Usage, Usage]:
    one, two = place.bucket(), place.bucket()
    _up(place, files(place.fresh("src"), count, size), one)
    words = ["--from-env", str(place.one), "--to-env", str(place.two)]
    words += [f"sv://{one}/", f"sv://{two}/"]
    first = place.svstorage("sync", *words)
    second = place.svstorage("sync", *words)
    for bucket in (one, two):
        place.drop(bucket)
    return first, second


Measure = Callable[[Place, int, int], Usage]
# Name, unit, measure, smaller and bigger run as (objects, bytes of each), units between them.
# What is counted in GiB needs a service that takes parts, which the sink does not.
Row = tuple[str, str, Measure, tuple[int, int], tuple[int, int], float]


def rows(quick: bool) -> list[Row]:
    few = (200, 600) if quick else (2_000, 8_000)
    keys = (10_000, 30_000) if quick else (100_000, 400_000)
    big = (64 * MIB, 192 * MIB) if quick else (256 * MIB, 1024 * MIB)
    objects = float(few[1] - few[0])
    size = (big[1] - big[0]) / (1 << 30)
    return [
        ("list", "key", listing, (keys[0], 0), (keys[1], 0), float(keys[1] - keys[0])),
        ("upload 4 KiB", "object", upload, (few[0], SMALL), (few[1], SMALL), objects),
        ("download 4 KiB", "object", download, (few[0], SMALL), (few[1], SMALL), objects),
        ("across 4 KiB", "object", across, (few[0], SMALL), (few[1], SMALL), objects),
        ("nothing new", "object", nothing_new, (few[0], SMALL), (few[1], SMALL), objects),
        ("upload, big", "GiB", upload, (1, big[0]), (1, big[1]), size),
        ("download, big", "GiB", download, (1, big[0]), (1, big[1]), size),
        ("across, big", "GiB", across, (1, big[0]), (1, big[1]), size),
    ]


def slopes(sinks: Place, real: Place, rounds: int, quick: bool) -> Iterator[dict[str, object]]:
    for name, unit, measure, small, large, between in rows(quick):
        place = real if unit == "GiB" else sinks
        pairs = [(measure(place, *small), measure(place, *large)) for _ in range(rounds)]
        cpu = statistics.median(b.cpu - a.cpu for a, b in pairs) / between
        wall = statistics.median(b.wall - a.wall for a, b in pairs) / between
        rss = max(b.rss for _, b in pairs)
        yield {
            "what": name, "unit": unit, "cpu": cpu, "wall": wall, "peak_mib": round(rss / MIB),
        }  # fmt: skip


def requests(sinks: Place, real: Place) -> Iterator[dict[str, object]]:
    """Requests of one object, by method, counted by a proxy before each side."""
    for name, big in (("upload 4 KiB", False), ("across 4 KiB", False), ("across 256 MiB", True)):
        place, count, size = (real, 1, 256 * MIB) if big else (sinks, 200, SMALL)
        source = files(place.fresh("src"), count, size)
        one, two = place.bucket(), place.bucket()
        proxies = [FaultProxy(place.server.endpoint), FaultProxy(place.other.endpoint)]
        try:
            front = place.settings("front", ACCESS_KEY, proxies[0].endpoint)
            other = place.settings("other", place.other_key, proxies[1].endpoint)
            if name.startswith("upload"):
                place.svstorage("cp", "-r", "--to-env", str(front), f"{source}/", f"sv://{one}/")
            else:
                _up(place, source, one)
                words = ["--from-env", str(front), "--to-env", str(other)]
                place.svstorage("sync", *words, f"sv://{one}/", f"sv://{two}/")
            sides = [Counter(request.method for request in proxy.requests) for proxy in proxies]
        finally:
            for proxy in proxies:
                proxy.close()
        yield {
            "what": name,
            "sides": [{m: n / count for m, n in sorted(side.items())} for side in sides],
        }
        for bucket in (one, two):
            place.drop(bucket)


def journal(place: Place, count: int) -> dict[str, object]:
    """Bytes of the journal for each object of a sync between services."""
    state = place.fresh("state")
    _across(place, count, 16)
    size = sum(path.stat().st_size for path in (state / "journals").glob("*.sqlite"))
    return {"what": "journal", "bytes": size / count, "objects": count}


def entering(folder: Path, count: int = 20_000) -> dict[str, object]:
    """CPU and bytes for each object of what a range's report costs the command that gets it."""
    from svstorage.model import Checksum
    from svstorage.transfer.ledger import Ledger
    from svstorage.transfer.report import Counters, Result
    from svstorage.transfer.reporter import ReportFile
    from svstorage.transfer.spans import Span
    from svstorage.transfer.tree_task import SpanReport

    results = []
    for number in range(count):
        key = f"{number // 500:05}/object-{number:08}.bin"
        checksum = Checksum("md5", f"{number:032x}")
        results.append(
            Result(
                "copy", "done", key, f"sv://one/{key}", f"sv://two/{key}", SMALL, checksum, 1,
                0.012345, "native",
            )
        )  # fmt: skip
    counters = Counters(listed=count, copied=count)
    report = SpanReport(
        span=Span(None, "x", count, 0), counters=counters, results=tuple(results), complete=True
    )
    data = pickle.dumps(report)
    taken = []
    for number in range(5):
        file = ReportFile(folder / f"report-{number}.jsonl")
        ledger = Ledger(max_errors=None, on_result=lambda result: None, report=file)
        began = time.process_time()
        ledger.enter_span(pickle.loads(data))
        taken.append(time.process_time() - began)
        file.close()
    return {
        "what": "report of a range", "bytes": len(data) / count,
        "cpu": statistics.median(taken) / count,
    }  # fmt: skip


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[str]:
    """A scheduler and workers that are there before the command."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    env = clean_environment(folder, SVSTORAGE_STATE_PATH=str(folder / "state"), PYTHONPATH="")
    with ExitStack() as stack:
        for number in range(workers + 1):
            where = folder / f"dask-{number}"
            program = "dask_worker" if number else "dask_scheduler"
            words = [address, "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
            words += ["--local-directory", str(where)]
            log = where / "server.log"
            stack.enter_context(
                running(
                    [
                        sys.executable,
                        "-m",
                        f"distributed.cli.{program}",
                        "--host",
                        "127.0.0.1",
                        *(words if number else ["--port", str(port)]),
                        "--dashboard-address",
                        "127.0.0.1:0",
                        "--no-dashboard",
                    ],
                    folder=where,
                    ready=lambda log=log, number=number: (
                        ("Registered to" if number else "Scheduler at") in log.read_text()
                    ),
                    env=env,
                )
            )
        yield address


def dask(place: Place, rounds: int, count: int) -> dict[str, object]:
    """Seconds of one process, of an embedded cluster of two, and of a running one."""
    source = files(place.fresh("src"), count, SMALL)
    walls: dict[str, list[float]] = {}
    with cluster(place.folder, 2) as address:
        ways = {
            "one process": [],
            "dask, embedded": ["--engine", "dask", "--workers", "2"],
            "dask, running": ["--engine", "dask", "--scheduler", address],
        }
        for number in range(rounds):
            for name in list(ways)[number % 3 :] + list(ways)[: number % 3]:
                target = place.fresh("dst")
                used = place.svstorage("cp", "-r", *ways[name], f"{source}/", f"{target}/")
                walls.setdefault(name, []).append(used.wall)
    return {"what": "dask", "objects": count, "seconds": walls}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--files", type=int, help="of the comparison with Dask")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    wanted = [given.only] if given.only else PARTS
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=base)))
        server = stack.enter_context(sink(folder))
        place = Place(folder / "small", server, server, "otheraccesskey")
        two = []
        for name in ("from", "to"):
            (folder / name).mkdir()
            two.append(stack.enter_context(rclone(folder / name)))
        real = Place(folder / "big", *two, ACCESS_KEY)
        if "slopes" in wanted:
            for row in slopes(place, real, given.rounds, given.quick):
                _tell(row)
        if "requests" in wanted:
            for row in requests(place, real):
                _tell(row)
        if "journal" in wanted:
            _tell(journal(place, 2_000 if given.quick else 20_000))
        if "report" in wanted:
            _tell(entering(folder))
        if "dask" in wanted:
            _tell(dask(place, given.rounds, given.files or (5_000 if given.quick else 40_000)))


def _tell(row: dict[str, object]) -> None:
    print(json.dumps({**row, "load": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
