"""Sync for a long time under faults in one process: nothing lost, nothing piling up.

``nox -s soak`` runs it for 30 minutes; in an ordinary run it lasts a few seconds, which shows
that it works and says little about leaks. ``SVSTORAGE_TEST_SOAK`` is the length in seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.journey import Journey, difference
from tests.faults.rows import row
from tests.servers.faultproxy import SLOW_DOWN, cut, flip, status, truncate

pytestmark = pytest.mark.faults

SECONDS = float(os.environ.get("SVSTORAGE_TEST_SOAK", "6"))
CHILD = Path(__file__).parent / "soak_child.py"
SHARE = 0.01
"""Of each of five kinds of fault: 5 % of all requests."""


@row(
    "SOAK",
    "sync over and over in one process, 5 % of all requests cut, truncated, flipped or refused",
    "every sync ends well or is repaired by the next; memory, threads and open files stay flat",
    contract="5",
)
@pytest.mark.timeout(SECONDS * 2 + 180)
@pytest.mark.parametrize("way", ["up-s3"])
def test_soak(way: str, journey: Callable[..., Journey], seed: int, capsys: Any) -> None:
    copy = journey(way, {"first": b"1"})
    assert copy.proxy is not None
    copy.proxy.rules += [
        status(503, body=SLOW_DOWN, share=SHARE),
        status(500, share=SHARE),
        cut("request-body", share=SHARE),
        cut("response-head", share=SHARE),
        flip("request-body", after=20, share=SHARE / 2, method="PUT"),
        truncate(10, share=SHARE / 2, method="GET"),
    ]
    source, destination = copy.source, copy.destination
    command = [
        sys.executable, str(CHILD), source.address.rstrip("/"), destination.address, "-",
        str(destination.env_file(copy.proxy.endpoint)), str(SECONDS), str(seed),
    ]  # fmt: skip
    done = subprocess.run(
        command, env=copy.cli.environment({}), capture_output=True, text=True,
        timeout=SECONDS + 120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = figures(lines, len(copy.proxy.requests), len(copy.proxy.faults()))
    with capsys.disabled():
        print(f"\n{json.dumps(told)}")
    assert told["faults"] > 0
    assert sum(bool(line.get("ok")) for line in lines) > len(lines) * 0.9
    copy.tree = source.read()
    again = copy.again("--delete", "--max-delete", "1000")
    assert not difference(copy.tree, destination.read()), again.explained
    if SECONDS >= 60:
        assert told["rss_mib_last"] < told["rss_mib_first"] * 1.15 + 8, "memory grows"
    assert told["files_last"] <= told["files_first"] + 80, "open files pile up"
    assert told["threads_last"] <= told["threads_first"] + 20, "threads pile up"


def figures(lines: list[dict[str, Any]], requests: int, faults: int) -> dict[str, Any]:
    """Medians of the second and of the last quarter (the first one warms up)."""
    quarter = max(1, len(lines) // 4)
    first, last = lines[quarter : 2 * quarter] or lines, lines[-quarter:]

    def middle(rows: list[dict[str, Any]], name: str) -> float:
        return statistics.median(row[name] for row in rows)

    return {
        "seconds": SECONDS,
        "syncs": len(lines),
        "objects_copied": sum(line.get("copied", 0) for line in lines),
        "further_tries": sum(line.get("retries", 0) for line in lines),
        "syncs_not_ok": sum(not line.get("ok") for line in lines),
        "requests": requests,
        "faults": faults,
        "rss_mib_first": round(middle(first, "rss_kib") / 1024, 1),
        "rss_mib_last": round(middle(last, "rss_kib") / 1024, 1),
        "threads_first": middle(first, "threads"),
        "threads_last": middle(last, "threads"),
        "files_first": middle(first, "files"),
        "files_last": middle(last, "files"),
    }
