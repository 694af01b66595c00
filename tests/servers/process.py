"""Starting a server, waiting until it answers, and ending it, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_handed_out: set[int] = set()


class ServerFailed(RuntimeError):
    """A server did not come up; the message holds the end of its log."""


def free_port(below: int | None = None) -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, never the same twice in one run."""
    for _ in range(1000):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _handed_out and (below is None or port < below):
            _handed_out.add(port)
            return port
    raise RuntimeError("no free port found")


def find_program(name: str) -> str | None:
    """The program beside this Python (pip-installed), else on PATH, else in the sbin folders."""
    beside = Path(sys.executable).parent / name
    if beside.is_file():
        return str(beside)
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """PATH and a home of its own: no credentials, proxies or settings of the tester."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "NO_PROXY": "*", **more}


def _log_end(log: Path, lines: int = 40) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


@contextmanager
def running(
    command: Sequence[str],
    *,
    folder: Path,
    ready: Callable[[], bool],
    env: dict[str, str] | None = None,
    timeout: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs ``command`` until the block ends; enters the block once ``ready()`` says True.

    ``ready`` may raise OSError for "not yet". ServerFailed: it ended early or took longer than
    ``timeout`` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    command = list(command)
    if setpriv := shutil.which("setpriv"):
        # The kernel ends the server if the test run itself is killed.
        command = [setpriv, "--pdeathsig", "KILL", "--", *command]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(folder) if env is None else env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, ready, timeout, command, log)
        yield process
    finally:
        stop(process)


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    timeout: float,
    command: Sequence[str],
    log: Path,
) -> None:
    deadline = time.monotonic() + timeout
    pause = 0.05
    while True:
        if process.poll() is not None:
            raise ServerFailed(
                f"{command} ended with {process.returncode} before it was ready:\n{_log_end(log)}"
            )
        try:
            if ready():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise ServerFailed(f"{command} not ready in {timeout} s:\n{_log_end(log)}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def stop(process: subprocess.Popen[bytes], grace: float = 2) -> None:
    """Ends the process group that `running` made, politely first."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            break
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
        break
    process.wait(grace)
