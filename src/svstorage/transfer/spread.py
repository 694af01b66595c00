"""A tree spread over other processes: cut into ranges, handed out, and put together again.

Each range is an ordinary run of its own in some worker. What comes back is entered here once for
each range, so that counters, report, failures and the rules for deletions are those of one run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, Full, Queue
from typing import IO, TYPE_CHECKING, cast

from svstorage.errors import UsageError
from svstorage.model import key_order
from svstorage.transfer.carry import describe
from svstorage.transfer.deletion import Deletions, Trust
from svstorage.transfer.journal import state_folder
from svstorage.transfer.reopening import why_not
from svstorage.transfer.spans import Span, cut
from svstorage.transfer.tree_task import Crew, Shape, SpanReport, SpreadingEngine, TreeTask
from svstorage.transfer.work import Outcome

if TYPE_CHECKING:
    from svstorage.transfer.run import Run

TICK_SECONDS = 0.25
HUNGRY_SECONDS = 0.02
"""Between two looks at the listing while a worker has nothing to do."""
CUT_AHEAD = 64
LAST_WORDS_SECONDS = 30.0
"""How long a run that ends early waits for what its workers have in hand."""


def spread_of(run: Run, shape: Shape | None, where: str | None) -> Spread | None:
    """How this run is spread, or None where this process carries it all.

    ``where`` names the folder of the journals, None keeps none.
    """
    engine, references = run.engine, run.hooks.references
    if shape is None or references is None or not hasattr(engine, "crew"):
        return None
    for end in (run.pair.source, run.pair.destination):
        reason = why_not(end)
        if reason is not None:
            run.ledger.warn(f"--engine {engine.name}: {reason}; this process does all the work")
            return None
    source, destination = references(run.pair)
    task = TreeTask(
        run=uuid.uuid4().hex,
        operation=run.operation,
        source=source,
        destination=destination,
        options=replace(run.options, report=None, journal=None, engine_options={}),
        on_exists=run.on_exists,
        shape=shape,
        collect_extra=run.options.delete,
        journals=where,
        forget=False,
    )
    return Spread(run, cast(SpreadingEngine, engine), task)


class Spread:
    """One run over several processes. A context manager."""

    def __init__(self, run: Run, engine: SpreadingEngine, task: TreeTask) -> None:
        self._run = run
        self._engine = engine
        self._task = task
        self.trust = Trust()
        self.planned_all = False
        self._kept: _Kept | None = None
        self._queue: Queue[Span | BaseException | None] = Queue(CUT_AHEAD)
        self._ending = threading.Event()
        self._crew: Crew | None = None
        self._out = 0
        self._whole = True

    def __enter__(self) -> Spread:
        self._keep()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        if self._crew is not None:
            self._crew.close()
        if self._kept is not None:
            self._kept.close()

    def _keep(self) -> None:
        task, run = self._task, self._run
        if task.journals is None:
            return
        folder = state_folder() / "journals" / task.journals
        explicit = isinstance(run.options.journal, Path)
        try:
            self._kept = _Kept(folder)
        except BlockingIOError:
            busy = f"another run uses the journals {folder}"
            if explicit or run.options.delete:
                raise UsageError(
                    f"{busy}: another copy of this pair is under way; wait for it to end"
                ) from None
            run.ledger.warn(f"{busy}; this run goes on without a journal")
        except OSError as error:
            if explicit:
                raise UsageError(f"--journal {folder}: {describe(error)}") from None
            run.ledger.warn(f"no journal can be kept ({describe(error)})")
        kept = self._kept
        self._task = replace(
            task,
            journals=task.journals if kept is not None else None,
            forget=kept is not None and kept.was_complete and run.on_exists == "overwrite",
        )

    def groups(self, deletions: Deletions | None) -> Iterator[Sequence[Outcome]]:
        """Do all of it; each report is entered in the books, and an empty group is yielded then
        and every quarter of a second."""
        run, stop = self._run, self._run.stop
        feeder = threading.Thread(target=self._feed, name="svstorage-cut", daemon=True)
        self._crew = crew = self._engine.crew(
            self._task, options=run.options.engine_options, stop=stop
        )
        error: BaseException | None = None
        fed = False
        try:
            feeder.start()
            while not (fed and not self._out):
                while not fed and crew.room() > 0 and not stop.stopped:
                    span = self._next()
                    if isinstance(span, Span):
                        crew.submit(span)
                        self._out += 1
                        run.ledger.planned.listed += span.objects
                        run.ledger.planned.bytes_listed += span.size
                    elif isinstance(span, _NotYet):
                        break
                    else:
                        fed, error = True, span
                        self.planned_all = error is None
                hungry = not fed and crew.room() > 0
                self._enter(crew.collect(HUNGRY_SECONDS if hungry else TICK_SECONDS), deletions)
                yield ()
                if stop.stopped or run.ledger.fatal is not None:
                    self._last_words(crew, deletions)
                    return
            if error is not None:
                raise error
            self.trust.source_complete = self.trust.destination_complete = self._whole
        finally:
            self._ending.set()
            if feeder.ident is not None:
                feeder.join(timeout=LAST_WORDS_SECONDS)

    def _last_words(self, crew: Crew, deletions: Deletions | None) -> None:
        """What the workers have in hand is done or dropped there, and told."""
        crew.stop()
        until = time.monotonic() + LAST_WORDS_SECONDS
        while self._out and time.monotonic() < until:
            self._enter(crew.collect(TICK_SECONDS), deletions)

    def _enter(self, reports: Sequence[SpanReport], deletions: Deletions | None) -> None:
        trust = self.trust
        for report in reports:
            self._out -= 1
            self._run.ledger.enter_span(report)
            self._whole = self._whole and report.complete
            trust.problems += report.problems
            trust.source_objects += report.source_objects
            trust.destination_objects += report.destination_objects
            if deletions is not None:
                for key in report.extra:
                    deletions.add(key)
            self._run.moved(report.counters.bytes_copied)

    # -- cutting -------------------------------------------------------------------------------

    def _feed(self) -> None:
        end: BaseException | None = None
        try:
            for span in self._spans():
                if not self._put(span):
                    return
        except BaseException as error:  # raised again by whoever reads
            end = error
        self._put(end)

    def _spans(self) -> Iterator[Span]:
        last: str | None = None
        kept = self._kept
        for span in kept.known if kept is not None else ():
            yield span
            last = span.upto
        for span in cut(self._run.pair.source, after=last, stop=self._run.stop):
            if kept is not None:
                kept.add(span)
            yield span

    def _put(self, item: Span | BaseException | None) -> bool:
        while not self._ending.is_set():
            with contextlib.suppress(Full):
                self._queue.put(item, timeout=TICK_SECONDS)
                return True
        return False

    def _next(self) -> Span | BaseException | _NotYet | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            return _NotYet()

    # -- the end -------------------------------------------------------------------------------

    def completed(self, *, keep: bool) -> None:
        """The run has come to its end, and well."""
        if self._kept is None:
            return
        if keep:
            self._kept.complete()
        else:
            if self._crew is not None:
                self._crew.forget()
            self._kept.remove()


class _NotYet:
    """The listing has not come to the end of the next range."""


class _Kept:
    """The cut, kept so that a further run finds the journals of its ranges again.

    One JSON line for each range, in order. A range grows or shrinks with the tree; that makes
    a further run no less right.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `BlockingIOError` where another run has it."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock: IO[str] = open(folder / "lock", "a")  # noqa: SIM115 - held for the run
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path = folder / "ranges.jsonl"
            self.known, self.was_complete = self._read()
            self._write([self._line(span) for span in self.known])
            self._file = open(self._path, "a", encoding="ascii")  # noqa: SIM115
        except BaseException:
            self._lock.close()
            raise

    def _read(self) -> tuple[list[Span], bool]:
        known: list[Span] = []
        try:
            lines = self._path.read_text(encoding="ascii").splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            return [], False
        for line in lines:
            try:
                row = json.loads(line)
                if row.get("complete") is True:
                    return known, True
                upto = str(row["upto"])
                after = known[-1].upto if known else None
                span = Span(after, upto, int(row["objects"]), int(row["size"]))
            except (ValueError, KeyError, TypeError, AttributeError):
                break  # cut off in the middle of a line; what follows is cut again
            if span.is_before(key_order(upto)):
                break
            known.append(span)
        return known, False

    def _write(self, lines: list[str]) -> None:
        new = self._path.with_suffix(".new")
        new.write_text("".join(lines), encoding="ascii")
        new.replace(self._path)

    @staticmethod
    def _line(span: Span) -> str:
        row = {"upto": span.upto, "objects": span.objects, "size": span.size}
        return json.dumps(row) + "\n"

    def add(self, span: Span) -> None:
        if span.upto is not None:
            self._file.write(self._line(span))
            self._file.flush()

    def complete(self) -> None:
        self._file.write(json.dumps({"complete": True}) + "\n")

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self._lock.close()
