"""Work on many objects at once: every failure named, none stopping the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from svstorage.errors import ObjectError

THREADS = min(32, 4 * (os.cpu_count() or 1) + 4)
_SHOWN = 10

T = TypeVar("T")
R = TypeVar("R")


class ManyFailed(ObjectError):
    """Several objects of one call failed; all others are done. ``failures`` has path and error."""

    def __init__(self, failures: Sequence[tuple[str, Exception]]) -> None:
        self.failures = tuple(failures)
        lines = [f"{len(failures)} objects failed, all others are done:"]
        lines += [f"  {path!r}: {error}" for path, error in failures[:_SHOWN]]
        if len(failures) > _SHOWN:
            lines.append(f"  and {len(failures) - _SHOWN} more (see .failures)")
        super().__init__("\n".join(lines))


def raise_failures(failures: Sequence[tuple[str, Exception]]) -> None:
    """Raises the one failure there is, as it is, or `ManyFailed` for several."""
    if len(failures) == 1:
        raise failures[0][1]
    if failures:
        raise ManyFailed(failures) from failures[0][1]


def in_parallel(
    work: Callable[[T], R], items: Iterable[T], threads: int = THREADS
) -> Iterator[tuple[T, R | Exception]]:
    """Each item with its result or failure, in the order of completion.

    At most twice as many items as threads are taken from ``items`` ahead of the results.
    """
    source = iter(items)
    first = next(source, None)
    if first is None:
        return
    second = next(source, None)
    if second is None:
        yield first, _outcome(work, first)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="svstorage-fs")
    waiting: dict[Future[R | Exception], T] = {}
    try:
        for item in _all(first, second, source):
            waiting[pool.submit(_outcome, work, item)] = item
            if len(waiting) < 2 * threads:
                continue
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(work: Callable[[T], R], item: T) -> R | Exception:
    try:
        return work(item)
    except Exception as error:  # handed to the caller, who names it
        return error


def _all(first: T, second: T, rest: Iterator[T]) -> Iterator[T]:
    yield first
    yield second
    yield from rest
