"""The operations for async programs: a thin bridge, not a second implementation.

Each runs its namesake of `svstorage.api` in a thread. Callbacks are called in the event loop.
Cancelling the task stops the run cleanly: what is done stays done. A loop that is a thousand calls
behind holds the run up.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

from svstorage import api
from svstorage.transfer.report import Report
from svstorage.transfer.stop import StopToken

__all__ = ["check", "copy", "migrate", "sync"]


_WAITING = 1_000
_LOOK_EVERY = 1.0


class _InLoop:
    """Calls a callback in the event loop, from the thread of the transfer.

    A loop that is behind holds the transfer up: outcomes come faster than a busy program hears of
    them, and must not heap up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[Any], Any]) -> None:
        self._loop = loop
        self._callback = callback
        self._free = threading.Semaphore(_WAITING)

    def __call__(self, told: Any) -> None:
        # A loop that was stopped calls nothing any more, and nobody is to wait for it for ever.
        while not self._free.acquire(timeout=_LOOK_EVERY):
            if not self._loop.is_running():
                break
        self._loop.call_soon_threadsafe(self._call, told)

    def _call(self, told: Any) -> None:
        try:
            self._callback(told)
        finally:
            self._free.release()


async def _run(operation: Callable[..., Report], *args: Any, **keywords: Any) -> Report:
    loop = asyncio.get_running_loop()
    for name in ("on_progress", "on_result"):
        callback = keywords.get(name)
        if callback is None:
            continue
        if inspect.iscoroutinefunction(callback):
            raise TypeError(f"{name} has to be a plain function: it is called, not awaited")
        keywords[name] = _InLoop(loop, callback)
    given = keywords.get("stop")
    stop = StopToken() if given is None else given.child()
    keywords["stop"] = stop
    work = asyncio.create_task(asyncio.to_thread(operation, *args, **keywords))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.stop()
        # What is in flight ends or is dropped; who cancels twice does not wait for it.
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # the cancellation is what is told
        raise


@functools.wraps(api.copy)
async def copy(*args: Any, **keywords: Any) -> Report:
    """`svstorage.copy`, awaited: the same arguments, report and errors."""
    return await _run(api.copy, *args, **keywords)


@functools.wraps(api.sync)
async def sync(*args: Any, **keywords: Any) -> Report:
    """`svstorage.sync`, awaited: the same arguments, report and errors."""
    return await _run(api.sync, *args, **keywords)


@functools.wraps(api.check)
async def check(*args: Any, **keywords: Any) -> Report:
    """`svstorage.check`, awaited: the same arguments, report and errors."""
    return await _run(api.check, *args, **keywords)


@functools.wraps(api.migrate)
async def migrate(*args: Any, **keywords: Any) -> Report:
    """`svstorage.migrate`, awaited: the same arguments, report and errors."""
    return await _run(api.migrate, *args, **keywords)
