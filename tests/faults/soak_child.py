"""One long-lived process that syncs over and over; a script run by `test_soak`.

``python soak_child.py SOURCE DESTINATION FROM_ENV TO_ENV SECONDS SEED``, ``-`` for no settings.
Prints one JSON line after each sync: what it did, and what the process holds.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import threading
import time
from pathlib import Path

import svstorage
from svstorage.transfer.options import TransferOptions


def held() -> dict[str, int]:
    """Resident memory in KiB, threads and open files of this process (proc(5))."""
    told = Path("/proc/self/status").read_text()
    rows = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    return {
        "rss_kib": int(rows["VmRSS"].split()[0]),
        "threads": int(rows["Threads"]),
        "python_threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
    }


def main() -> None:
    source, destination, from_env, to_env, seconds, seed = sys.argv[1:]
    draw = random.Random(int(seed))
    root = Path(source) if from_env == "-" else None
    sides = {
        "source": None if from_env == "-" else svstorage.connect(env_file=from_env),
        "destination": None if to_env == "-" else svstorage.connect(env_file=to_env),
    }
    end = time.monotonic() + float(seconds)
    options = TransferOptions(retries=20, delete=True, max_delete=1000)
    while time.monotonic() < end:
        if root is not None:
            change(root, draw)
        began = time.monotonic()
        try:
            report = svstorage.sync(source, destination, options=options, **sides)
        except svstorage.StorageError as error:
            print(json.dumps({"error": str(error), **held()}), flush=True)
            continue
        gc.collect()
        counters = report.counters
        line = {
            "copied": counters.copied,
            "failed": counters.failed,
            "listed": counters.listed,
            "retries": counters.retries,
            "ok": report.ok,
            "fatal": report.fatal,
            "seconds": round(time.monotonic() - began, 3),
        }
        print(json.dumps({**line, **held()}), flush=True)


def change(root: Path, draw: random.Random) -> None:
    """A few files anew, a few gone; now and then a big one."""
    for _ in range(20):
        path = root / f"d{draw.randrange(8)}" / f"f{draw.randrange(60):02}"
        path.parent.mkdir(exist_ok=True)
        if path.exists() and draw.random() < 0.2:
            path.unlink()
        else:
            path.write_bytes(draw.randbytes(draw.randrange(20_000)))
    if draw.random() < 0.1:
        (root / "big").write_bytes(draw.randbytes(9 << 20))


if __name__ == "__main__":
    main()
