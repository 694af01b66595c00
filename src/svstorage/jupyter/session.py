"""One folder, opened by the settings: for the command line and the magic."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from svstorage.jupyter.bench import Account, Direction
from svstorage.jupyter.cycle import Cycle, check_bucket
from svstorage.jupyter.decide import Deletes
from svstorage.jupyter.folder import Folder
from svstorage.jupyter.place import Options, Target, find_target, options_from
from svstorage.jupyter.status import Status, read_status, status_path
from svstorage.jupyter.unsent import changed_here
from svstorage.settings import Settings
from svstorage.storage import Storage, connect
from svstorage.transfer.stop import StopToken


class Session(AbstractContextManager["Session"]):
    """Passes over a folder, with its status kept beside it."""

    def __init__(self, root: Path, target: Target, options: Options) -> None:
        self.cycle = Cycle(root, target, options)
        self.target = target
        self._owned: Storage | None = None

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        storage: Storage | None = None,
        path: str | None = None,
        max_size: int | None = None,
    ) -> Session:
        """By the settings; the storage is connected (and closed again) unless it is given."""
        owned = storage is None
        storage = storage or connect()
        try:
            options = options_from(storage.settings)
            if max_size is not None:
                options = replace(options, max_size=max_size)
            session = cls(Path(os.path.abspath(root)), find_target(storage, path), options)
        except BaseException:
            if owned:
                storage.close()
            raise
        session._owned = storage if owned else None
        return session

    def carry(
        self,
        direction: Direction,
        *,
        deletes: Deletes = "carry",
        stop: StopToken | None = None,
        create: bool = True,
    ) -> Account:
        """Passes until everything is carried, and the status brought up to date."""
        check_bucket(self.target)
        account = self.cycle.until_done(direction, deletes=deletes, stop=stop, create=create)
        root = self.cycle.folder.root
        before = read_status(root)
        if not before.watching:  # else the server that watches will tell, of this too
            status = Status(folder=str(root), target=self.target.base)
            status.take(account)
            if status.state == "in step" and account.to_pull:
                status.message = f"{len(account.to_pull)} files to pull"
            status.write(status_path(root))
        return account

    def __exit__(self, *exc: object) -> None:
        if self._owned is not None:
            self._owned.close()


def status_now(root: Path, settings: Settings) -> Status:
    """The status of a folder, with what has changed in it since. The storage is not asked."""
    folder = Folder(root)
    status = read_status(folder.root)
    if status.watching:
        return status
    pending = changed_here(folder, settings)
    if pending is not None:
        status.pending = pending
        if pending and status.state == "in step":
            status.state = "problem"
            files = f"{len(pending)} file{'s' if len(pending) != 1 else ''}"
            status.message = f"{files} changed since; to send: svstorage jupyter push"
    return status
