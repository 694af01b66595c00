"""The report file: one JSON line for each object, written as results come in."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, TextIO

from svstorage.errors import UsageError
from svstorage.transfer.report import Result


def as_json(result: Result) -> dict[str, Any]:
    """The fields of a report line (contract section 3); absent ones are null."""
    return {
        "source": result.source,
        "destination": result.destination,
        "size": result.size,
        "action": result.action,
        "status": result.status,
        "checksum": (
            f"{result.checksum.algorithm}:{result.checksum.value}" if result.checksum else None
        ),
        "attempts": result.attempts,
        "seconds": result.seconds,
        "error": result.error,
        "error_kind": result.error_kind,
        "reason": result.reason,
        "strategy": result.strategy,
        "key": result.key,
    }


def json_line(result: Result) -> str:
    """One line of the report, without its end."""
    # Keys of files whose names are no UTF-8 hold lone surrogates: ASCII escapes carry them.
    return json.dumps(as_json(result), ensure_ascii=True)


class ReportFile:
    """Appends nothing to an older report: each run writes its own, readable by the owner."""

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise UsageError(f"--report {path}: cannot be written ({error.strerror})") from None
        self._file: TextIO = os.fdopen(descriptor, "w", encoding="ascii", buffering=1 << 16)

    def write(self, result: Result) -> None:
        self._file.write(json_line(result) + "\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """What could not be written has been told by `flush`."""
        with contextlib.suppress(OSError):
            self._file.close()
