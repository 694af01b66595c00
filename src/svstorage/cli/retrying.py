"""Asking a store again: stores make no retries themselves. The rules are those of transfers;
nobody but a signal stops a command that only looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from svstorage.transfer import retry
from svstorage.transfer.retry import ATTEMPTS, PASSING
from svstorage.transfer.stop import StopToken

T = TypeVar("T")

__all__ = ["ATTEMPTS", "PASSING", "pause", "retrying"]


def retrying(ask: Callable[[], T]) -> T:
    """The answer of ``ask``, which may fail and be asked again: it must be safe to repeat."""
    return retry.retrying(ask, StopToken())


def pause(attempt: int, error: Exception) -> None:
    """Wait after a failed try; ``attempt`` counts from 1."""
    retry.pause(attempt, error, StopToken())
