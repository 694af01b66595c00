"""Any fsspec filesystem as an `ObjectStore`: what every provider has that brings nothing more."""

from __future__ import annotations

from svstorage.providers.fsspec_store.store import FsspecStore

__all__ = ["FsspecStore"]
