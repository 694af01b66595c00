"""What a folder holds that was not sent yet, told without asking the storage."""

from __future__ import annotations

import time
from contextlib import ExitStack

from svstorage.jupyter.decide import Side
from svstorage.jupyter.folder import Busy, Folder
from svstorage.jupyter.ignore import Ignore
from svstorage.jupyter.looking import Sides, joined, local_files
from svstorage.jupyter.manifest import Manifest
from svstorage.jupyter.place import options_from, settings_file
from svstorage.jupyter.plan import Planner
from svstorage.settings import Settings


def changed_here(folder: Folder, settings: Settings, *, wait: float = 5.0) -> list[str] | None:
    """Files of the folder that changed and were not sent yet, without asking the storage.

    None where the folder was never kept in step. It only reads, so that it need not wait for a
    pass that hangs: after ``wait`` seconds it looks all the same.
    """
    if not (folder.own / "manifest.sqlite").exists():
        return None
    with ExitStack() as stack:
        try:
            now = stack.enter_context(folder.locked(wait))
        except Busy:
            now = time.time_ns()
        manifest = stack.enter_context(Manifest(folder.own / "manifest.sqlite"))
        folder.look_at_mounts(manifest.mounts())
        ignore = Ignore.of_folder(folder.root, settings_file(settings))
        max_size = options_from(settings).max_size
        planner = Planner(folder, now_ns=now, max_size=max_size)
        files = local_files(folder, ignore)
        seen = joined(manifest.rows(), files, (), prefix="", ignore=ignore, sides=Sides())
        return [
            one.key
            for one in seen
            if planner.local_side(one) is not Side.SAME
            and not folder.is_lost(one.key)
            and (one.local is None or one.local.size <= max_size)
        ]
