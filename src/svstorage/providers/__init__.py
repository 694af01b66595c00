"""Providers: each turns settings into a typed config and a config into a connected store.

`BaseProvider` is what a new provider derives from, and `BaseStore` a store of its own; ``base``
holds the protocols behind them, and ``fsspec_store`` makes a store of any fsspec filesystem. The
sub-packages ``local``, ``s3`` and ``azure`` are ordinary plugins, named only by their entry points
in ``pyproject.toml``; nothing else in svstorage imports them.
"""

from __future__ import annotations

from svstorage.providers.default import BaseProvider, BaseStore

__all__ = ["BaseProvider", "BaseStore"]
