"""The plugins of this repository: their own READMEs, as one page of the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).parents[2]
_FENCE = re.compile(r"^ *```")
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)]*)\)")


def readmes() -> Iterator[str]:
    """Every ``plugins/*/README.md``, one level down."""
    for path in sorted(REPO.glob("plugins/*/README.md")):
        within = False
        for line in path.read_text().splitlines():
            within ^= bool(_FENCE.match(line))
            yield line if within else _fit(line)
        yield ""


def _fit(line: str) -> str:
    """A heading one level down; a link to a page of the site, where the site has that page."""
    if line.startswith("#"):
        return f"#{line}"
    return _LINK.sub(lambda match: _moved(match[1], match[2]), line)


def _moved(text: str, target: str) -> str:
    path, _, anchor = target.partition("#")
    if path == "../../README.md":
        return f"[{text}](../index.md)"
    if path.startswith("../../docs/") and (REPO / path.removeprefix("../../")).exists():
        return f"[{text}](../{path.removeprefix('../../docs/')}{'#' * bool(anchor)}{anchor})"
    return text
