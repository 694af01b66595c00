"""A process that runs passes and dies on the spot at a given step; started by tests."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_STEPS = {
    "open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime",
    "ctypes.dlsym", "sqlite3.connect", "socket.connect", "os.putxattr", "os.setxattr",
}  # fmt: skip


def run(root: str, env_file: str, direction: str, kill_at: int | None) -> None:
    """Passes until done; SIGKILL before the ``kill_at``-th step that touches files or sockets."""
    import urllib3  # noqa: F401 - imported before the count begins

    from svstorage.errors import StorageError
    from svstorage.jupyter.cycle import Cycle
    from svstorage.jupyter.place import Options, find_target
    from svstorage.storage import connect

    with connect(env_file=env_file) as storage:
        cycle = Cycle(Path(root), find_target(storage), Options(settle=0))
        if kill_at is not None:
            _die_at(kill_at)
        try:
            cycle.until_done(direction)
        except StorageError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(3)
    os._exit(0)


def _die_at(number: int) -> None:
    count = 0

    def hook(event: str, args: tuple) -> None:
        nonlocal count
        if event in _STEPS:
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
