"""How a folder stands, in a small file beside its memory, for whoever wants to know.

The process that keeps the folder in step writes it; the command line, the magic and the server's
endpoint read it, in whatever process they are.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from svstorage.jupyter.bench import Account

State = Literal["in step", "syncing", "offline", "conflict", "problem", "stopped", "never"]


@dataclass(slots=True)
class Status:
    """What is known of a folder. Times are seconds since 1970 UTC, for people only.

    ``state``: ``in step``; ``syncing`` while a pass runs; ``offline`` while the storage cannot be
    reached; ``conflict`` where two versions of a file lie side by side; ``problem`` where
    something else needs a look; ``stopped`` and ``never``: nobody is at it.
    """

    state: State = "never"
    message: str = ""
    folder: str = ""
    target: str = ""
    pid: int = 0
    updated: float = 0.0
    last_pass: float | None = None
    watching: bool = False
    """True while a server keeps the folder in step by itself."""
    in_step: int = 0
    pushed: int = 0
    pulled: int = 0
    pending: list[str] = field(default_factory=list)
    """Files whose last version is not in the storage yet, as far as was seen."""
    conflicts: list[dict[str, str]] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)

    def take(self, account: Account) -> None:
        """Bring in how a pass ended."""
        self.last_pass = time.time()
        self.in_step = account.in_step + account.pushed + account.pulled + account.copied
        self.pushed += account.pushed + account.copied
        self.pulled += account.pulled
        self.pending = sorted({*account.waiting, *account.again, *account.to_push})
        self.conflicts = [dataclasses.asdict(one) for one in account.conflicts]
        self.problems = dict(account.problems)
        self.left_out = dict(account.left_out)
        self.held = list(account.held)
        self.state, self.message = self._judged()

    def _judged(self) -> tuple[State, str]:
        if self.conflicts:
            return "conflict", f"{_count(self.conflicts, 'file')} kept in two versions"
        if self.held:
            return "problem", self.held[0]
        if self.problems:
            key, reason = next(iter(self.problems.items()))
            return "problem", f"{_count(self.problems, 'file')} left out: {key}: {reason}"
        if self.pending:
            return "syncing", f"{_count(self.pending, 'file')} being written or to be sent"
        return "in step", f"{self.in_step} file{'s' if self.in_step != 1 else ''} in step"

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def write(self, path: Path) -> None:
        """Write the file; readers see the old or the new one."""
        self.updated = time.time()
        self.pid = os.getpid()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        # Keys may hold bytes that are no UTF-8: ASCII with escapes holds those too.
        draft.write_text(json.dumps(self.as_dict()), encoding="ascii")
        os.replace(draft, path)


def status_path(root: Path) -> Path:
    """Where the status of a folder lies."""
    return root / ".svstorage" / "status.json"


def read_status(root: Path) -> Status:
    """The status of a folder; that of one never kept in step where there is no readable file."""
    names = {one.name for one in dataclasses.fields(Status)}
    try:
        held = json.loads(status_path(root).read_text(encoding="ascii"))
        status = Status(**{name: value for name, value in held.items() if name in names})
    except (OSError, ValueError, TypeError, AttributeError):
        return Status(folder=str(root))
    if status.watching and not _is_alive(status.pid):
        status.watching = False
        status.state = "stopped"
        status.message = "the server that kept the folder in step has ended without a word"
    return status


def _is_alive(pid: int) -> bool:
    """Whether a process of this machine has the number; a container's number tells nothing
    elsewhere, but nor does its folder lie elsewhere while it runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return pid > 0


def _count(things: Any, word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"
