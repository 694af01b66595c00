"""Keeps a folder in step for as long as a server runs: watches, asks, waits, goes on.

Nothing that goes wrong ends it: a storage that is away is asked again, later and later up to a
minute, and what was saved meanwhile goes up when it is back.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sqlite3
import threading
import time

from svstorage.errors import Interrupted, StorageError
from svstorage.jupyter.bench import Account
from svstorage.jupyter.cycle import Cycle
from svstorage.jupyter.place import settings_file
from svstorage.jupyter.status import Status, status_path
from svstorage.jupyter.unsent import changed_here
from svstorage.jupyter.watching import Watcher
from svstorage.transfer.carry import SERVICE_WIDE
from svstorage.transfer.stop import StopToken

log = logging.getLogger(__name__)

LONGEST_BACK_OFF = 60.0
_AGAIN = 0.5
_LONGEST_AGAIN = 10.0
_NAMED = 20


class Keeper:
    """A thread that runs passes. Make it, `start` it, `stop` it."""

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        cycle.on_work = self._working
        cycle.hurry = lambda: self._dirty
        self.options = cycle.options
        self.status = Status(folder=str(cycle.folder.root), target=cycle.target.base)
        self._path = status_path(cycle.folder.root)
        self._wake = threading.Condition()
        self._dirty = False
        self._asked = False
        self._ending = False
        self._token = StopToken()
        self._place: tuple[int, int] | None = None
        self._failures = 0
        self._again = 0
        self._looked_at_all = False
        self._look_at_all_by = 0.0
        self._said: set[str] = set()
        self._watcher = Watcher(
            cycle.folder.root,
            self.options,
            self.changed,
            settings_file(cycle.target.storage.settings),
        )
        self._thread = threading.Thread(target=self._run, name="svstorage-jupyter", daemon=True)

    # For others

    def pull_first(self) -> None:
        """Bring the files down before anything else happens; errors are told, not raised."""
        self._pass(direction="pull")

    def start(self) -> None:
        self.cycle.folder.prepare()
        self.status.watching = True
        self._write()
        self._watcher.start()
        self._thread.start()

    def changed(self) -> None:
        """Something in the folder has changed."""
        with self._wake:
            self._dirty = True
            self._wake.notify_all()

    def ask(self) -> None:
        """Look at both sides now, whatever the time of the next look."""
        with self._wake:
            self._asked = True
            self._wake.notify_all()

    def stop(self, deadline: float | None = None) -> list[str]:
        """End, after a last pass that sends what is not sent; the files that did not make it.

        ``deadline``: seconds for all of it. A storage that stalls is not waited for any longer;
        the threads that wait for it die with the process.
        """
        deadline = self.options.flush if deadline is None else deadline
        end = time.monotonic() + deadline
        self._watcher.stop()
        with self._wake:
            self._ending = True
            self._token.stop()
            self._wake.notify_all()
        token = StopToken()
        last = threading.Thread(target=self._flush, args=(token, end), daemon=True)
        last.start()
        last.join(max(0.1, end - time.monotonic()))
        token.stop()
        last.join(0.5)
        if last.is_alive():
            log.warning("the last pass did not end within %g seconds", deadline)
        return self._say_what_is_left()

    def _flush(self, token: StopToken, end: float) -> None:
        if self._thread.is_alive():
            self._thread.join(max(0.1, end - time.monotonic()))
        try:
            for _ in range(2):
                left = max(0.1, end - time.monotonic())
                account = self.cycle.run("push", quick=True, stop=token, settle=0, wait=left)
                self.status.take(account)
                if not account.again:
                    break
        except (StorageError, OSError, sqlite3.Error) as error:
            log.warning("the last pass did not come to its end: %s", error)

    def _say_what_is_left(self) -> list[str]:
        try:
            left = self._unsent()
        except (StorageError, OSError, sqlite3.Error) as error:
            log.error("what is not in the storage yet cannot be told: %s", error)
            left = list(self.status.pending)
        self.status.pending = left
        self.status.watching = False
        self.status.state = "stopped"
        if left:
            names = ", ".join(left[:_NAMED]) + (" …" if len(left) > _NAMED else "")
            files = "1 changed file" if len(left) == 1 else f"{len(left)} changed files"
            self.status.message = (
                f"{files} did not reach the storage: {names}. What is left is sent at the next "
                "start with this folder, or by: svstorage jupyter push"
            )
            log.error("%s", self.status.message)
        else:
            self.status.message = "stopped with everything in step"
            log.info("%s", self.status.message)
        self._write()
        return left

    def _unsent(self) -> list[str]:
        settings = self.cycle.target.storage.settings
        return changed_here(self.cycle.folder, settings, wait=1.0) or []

    # The thread

    def _run(self) -> None:
        quick = False
        while not self._ending:
            self._pass(quick=quick)
            if not quick:
                self._look_at_all_by = time.monotonic() + self.options.poll
            quick = self._wait()

    def _wait(self) -> bool:
        """Sleep until there is something to do; True where only the folder has to be looked at."""
        now = time.monotonic()
        until = self._look_at_all_by
        if self._failures:
            until = now + self._back_off()
        elif self._again:
            until = min(until, now + min(_AGAIN * 2 ** (self._again - 1), _LONGEST_AGAIN))
        with self._wake:
            while not (self._ending or self._asked or (self._dirty and not self._failures)):
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._wake.wait(left)
            # Saves without end must not keep the storage from being looked at.
            due = time.monotonic() >= self._look_at_all_by
            quick = not (due or self._asked or self._failures) and self._looked_at_all
            self._dirty = self._asked = False
        return quick

    def _back_off(self) -> float:
        longest = min(LONGEST_BACK_OFF, 2.0 ** min(self._failures - 1, 6))
        return random.uniform(longest / 2, longest)  # noqa: S311 - not for secrets

    def _pass(self, *, quick: bool = False, direction: str = "both") -> None:
        if self.status.last_pass is None and not self._failures:
            self._to("syncing", "looking at both sides")
        try:
            self._check_place()
            account: Account = self.cycle.run(
                direction,  # type: ignore[arg-type]
                quick=quick,
                stop=self._token,
                create=False,
            )
        except Interrupted:
            return
        except (StorageError, OSError, sqlite3.Error) as error:
            away = isinstance(error, StorageError) and isinstance(error, SERVICE_WIDE)
            self._failed("offline" if away else "problem", error)
        except Exception as error:
            # A defect of ours must not end the thread that keeps somebody's work safe.
            log.exception("a pass over the notebook folder failed")
            self._failed("problem", error)
        else:
            self._failures = 0
            self._looked_at_all = self._looked_at_all or not quick
            self._again = self._again + 1 if account.again or account.waiting else 0
            self._take(account, quick=quick)

    def _check_place(self) -> None:
        """Raise where the folder is not the one of the start: what was mounted there is not."""
        root = self.cycle.folder.root
        found = os.stat(root)
        place = (found.st_dev, found.st_ino)
        if self._place is None:
            self._place = place
        elif place != self._place:
            raise StorageError(
                f"{root} is not the folder that it was at the start. Is it still mounted? "
                "Nothing is carried until it is back"
            )

    def _working(self, count: int) -> None:
        self._to("syncing", f"{count} file{'s' if count != 1 else ''} on the way")

    def _take(self, account: Account, *, quick: bool) -> None:
        if quick:
            # It did not look at the storage: what was known of that still holds.
            account.problems = {**self.status.problems, **account.problems}
            account.held = list(dict.fromkeys([*self.status.held, *account.held]))
        self.status.take(account)
        for key, reason in account.problems.items():
            self._say_once(f"{key} is left out: {reason}")
        for sentence in account.held:
            self._say_once(sentence)
        for key in account.new_conflicts:
            log.warning("two versions of one file: both were kept, one as %s", key)
        if account.moved:
            log.info(
                "sent %d, fetched %d, copied %d, deleted %d there and %d here",
                account.pushed, account.pulled, account.copied,
                account.deleted_remote, account.deleted_local,
            )  # fmt: skip
        self._write()

    def _failed(self, state: str, error: Exception) -> None:
        self._failures += 1
        self._looked_at_all = False
        text = str(error) or type(error).__name__
        self._say_once(f"{state}: {text}", anew=self._failures == 1)
        with contextlib.suppress(StorageError, OSError, sqlite3.Error):
            self.status.pending = self._unsent()
        self._to(state, text)

    def _say_once(self, text: str, *, anew: bool = False) -> None:
        if text not in self._said or anew:
            self._said.add(text)
            log.warning("%s", text)

    def _to(self, state: str, message: str) -> None:
        self.status.state = state  # type: ignore[assignment]
        self.status.message = message
        self._write()

    def _write(self) -> None:
        try:
            self.status.write(self._path)
        except OSError as error:
            self._say_once(f"the status cannot be written: {error}")
