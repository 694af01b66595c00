"""Hears of changes in the folder from the system, or does without."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from svstorage.errors import UsageError
from svstorage.jupyter.ignore import FILE, Ignore
from svstorage.jupyter.place import Options

log = logging.getLogger(__name__)


class Watcher:
    """A thread that calls ``changed`` some time after files of the folder have changed.

    Where the system has no more watches to give (inotify(7), /proc/sys/fs/inotify), it calls
    every ``Options.scan`` seconds instead, and says so once.
    """

    def __init__(
        self,
        root: Path,
        options: Options,
        changed: Callable[[], None],
        settings_file: Path | None = None,
    ) -> None:
        self._root = root
        self._options = options
        self._changed = changed
        self._settings_file = settings_file
        self._stop = threading.Event()
        self._ignore: Ignore | None = None
        self.scans = False
        self._thread = threading.Thread(target=self._run, name="svstorage-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Call no more. The thread, which may be waiting for the system, ends by itself."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except (OSError, RuntimeError) as error:
                # watchfiles raises the system's error, or its own kind of RuntimeError for it.
                if self._stop.is_set():
                    return
                self.scans = True
                log.warning(
                    "the system cannot tell of changes in %s (%s); the folder is walked every "
                    "%g seconds instead", self._root, error, self._options.scan,
                )  # fmt: skip
                self._scan()

    def _watch(self) -> None:
        import watchfiles

        quiet = max(50, int(self._options.debounce * 1000))
        for changes in watchfiles.watch(
            self._root,
            watch_filter=self._matters,
            debounce=quiet * 5,
            step=quiet,
            stop_event=self._stop,
            rust_timeout=1000,
            yield_on_timeout=True,
            raise_interrupt=False,
            # Not ignore_permission_denied: it also hides that there are no more watches.
        ):
            if changes and not self._stop.is_set():
                self._changed()

    def _scan(self) -> None:
        while not self._stop.wait(self._options.scan):
            self._changed()

    def _matters(self, change: object, path: str) -> bool:
        key = os.path.relpath(path, self._root)
        if key == FILE:
            self._ignore = None
            return True
        if self._ignore is None:
            try:
                self._ignore = Ignore.of_folder(self._root, self._settings_file)
            except UsageError:
                return True  # the next pass says what is wrong with it
        return not (self._ignore.key(key) or self._ignore.folder(f"{key}/"))
