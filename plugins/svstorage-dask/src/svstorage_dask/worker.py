"""What Dask calls in a worker's process. It is named by its module, never sent as code."""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import TYPE_CHECKING

from svstorage.transfer.span_run import forget, run_span
from svstorage.transfer.stop import StopToken

if TYPE_CHECKING:
    from svstorage.transfer.spans import Span
    from svstorage.transfer.tree_task import SpanReport, TreeTask

_RUNS_AT_MOST = 64
_tokens: dict[str, StopToken] = {}
_lock = threading.Lock()


def carry(task: TreeTask, span: Span) -> SpanReport:
    """Carry one range; what fails is in the report."""
    return run_span(task, span, stop=_token(task.run))


def stop(run: str) -> None:
    """End the ranges of a run that are under way here, and begin none."""
    _token(run).stop()


def forget_journals(task: TreeTask) -> None:
    """Remove what this machine remembers of a run."""
    forget(task)


def versions() -> tuple[str, str]:
    """Of svstorage and of this plugin."""
    return version("svstorage"), version("svstorage-dask")


def _token(run: str) -> StopToken:
    with _lock:
        token = _tokens.get(run)
        if token is None:
            while len(_tokens) >= _RUNS_AT_MOST:
                _tokens.pop(next(iter(_tokens)))
            token = _tokens[run] = StopToken()
        return token
