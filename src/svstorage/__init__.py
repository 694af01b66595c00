"""svstorage: one storage interface over local disk, S3 and Azure Blob.

``connect`` gives a storage as the settings select it; ``copy``, ``sync``, ``migrate`` and
``check`` move and compare. Names are loaded when first used, so that importing svstorage costs
next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from svstorage.errors import (
    AccessRefused,
    ChecksumMismatch,
    ConnectionFailed,
    CredentialsError,
    ObjectExists,
    ObjectNotFound,
    SettingsError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from svstorage import aio as aio
    from svstorage.api import check, copy, migrate, sync
    from svstorage.hookspecs import hookimpl
    from svstorage.settings import Secret, Settings
    from svstorage.storage import Storage, connect
    from svstorage.transfer.options import TransferOptions
    from svstorage.transfer.report import Counters, Progress, Report, Result
    from svstorage.transfer.stop import StopToken

_HOME = {
    "Counters": "transfer.report",
    "Progress": "transfer.report",
    "Report": "transfer.report",
    "Result": "transfer.report",
    "Secret": "settings",
    "Settings": "settings",
    "StopToken": "transfer.stop",
    "Storage": "storage",
    "TransferOptions": "transfer.options",
    "check": "api",
    "connect": "storage",
    "copy": "api",
    "hookimpl": "hookspecs",
    "migrate": "api",
    "sync": "api",
}

__all__ = [
    "AccessRefused",
    "ChecksumMismatch",
    "ConnectionFailed",
    "Counters",
    "CredentialsError",
    "ObjectExists",
    "ObjectNotFound",
    "Progress",
    "Report",
    "Result",
    "Secret",
    "Settings",
    "SettingsError",
    "StopToken",
    "Storage",
    "StorageError",
    "TransferOptions",
    "UsageError",
    "aio",
    "check",
    "connect",
    "copy",
    "hookimpl",
    "migrate",
    "sync",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("svstorage")
    if name == "aio":
        return importlib.import_module("svstorage.aio")
    if name in _HOME:
        value = getattr(importlib.import_module(f"svstorage.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'svstorage' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
