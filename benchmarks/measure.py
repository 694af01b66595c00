"""One run of one command: wall time, CPU of the client and its children, peak memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run took. ``cpu`` is user and system seconds; ``rss`` is in bytes."""

    scenario: str
    tool: str
    round: int
    wall: float
    cpu: float
    rss: int
    objects: int
    size: int
    """Bytes of all objects together."""


class RunFailed(RuntimeError):
    """A tool ended with an error: no number comes of that run."""


@dataclass(frozen=True, slots=True)
class Usage:
    wall: float
    cpu: float
    rss: int


def run(
    command: Sequence[str], *, env: Mapping[str, str], log: Path, timeout: float = 600
) -> Usage:
    """Run to the end and measure (wait4(2)); the peak is that of the largest process."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCH), str(log), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=dict(env),
        start_new_session=True,
    )
    try:
        told, _ = process.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise RunFailed(f"not done after {timeout:.0f} s") from None
        raise
    if process.returncode:
        raise RunFailed(f"{command[0]} could not be started")
    usage = json.loads(told)
    if usage["code"]:
        text = " ".join(log.read_text(errors="replace")[-300:].split())
        raise RunFailed(f"ended with {usage['code']} after {usage['wall']:.0f} s: …{text}")
    return Usage(usage["wall"], usage["cpu"], usage["rss"])
