"""Variables about this machine rather than about one storage."""

from __future__ import annotations

import os

from svstorage.settings import Settings


def variable(name: str, settings: Settings) -> str | None:
    """The setting, else the process environment.

    An entry of a links file has settings of its own and sees no environment. Where this
    machine's metadata service is, and whether it may be asked, holds for it all the same.
    """
    return settings.text(name) or os.environ.get(name) or None


def switched_on(name: str, settings: Settings) -> bool:
    """True where the variable is ``true`` (as AWS's own tools read their switches)."""
    return (variable(name, settings) or "").strip().lower() == "true"
