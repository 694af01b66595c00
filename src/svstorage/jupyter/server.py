"""The ``jupyter_server`` extension: pulls before the start, keeps in step, flushes at the end.

It is enabled by being installed, and does nothing but answer "off" unless
``STORAGE_JUPYTER_SYNC`` or ``JUPYTER_DOWNLOAD_FILES_BEFORE_START`` is true. Whatever is wrong
with the storage, the server starts: somebody's work goes on, and the log and the status say it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.application import ExtensionApp
from tornado import web
from traitlets import Float

from svstorage.errors import StorageError
from svstorage.jupyter.cycle import Cycle, check_bucket
from svstorage.jupyter.keeper import Keeper
from svstorage.jupyter.place import DOWNLOAD, SYNC, Options, find_target, options_from
from svstorage.jupyter.status import Status, read_status, status_path
from svstorage.settings import Settings
from svstorage.storage import Storage, connect

_RETRY_SECONDS = 10.0
_DEFAULTS = Options()


class SvStorageExtension(ExtensionApp):
    """One folder, the server's root, and its prefix in the storage."""

    name = "svstorage"

    poll_seconds = Float(
        _DEFAULTS.poll, min=0.1, help="How often the storage is asked for changes."
    ).tag(config=True)
    scan_seconds = Float(
        _DEFAULTS.scan,
        min=0.1,
        help="How often the folder is walked where the system cannot tell of changes.",
    ).tag(config=True)
    flush_seconds = Float(
        _DEFAULTS.flush,
        min=0.1,
        help="How long sending what was not sent may take when the server ends.",
    ).tag(config=True)

    def initialize_settings(self) -> None:
        """Called before the server listens: files are there before anybody can ask for them."""
        logger = logging.getLogger("svstorage")
        for handler in self.log.handlers:
            logger.addHandler(handler)
        logger.setLevel(self.log.level or logging.INFO)
        self._keeper: Keeper | None = None
        self._storage: Storage | None = None
        self._retry: threading.Timer | None = None
        self._ended = False
        server = self.serverapp
        if server is None:
            raise RuntimeError("the extension was set up without a server")
        self.root = Path(server.root_dir).resolve()
        self.state = "off"
        self._wrong = ""
        try:
            settings = Settings.load()
            self._sync = settings.boolean(SYNC, default=False)
            self._download = settings.boolean(DOWNLOAD, default=False)
            self._options = self._options_of(settings)
        except StorageError as error:
            self._sync = self._download = False
            self.state = "problem"
            self._wrong = str(error)
            self.log.error("notebook files are not kept in step: %s", error)
            return
        if self._sync or self._download:
            self._begin(first=True)

    def initialize_handlers(self) -> None:
        self.handlers.extend(
            [
                (r"/svstorage/status", StatusHandler, {"extension": self}),
                (r"/svstorage/sync", SyncHandler, {"extension": self}),
            ]
        )

    def status(self) -> dict[str, Any]:
        """How the folder stands; ``off`` where nobody asked for it to be kept in step."""
        if self.state == "off":
            return {**Status(folder=str(self.root)).as_dict(), "state": "off"}
        if self.state == "problem":
            # What the file says is how the folder stood before; and nothing is written into the
            # folder of somebody whose .env may be none of ours.
            return Status("problem", self._wrong, folder=str(self.root)).as_dict()
        return read_status(self.root).as_dict()

    def ask(self) -> bool:
        """Look at both sides now. False where nothing is kept in step."""
        if self._keeper is None or not self._sync:
            return False
        self._keeper.ask()
        return True

    async def stop_extension(self) -> None:
        """Called when the server ends: sends what was not sent yet."""
        self._ended = True
        if self._retry is not None:
            self._retry.cancel()
        keeper, self._keeper = self._keeper, None
        if keeper is not None and self._sync:
            await asyncio.get_running_loop().run_in_executor(None, keeper.stop)
        if self._storage is not None:
            self._storage.close()

    def _options_of(self, settings: Settings) -> Options:
        return options_from(
            settings,
            Options(poll=self.poll_seconds, scan=self.scan_seconds, flush=self.flush_seconds),
        )

    def _begin(self, *, first: bool) -> None:
        """Connect and start. Where the storage does not answer yet, this is tried again."""
        if self._ended:
            return
        self.state = "on"
        try:
            self._storage = self._storage or connect()
            target = find_target(self._storage)
            check_bucket(target)
        except StorageError as error:
            self._not_yet(error, first=first)
            return
        keeper = Keeper(Cycle(self.root, target, self._options))
        if first and self._download:
            self.log.info("bringing the notebook files down from %s", target.base)
            keeper.pull_first()
        self._keeper = keeper
        if self._sync:
            keeper.start()

    def _not_yet(self, error: StorageError, *, first: bool) -> None:
        state = "offline" if error.exit_code == 3 else "problem"
        if first:
            self.log.error("notebook files are not kept in step: %s", error)
        status = Status(
            state=state,  # type: ignore[arg-type]
            message=str(error),
            folder=str(self.root),
            watching=self._sync,
        )
        try:
            status.write(status_path(self.root))
        except OSError as problem:
            self.log.error("the status of the notebook files cannot be written: %s", problem)
        # A wrong setting does not mend itself while the server runs, an absent service does.
        if state == "offline" or error.exit_code == 1:
            self._retry = threading.Timer(_RETRY_SECONDS, self._begin, kwargs={"first": False})
            self._retry.daemon = True
            self._retry.start()


class _Handler(APIHandler):
    auth_resource = "svstorage"

    def initialize(self, extension: SvStorageExtension) -> None:
        self.extension = extension


class StatusHandler(_Handler):
    """``GET svstorage/status``: the status as JSON (`Status`)."""

    @web.authenticated
    @authorized
    def get(self) -> None:
        self.finish(json.dumps(self.extension.status()))


class SyncHandler(_Handler):
    """``POST svstorage/sync``: look at both sides now. 409 where nothing is kept in step."""

    @web.authenticated
    @authorized
    def post(self) -> None:
        self.set_status(202 if self.extension.ask() else 409)
        self.finish(json.dumps(self.extension.status()))
