"""The operations for async programs: a thin bridge, not a second implementation.

Each runs its namesake of `svstorage.api` in a thread. Callbacks are called in the event loop.
Cancelling the task stops the run cleanly: what is done stays done.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from svstorage import api
from svstorage.transfer.report import Report
from svstorage.transfer.stop import StopToken

__all__ = ["check", "copy", "migrate", "sync"]


async def _run(operation: Callable[..., Report], *args: Any, **keywords: Any) -> Report:
    loop = asyncio.get_running_loop()
    for name in ("on_progress", "on_result"):
        callback = keywords.get(name)
        if callback is not None:
            keywords[name] = functools.partial(loop.call_soon_threadsafe, callback)
    stop = keywords.setdefault("stop", StopToken())
    work = asyncio.create_task(asyncio.to_thread(operation, *args, **keywords))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.stop()
        await asyncio.wait([work])
        raise


@functools.wraps(api.copy)
async def copy(*args: Any, **keywords: Any) -> Report:
    return await _run(api.copy, *args, **keywords)


@functools.wraps(api.sync)
async def sync(*args: Any, **keywords: Any) -> Report:
    return await _run(api.sync, *args, **keywords)


@functools.wraps(api.check)
async def check(*args: Any, **keywords: Any) -> Report:
    return await _run(api.check, *args, **keywords)


@functools.wraps(api.migrate)
async def migrate(*args: Any, **keywords: Any) -> Report:
    return await _run(api.migrate, *args, **keywords)
