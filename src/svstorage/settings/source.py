"""Where a setting came from, and the setting itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from svstorage.settings.secret import MASK

SourceKind = Literal["argument", "environment", "file", "links", "default"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value was set: ``file .env line 4``, ``environment``, ``argument`` …

    ``path`` and ``line`` (from 1) are set for the kinds ``file`` and ``links``.
    """

    kind: SourceKind
    path: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.path is None:
            return self.kind
        where = "links file" if self.kind == "links" else self.kind
        line = "" if self.line is None else f" line {self.line}"
        return f"{where} {shown_path(self.path)}{line}"


@dataclass(frozen=True, slots=True, repr=False)
class Setting:
    """One value as it was written, and where. Its repr shows the source only."""

    value: str
    source: Source
    # True where docker compose would replace `$…` in this value and svstorage does not.
    interpolated_by_compose: bool = False

    def __repr__(self) -> str:
        return f"Setting({MASK}, {self.source})"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a Setting cannot be pickled: it may hold a secret")


def shown_path(path: str) -> str:
    """The path as messages show it: relative when it lies in the working directory."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the working directory is gone, or another Windows drive
        return path
    return path if relative.startswith("..") else relative
