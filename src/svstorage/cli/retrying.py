"""Asking a store again: stores make no retries themselves, the engine does, and here we do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from svstorage.errors import ConnectionFailed, CredentialsExpired, ServiceError, Throttled

T = TypeVar("T")

WORTH_IT = (ConnectionFailed, CredentialsExpired, ServiceError, Throttled)
TRIES = 4
_LONGEST_WAIT = 10.0


def retrying(ask: Callable[[], T], tries: int = TRIES) -> T:
    """The answer of ``ask``, which may fail and be asked again: it must be safe to repeat.

    Full jitter between tries; a ``retry_after`` of the service is heeded up to ten seconds.
    A refused connection is asked again only once: a wrong address should be told quickly.
    """
    try:
        return ask()
    except WORTH_IT as error:
        if isinstance(error, ConnectionFailed):
            tries = 2
        first: BaseException = error

    # Imported only now: most runs never need it.
    import time

    import tenacity

    jitter = tenacity.wait_random_exponential(multiplier=0.25, max=_LONGEST_WAIT)
    last = [first]

    def wait(state: tenacity.RetryCallState) -> float:
        asked = getattr(last[0], "retry_after", None)
        return max(float(jitter(state)), min(float(asked or 0), _LONGEST_WAIT))

    def again() -> T:
        try:
            return ask()
        except WORTH_IT as error:
            last[0] = error
            raise

    time.sleep(min(float(getattr(first, "retry_after", None) or 0.2), _LONGEST_WAIT))
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(WORTH_IT),
        stop=tenacity.stop_after_attempt(tries - 1),
        wait=wait,
        reraise=True,
    )(again)
