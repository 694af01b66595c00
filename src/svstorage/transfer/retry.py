"""Asking a store again while a run lists or deletes; copies have their own rules (`carry`)."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from svstorage.errors import ConnectionFailed, CredentialsExpired, ServiceError, Throttled
from svstorage.transfer.stop import StopToken

log = logging.getLogger(__name__)

T = TypeVar("T")

PASSING = (Throttled, ServiceError, ConnectionFailed, CredentialsExpired)
ATTEMPTS = 6
FIRST_WAIT = 0.25
LONGEST_WAIT = 20.0


def pause(attempt: int, error: Exception, stop: StopToken) -> bool:
    """Wait after a failed try; ``attempt`` counts from 1. False where the run is to stop.

    Exponential backoff with full jitter, but not less than what a `Throttled` asks for.
    """
    wait = random.uniform(0, min(FIRST_WAIT * 2**attempt, LONGEST_WAIT))  # noqa: S311
    asked = getattr(error, "retry_after", None)
    if asked:
        wait = min(max(wait, float(asked)), LONGEST_WAIT)
    log.info("trying again in %.1f s: %s", wait, error)
    return not stop.event.wait(wait)


def retrying(ask: Callable[[], T], stop: StopToken) -> T:
    """The answer of ``ask``, which must be safe to repeat."""
    for attempt in range(1, ATTEMPTS):
        try:
            return ask()
        except PASSING as error:
            # Nobody there: a wrong address is to be told soon, not after half a minute.
            if isinstance(error, ConnectionFailed) and attempt > 2:
                raise
            if not pause(attempt, error, stop):
                raise
    return ask()
