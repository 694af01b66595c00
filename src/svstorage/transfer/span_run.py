"""One range of a tree, carried by the ordinary run in a worker's process."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from svstorage import forks
from svstorage.errors import StorageError
from svstorage.plugins import plugins
from svstorage.strategies.base import Pair
from svstorage.transfer.carry import describe
from svstorage.transfer.checking import Checker, CheckPlanner
from svstorage.transfer.deletion import Deletions, Trust
from svstorage.transfer.filters import build_filter
from svstorage.transfer.journal import Journal, JournalBusy, state_folder
from svstorage.transfer.plan import DONE_BEFORE
from svstorage.transfer.report import Result
from svstorage.transfer.run import Hooks, Planner, Run, identity
from svstorage.transfer.spans import Span
from svstorage.transfer.stop import StopToken
from svstorage.transfer.tree_task import SpanReport, TreeTask

_OPEN_AT_MOST = 8


class _Opened:
    """The ends of the last runs in this process."""

    def __init__(self) -> None:
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self.lock = threading.Lock()
        self.pairs: OrderedDict[object, Pair] = OrderedDict()


_opened = _Opened()


def run_span(task: TreeTask, span: Span, *, stop: StopToken) -> SpanReport:
    """Carry one range. Never raises: what keeps it from being carried is in the report."""
    try:
        return _run(task, span, stop)
    except StorageError as error:
        return SpanReport(span=span, fatal=str(error), fatal_exit_code=error.exit_code)
    except OSError as error:
        return SpanReport(span=span, fatal=describe(error))


def forget(task: TreeTask) -> None:
    """Remove the journals of a run from this machine."""
    if task.journals is not None:
        shutil.rmtree(_folder(task.journals), ignore_errors=True)


def _run(task: TreeTask, span: Span, stop: StopToken) -> SpanReport:
    pair = _pair(task)
    kept = _Kept.of(task, span, pair)
    results: list[Result] = []
    options = replace(
        task.options,
        engine="local",
        journal=kept.journal if kept.journal is not None else "none",
        report=None,
        delete=False,
    )
    trust = Trust()
    run = Run(
        task.operation,
        pair,
        options=options,
        default_on_exists=task.on_exists,
        registry=plugins().registry,
        hooks=Hooks(on_result=results.append, stop=stop.child(), observed=False),
        keep_journal=True,  # until the whole tree is done; see `forget`
    )
    extra = Deletions() if task.collect_extra else None

    def planner(run: Run, _: Deletions | None) -> Planner:
        made: Planner
        if task.shape.check:
            made = CheckPlanner(
                pair,
                why_excluded=build_filter(options),
                counters=run.ledger.planned,
                tell=run.ledger.tell,
                tell_all=True,
                compare_checksums=options.verify == "checksum",
                read_back=options.read_back,
                extra_differs=task.shape.extra_differs,
                stop=run.stop,
                span=span,
            )
        else:
            made = run.tree_planner(extra, span)
        nonlocal trust
        trust = made.trust
        return made

    checker = Checker(run.stop, read_back=options.read_back) if task.shape.check else None
    try:
        report = run.execute(planner, checker)
        keys = tuple(key for batch in extra.batches() for key in batch) if extra else ()
    finally:
        if extra is not None:
            extra.close()
    counters = report.counters
    if kept.again:
        results, before = _copied_before(results)
        counters = replace(
            counters,
            skipped=counters.skipped - len(before),
            bytes_skipped=counters.bytes_skipped - sum(result.size for result in before),
            copied=counters.copied + len(before),
            bytes_copied=counters.bytes_copied + sum(result.size for result in before),
        )
    return SpanReport(
        span=span,
        counters=counters,
        results=tuple(results),
        extra=keys,
        complete=trust.source_complete and not (report.interrupted or report.fatal),
        problems=trust.problems,
        source_objects=trust.source_objects,
        destination_objects=trust.destination_objects,
        warnings=(*kept.warnings, *report.warnings),
        strategies=dict(report.strategies),
        fatal=report.fatal,
        fatal_exit_code=report.fatal_exit_code,
    )


def _copied_before(results: list[Result]) -> tuple[list[Result], list[Result]]:
    """This range is carried again, because the worker that had it was lost. What its journal
    says is done was copied in this run, and nobody was told."""
    told: list[Result] = []
    before: list[Result] = []
    for result in results:
        if result.action == "skip" and result.reason == DONE_BEFORE:
            result = replace(result, action="copy", attempts=1, reason="copied by a lost worker")
            before.append(result)
        told.append(result)
    return told, before


def _pair(task: TreeTask) -> Pair:
    """Both ends, opened once in a process: connections are kept over the ranges of a run."""
    key = (task.run, task.source, task.destination)
    with _opened.lock:
        pair = _opened.pairs.get(key)
        if pair is None:
            pair = Pair(task.source.open(), task.destination.open())
            _opened.pairs[key] = pair
            while len(_opened.pairs) > _OPEN_AT_MOST:
                _opened.pairs.popitem(last=False)  # not closed: a range may use it still
        return pair


def _folder(journals: str) -> Path:
    return state_folder() / "journals" / journals  # an absolute one stays as it is


@dataclass(slots=True)
class _Kept:
    """What this machine remembers of a range."""

    journal: Path | None = None
    again: bool = False
    """The journal was begun in this very run, by a worker that did not come to the end."""
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: TreeTask, span: Span, pair: Pair) -> _Kept:
        if task.journals is None:
            return cls()
        ends = f"{span.after!r}\n{span.upto!r}"
        name = hashlib.sha256(ends.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        folder = _folder(task.journals)
        journal, note = folder / f"{name}.sqlite", folder / f"{name}.run"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            source, destination = identity(pair)
            begun = _read(note)
            same_run = begun.get("run") == task.run
            if task.forget and not same_run:
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{journal}{suffix}").unlink(missing_ok=True)
            # Opened once before the run does: one that cannot be used is begun anew, and a range
            # that came to its end stays one of a tree that is still under way.
            with Journal(journal, source=source, destination=destination, explicit=False) as before:
                fresh = not before.had_rows
            if not same_run:
                note.write_text(json.dumps({"run": task.run, "fresh": fresh}))
        except JournalBusy:
            # Its worker was given up, and still works: it may go on, and so may we.
            return cls()
        except OSError as error:
            return cls(warnings=(f"no journal can be kept ({describe(error)})",))
        return cls(journal, again=same_run and begun.get("fresh") is True)


def _read(note: Path) -> dict[str, object]:
    try:
        found = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
