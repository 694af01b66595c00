"""Tries again where trying again may help. Stores do not: whoever uses one decides."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from svstorage.errors import ConnectionFailed, ServiceError, Throttled

log = logging.getLogger(__name__)

ATTEMPTS = 5
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 20.0
PASSING = (Throttled, ServiceError, ConnectionFailed)

T = TypeVar("T")


def retrying(operation: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """The answer of ``operation``, called up to ``attempts`` times.

    Between tries a random time of up to 0.2, 0.4, 0.8 … seconds passes (exponential backoff
    with full jitter), or what a `Throttled` asks for.
    """
    for attempt in range(1, attempts):
        try:
            return operation()
        except PASSING as error:
            pause(attempt, error)
    return operation()


def pause(attempt: int, error: Exception) -> None:
    """Wait after a failed try; ``attempt`` counts from 1."""
    wait = random.uniform(0, min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT))  # noqa: S311
    if isinstance(error, Throttled) and error.retry_after is not None:
        wait = min(max(wait, error.retry_after), _LONGEST_WAIT)
    log.info("trying again in %.1f s: %s", wait, error)
    time.sleep(wait)
