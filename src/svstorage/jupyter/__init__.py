"""Notebooks that survive the container: a folder and a bucket prefix kept in step.

``svstorage jupyter`` (the command line), the ``jupyter_server`` extension and the IPython magic
``%svstorage`` are faces of one thing: a `cycle.Cycle`, which looks at both sides and at the last
state they had in common, and carries what differs. Names here are what Jupyter and IPython ask a
module for; nothing is imported before they do.
"""

from __future__ import annotations

import importlib.util
from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tells jupyter_server what to load (its "extension points" protocol).

    Where svstorage was installed without its extra ``jupyter``, that is nothing: a server that
    has nothing to do with it starts without a complaint.
    """
    if any(importlib.util.find_spec(name) is None for name in ("pathspec", "watchfiles")):
        return [{"module": "svstorage.jupyter"}]
    from svstorage.jupyter.server import SvStorageExtension

    return [{"module": "svstorage.jupyter", "app": SvStorageExtension}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Stands in for the extension where the extra is not installed."""
    server.log.debug("svstorage keeps no notebooks in step: svstorage[jupyter] is not installed")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext svstorage.jupyter`` adds the magic ``%svstorage``."""
    from svstorage.jupyter.magics import register

    register(shell)
