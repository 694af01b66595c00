"""Loaded by each process of the embedded cluster when it starts."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ctrl-C reaches every process of the terminal; it is for the command to say what ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
