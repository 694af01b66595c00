"""``sv://``: an fsspec filesystem with exact keys over every provider's store."""

from __future__ import annotations

from svstorage.filesystem.bulk import ManyFailed
from svstorage.filesystem.core import SvFileSystem

__all__ = ["ManyFailed", "SvFileSystem"]
