"""The command line under test: run it, watch it, stop it, kill it."""

from __future__ import annotations

import array
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).parent / "svstorage"
WAIT = 60.0
"""No command under test may take longer, whatever is done to it: "never a hang"."""

MINIATURE: dict[str, Any] = {"sizes": True, "longest_wait": 0.2}
"""The usual tweaks: see `forkserver.tweak`."""


@dataclass(slots=True)
class Done:
    """How a command ended. ``code`` is negative for a signal."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    argv: list[str]

    @property
    def records(self) -> list[dict[str, Any]]:
        """What ``--json`` printed, line by line."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    @property
    def summary(self) -> dict[str, Any]:
        """The summary that a transfer prints with ``--json``."""
        found = [record for record in self.records if record.get("type") == "summary"]
        assert len(found) == 1, self.explained
        return found[0]

    @property
    def explained(self) -> str:
        return f"svstorage {' '.join(self.argv)}\nexit {self.code}\n{self.stdout}{self.stderr}"


@dataclass(slots=True)
class Running:
    """A command under way."""

    pid: int
    argv: list[str]
    out: Path
    err: Path
    started: float
    _end: Any

    def send(self, number: int) -> None:
        """A signal to exactly this process; none if it has ended."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self, timeout: float = WAIT) -> Done:
        code = self._end(timeout)
        if code is None:
            self.send(signal.SIGKILL)
            self._end(10)
            raise AssertionError(
                f"hangs: svstorage {' '.join(self.argv)} after {timeout} s\n"
                + self.err.read_text(errors="replace")[-2000:]
            )
        return Done(
            code,
            self.out.read_text(errors="surrogateescape"),
            self.err.read_text(errors="surrogateescape"),
            time.monotonic() - self.started,
            self.argv,
        )


@dataclass(slots=True)
class Cli:
    """Commands with a home, state folder and log of their own below ``folder``."""

    folder: Path
    server: str
    """Socket of the fork server."""
    made: list[Running] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SVSTORAGE_STATE_PATH": str(self.state),
            "SVSTORAGE_DISABLE_PLUGINS": "*",
            **more,
        }

    def run(self, *argv: str | Path, timeout: float = WAIT, **how: Any) -> Done:
        """Run to the end. ``how``: see `start`."""
        return self.start(*argv, **how).wait(timeout)

    def start(
        self,
        *argv: str | Path,
        env: Mapping[str, str] | None = None,
        tweaks: Mapping[str, Any] | None = None,
        limits: Mapping[str, int] | None = None,
        ordinary: bool = False,
        real: bool = False,
        cwd: Path | None = None,
    ) -> Running:
        """Start a command.

        ``tweaks`` None means `MINIATURE`; ``limits`` are soft and hard resource limits by name;
        ``ordinary`` gives up root's way past permissions;
        ``real`` starts the installed program itself instead of a fork of the server.
        """
        words = [str(word) for word in argv]
        number = len(self.made)
        out, err = self.folder / f"out-{number}", self.folder / f"err-{number}"
        environment = self.environment(env or {})
        where = cwd or self.folder
        started = time.monotonic()
        with out.open("wb") as one, err.open("wb") as two:
            if real:
                process = subprocess.Popen(
                    [str(PROGRAM), *words],
                    stdout=one,
                    stderr=two,
                    stdin=subprocess.DEVNULL,
                    env=environment,
                    cwd=where,
                )
                running = Running(process.pid, words, out, err, started, _waiter(process))
            else:
                request = {
                    "argv": words,
                    "env": environment,
                    "cwd": str(where),
                    "tweaks": dict(MINIATURE if tweaks is None else tweaks),
                    "limits": dict(limits or {}),
                    "ordinary": ordinary,
                }
                pid, end = _ask(self.server, request, one.fileno(), two.fileno())
                running = Running(pid, words, out, err, started, end)
        self.made.append(running)
        return running


def _waiter(process: subprocess.Popen[bytes]) -> Any:
    def end(timeout: float) -> int | None:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    return end


def _ask(server: str, request: Mapping[str, Any], out: int, err: int) -> tuple[int, Any]:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(server)
    data = json.dumps(request).encode() + b"\n"
    fds = array.array("i", [out, err])
    sent = connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    connection.sendall(data[sent:])
    lines = _Lines(connection)
    pid = lines.next(30)
    if pid is None:
        raise RuntimeError("the fork server does not answer")

    def end(timeout: float) -> int | None:
        code = lines.next(timeout)
        if code is not None:
            connection.close()
        return code

    return pid, end


class _Lines:
    """Numbers, one a line, from a socket; waiting in vain does no harm."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = b""

    def next(self, timeout: float) -> int | None:
        self._connection.settimeout(timeout)
        while b"\n" not in self._held:
            try:
                data = self._connection.recv(64)
            except TimeoutError:
                return None
            if not data:
                raise RuntimeError("the fork server is gone")
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        return int(line)


@contextmanager
def fork_server(folder: Path) -> Iterator[str]:
    """The socket of a running fork server."""
    path = folder / "socket"
    command: Sequence[str] = [sys.executable, str(HERE / "forkserver.py"), str(path)]
    if setpriv := shutil.which("setpriv"):
        command = [setpriv, "--pdeathsig", "KILL", "--", *command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not path.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                text = (folder / "log").read_text()
                raise RuntimeError(f"the fork server did not come up:\n{text}")
            time.sleep(0.05)
        yield str(path)
    finally:
        process.kill()
        process.wait(10)
