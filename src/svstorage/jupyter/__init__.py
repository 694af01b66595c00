"""Notebooks that survive the container: a folder and a bucket prefix kept in step.

``svstorage jupyter`` (the command line), the ``jupyter_server`` extension and the IPython magic
``%svstorage`` are faces of one thing: a `cycle.Cycle`, which looks at both sides and at the last
state they had in common, and carries what differs. Names here are what Jupyter and IPython ask a
module for; nothing is imported before they do.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tells jupyter_server what to load (its "extension points" protocol)."""
    from svstorage.jupyter.server import SvStorageExtension

    return [{"module": "svstorage.jupyter", "app": SvStorageExtension}]


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext svstorage.jupyter`` adds the magic ``%svstorage``."""
    from svstorage.jupyter.magics import register

    register(shell)
