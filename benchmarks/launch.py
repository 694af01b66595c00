"""Runs one command and tells what it took: ``launch.py LOG COMMAND...``, as JSON.

A program of its own because of its size: on Linux a process inherits the peak memory of the one
that started it, so a large harness would hide what small tools take.
"""

import json
import os
import sys
import time

out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
nothing = os.open(os.devnull, os.O_RDONLY)
started = time.perf_counter()
pid = os.posix_spawn(
    sys.argv[2],
    sys.argv[2:],
    os.environ,
    file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 0)]
    + [(os.POSIX_SPAWN_DUP2, out, number) for number in (1, 2)],
)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - started
print(
    json.dumps(
        {
            "code": os.waitstatus_to_exitcode(status),
            "wall": wall,
            "cpu": usage.ru_utime + usage.ru_stime,
            "rss": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        }
    )
)
