"""The workers of one run: a range is a Dask task, and its report is the task's result.

A result arrives once, whatever happens to workers on the way; the ranges of a lost worker run
again in another, where the journal of the range says what was done.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dask.config
from distributed import Client, Future, KilledWorker, LocalCluster, wait
from distributed.comm.addressing import parse_address
from distributed.comm.registry import get_backend

from svstorage.errors import ConnectionFailed, PluginError, StorageError, UsageError
from svstorage.transfer.spans import Span
from svstorage.transfer.tree_task import SpanReport, TreeTask
from svstorage_dask import worker

CONNECT_SECONDS = 15
WORKER_SECONDS = 30
REPLY_SECONDS = 10
# So many workers may die over one range before it is held to be its fault.
ALLOWED_FAILURES = 5
# No page tells anything: Dask's HTTP servers, which know no TLS here, cannot be left out.
EMBEDDED = {
    "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
# Ranges handed out for each thread of a worker: one under way and one to go on with.
RANGES_EACH = 2
LOOK_SECONDS = 1.0
# What Dask raises where the connection to the scheduler has broken.
GONE = (OSError, asyncio.CancelledError, concurrent.futures.CancelledError)

_log = logging.getLogger(__name__)


class DaskCrew:
    """See `svstorage.transfer.tree_task.Crew`."""

    def __init__(self, task: TreeTask, options: Mapping[str, str]) -> None:
        """Raises `ConnectionFailed` where no scheduler or worker answers."""
        address, number = options.get("scheduler"), options.get("workers")
        if address and number:
            raise UsageError("--workers is for processes of this machine; --scheduler has its own")
        self._cluster: LocalCluster | None = None
        self._folder: str | None = None
        self._task = task
        self._spans: dict[Future, Span] = {}
        self._count = 0
        self._slots = 0
        self._looked = 0.0
        self._stopping = False
        self._closed = False
        try:
            self._client = self._at(address) if address else self._embedded(_count(number))
            self._require_workers(address)
        except BaseException:
            self.close()
            raise

    # -- beginning -----------------------------------------------------------------------------

    def _at(self, address: str) -> Client:
        try:
            get_backend(parse_address(address)[0])  # an unknown one would be tried for long
            return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, asyncio.TimeoutError) as error:
            raise ConnectionFailed(f"no Dask scheduler answers at {address}") from error
        except ValueError as error:
            raise UsageError(f"--scheduler {address}: {error}") from None

    def _embedded(self, number: int) -> Client:
        """Processes of this machine. TLS with a certificate of the moment: whoever may talk to
        a scheduler may run programs as its user."""
        self._folder = tempfile.mkdtemp(prefix="svstorage-dask-")
        with dask.config.set(EMBEDDED):
            self._cluster = LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=True,
                dashboard_address=None,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                worker_dashboard_address=None,
                memory_limit=None,
                silence_logs=logging.CRITICAL,
                local_directory=self._folder,
                preload=["svstorage_dask.preload"],
            )
        return Client(self._cluster, set_as_default=False, timeout=CONNECT_SECONDS)

    def _require_workers(self, address: str | None) -> None:
        where = f"the Dask scheduler at {address}" if address else "the embedded Dask cluster"
        try:
            self._client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except (TimeoutError, asyncio.TimeoutError):
            raise ConnectionFailed(f"{where} has no workers") from None
        ours = worker.versions()
        try:
            found = self._client.run(worker.versions)
        except Exception as error:  # whatever keeps a worker from finding the module
            raise PluginError(
                f"{where}: a worker cannot load svstorage-dask ({type(error).__name__}). Install "
                f"svstorage {ours[0]} and svstorage-dask {ours[1]} where the workers run"
            ) from error
        for name, versions in found.items():
            if tuple(versions) != ours:
                raise PluginError(
                    f"{where}: the worker {name} has svstorage {versions[0]} and svstorage-dask "
                    f"{versions[1]}, and this command {ours[0]} and {ours[1]}"
                )
        self._look()

    def _look(self) -> None:
        """How many ranges can be worked on at once; workers come and go."""
        self._looked = time.monotonic()
        try:
            self._slots = sum(self._client.nthreads().values())
        except (*GONE, asyncio.TimeoutError) as error:
            raise self._gone() from error

    def _gone(self) -> ConnectionFailed:
        return ConnectionFailed("the Dask scheduler is gone; run the same command to go on")

    # -- the work ------------------------------------------------------------------------------

    def room(self) -> int:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        return max(1, self._slots) * RANGES_EACH - len(self._spans)

    def submit(self, span: Span) -> None:
        self._count += 1
        future = self._client.submit(
            worker.carry,
            self._share(),
            span,
            key=f"svstorage-{self._task.run[:12]}-{self._count}",
            pure=False,
        )
        self._spans[future] = span

    def _share(self) -> TreeTask:
        """The task with the part of its limits that is one worker thread's."""
        slots = max(1, self._slots)
        options = self._task.options
        if options.concurrency is not None:
            options = replace(options, concurrency=max(1, options.concurrency // slots))
        if options.bwlimit is not None:
            options = replace(options, bwlimit=options.bwlimit / slots)
        return replace(self._task, options=options)

    def collect(self, seconds: float) -> Sequence[SpanReport]:
        if not self._spans:
            time.sleep(seconds)
            return ()
        if self._stopping and time.monotonic() - self._looked > LOOK_SECONDS:
            self._tell_stop()  # also to workers that have come since
        try:
            with self._client.as_current():
                done = wait(list(self._spans), timeout=seconds, return_when="FIRST_COMPLETED").done
        except (TimeoutError, asyncio.TimeoutError):
            return ()
        except GONE as error:
            raise self._gone() from error
        reports = []
        for future in done:
            report = self._report(future)
            if report is not None:
                del self._spans[future]
                future.release()
                reports.append(report)
        return reports

    def _report(self, future: Future) -> SpanReport | None:
        """What a range has come to; None where it runs again after all."""
        span = self._spans[future]
        try:
            report: SpanReport = future.result(timeout=REPLY_SECONDS)
            return report
        except KilledWorker:
            return SpanReport(
                span=span,
                fatal=f"{ALLOWED_FAILURES} workers died over the same range of keys "
                f"({_name(span)}); see their logs",
            )
        except (TimeoutError, asyncio.TimeoutError):
            return None  # the worker that held the report was lost
        except GONE as error:
            raise self._gone() from error
        except Exception as error:  # not of a range, which tells all, but of Dask on the way
            if future.cancelled() or future.status == "lost":
                raise self._gone() from error
            raise StorageError(
                f"Dask could not run a range of keys: {type(error).__name__}"
            ) from error

    # -- the end -------------------------------------------------------------------------------

    def stop(self) -> None:
        self._stopping = True
        self._tell_stop()

    def _tell_stop(self) -> None:
        self._looked = time.monotonic()
        self._on_all(worker.stop, self._task.run)

    def forget(self) -> None:
        self._on_all(worker.forget_journals, self._task)

    def _on_all(self, function: Callable[..., Any], argument: object) -> None:
        with contextlib.suppress(*GONE, asyncio.TimeoutError):
            self._client.run(function, argument, on_error="ignore")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # Dask may say much about connections that end; nothing of it concerns a copy any more.
        with contextlib.suppress(Exception):
            client = getattr(self, "_client", None)
            if client is not None:
                if self._spans:
                    client.run(worker.stop, self._task.run, on_error="ignore")
                    client.cancel(list(self._spans))
                client.close(timeout=REPLY_SECONDS)
        with contextlib.suppress(Exception):
            if self._cluster is not None:
                self._cluster.close(timeout=REPLY_SECONDS)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _count(word: str | None) -> int:
    if word is None:
        return os.cpu_count() or 1
    if not (word.isdecimal() and 1 <= int(word) <= 256):
        raise UsageError(f"--workers {word}: write a number from 1 to 256")
    return int(word)


def _name(span: Span) -> str:
    after, upto = span.after or "the first", span.upto or "the last"
    return f"{after!r} to {upto!r}"
