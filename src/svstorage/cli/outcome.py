"""What a transfer tells while it runs and at its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from svstorage.cli.units import human_size, human_time

if TYPE_CHECKING:
    from svstorage.cli.output import Output
    from svstorage.transfer.report import Counters, Report, Result

_DONE = {"copy": "copied", "delete": "deleted", "check": "same", "skip": "skipped"}


class Told:
    """Tells single results as they come: failures always, plans of a dry run, rest with -v."""

    def __init__(self, out: Output, *, checking: bool = False) -> None:
        self.out = out
        self.checking = checking
        self.failures = 0
        self.by_size = 0
        """Objects found to be the same by their size, where no checksum was offered."""

    def __call__(self, result: Result) -> None:
        """Called with each outcome, in the thread that runs the transfer."""
        if self.checking and result.reason == "same (size)" and result.size:
            self.by_size += 1
        if result.status == "failed" and self.checking and result.action == "check":
            self._difference(result)
        elif result.status == "failed":
            self.failures += 1
            self.out.failure(_failure_text(result), **_details(result))
        elif result.status == "planned":
            self._planned(result)
        elif self.out.verbose and result.action in ("copy", "delete"):
            self.out.note(f"{_DONE[result.action]} {_way(result)}")
        elif self.out.verbose >= 2 and result.reason:
            done = _DONE.get(result.action, result.action)
            self.out.note(f"{done} {result.key}: {result.reason}")

    def _difference(self, result: Result) -> None:
        from svstorage.transfer.reporter import as_json

        if self.out.json:
            self.out.record(as_json(result))
        else:
            detail = f" ({result.error})" if result.error else ""
            # Two single objects have no key below anything.
            self.out.line(f"{result.reason or 'differs'}: {result.key or result.source}{detail}")

    def _planned(self, result: Result) -> None:
        from svstorage.transfer.reporter import as_json

        if self.out.json:
            self.out.record(as_json(result))
        elif result.action in ("copy", "delete"):
            self.out.line(f"would {result.action} {_way(result)}")


def _way(result: Result) -> str:
    if result.action == "delete":
        return result.destination
    return f"{result.source} -> {result.destination}"


def _failure_text(result: Result) -> str:
    place = result.destination if result.action == "delete" else result.source
    verb = {"copy": "copy", "delete": "delete", "check": "check"}.get(result.action, result.action)
    return f"{verb} {place or result.key}: {result.error or result.reason or 'failed'}"


def _details(result: Result) -> dict[str, Any]:
    return {
        "kind": result.error_kind,
        "key": result.key,
        "source": result.source,
        "destination": result.destination,
        "exit_code": 1,
    }


def report_record(report: Report) -> dict[str, Any]:
    """A whole report as JSON shows it."""
    from svstorage.transfer.reporter import as_json

    counters = report.counters
    names = tuple(type(counters).__slots__)
    return {
        "type": "summary",
        "operation": report.operation,
        "source": report.source,
        "destination": report.destination,
        "ok": report.ok,
        "exit_code": report.exit_code,
        "dry_run": report.dry_run,
        "interrupted": report.interrupted,
        "fatal": report.fatal,
        "seconds": round(report.seconds, 3),
        **{name: getattr(counters, name) for name in names},
        "strategies": dict(report.strategies),
        "failures": [as_json(result) for result in report.failures],
        "differences": [as_json(result) for result in report.differences],
        "warnings": list(report.warnings),
        "parts": [report_record(part) for part in report.parts],
    }


def tell_end(
    out: Output,
    report: Report,
    *,
    stats: bool = False,
    with_summary: bool = True,
    by_size: int = 0,
) -> None:
    """The summary: JSON on stdout, or a few lines on stderr. ``by_size``: see `Told`."""
    for warning in report.warnings:
        if warning != report.fatal:
            out.note(f"warning: {warning}")
    if report.fatal:
        out.failure(report.fatal, kind="Fatal", exit_code=report.exit_code)
    if out.json:
        checked = {"same_by_size": by_size} if report.operation == "check" else {}
        out.record({**report_record(report), **checked})
        return
    if with_summary:
        out.note(summary(report, by_size=by_size))
    if stats:
        for text in figures(report):
            out.note(f"  {text}")


def summary(report: Report, *, by_size: int = 0) -> str:
    """One line with counters that add up: listed = the sum of what follows."""
    counters = report.counters
    noun = "object" if counters.listed == 1 else "objects"
    words = [f"{counters.listed} {noun} ({human_size(counters.bytes_listed)}):"]
    copied = "to copy" if report.dry_run else "copied"
    if report.operation == "check":
        same = counters.copied + counters.skipped
        how = "by size" if by_size == same else f"{by_size} by size"
        hint = f" ({how}; --checksum compares the bytes)" if by_size else ""
        rows = [(same, f"the same{hint}")]
    else:
        rows = [(counters.copied, copied), (counters.skipped, "unchanged or skipped")]
    rows += [
        (counters.failed, "different or failed" if report.operation == "check" else "failed"),
        (counters.excluded, "excluded"),
        (counters.left, "left"),
    ]
    told = [f"{count} {word}" for index, (count, word) in enumerate(rows) if count or index == 0]
    words.append(", ".join(told))
    if counters.deleted or counters.delete_failed:
        failed = f" ({counters.delete_failed} failed)" if counters.delete_failed else ""
        word = "to delete" if report.dry_run else "deleted"
        side = "source" if report.operation == "move" else "destination"
        words.append(f"+ {counters.deleted} {word} at the {side}{failed}")
    end = f"in {human_time(report.seconds)}"
    # A rate over a moment says nothing of the next terabyte.
    if report.seconds >= 1 and counters.bytes_copied and not report.dry_run:
        end += f", {human_size(counters.bytes_copied / report.seconds)}/s"
    words.append(end)
    if report.interrupted:
        words.append("- interrupted; the same command goes on")
    if not counters.add_up():
        words.append("- THE COUNTERS DO NOT ADD UP: please report this")
    return " ".join(words)


def figures(report: Report) -> list[str]:
    """What ``--stats`` adds."""
    counters: Counters = report.counters
    seconds = max(report.seconds, 1e-9)
    return [
        f"bytes copied: {counters.bytes_copied} ({human_size(counters.bytes_copied)})",
        f"bytes already there: {counters.bytes_skipped} ({human_size(counters.bytes_skipped)})",
        f"objects a second: {counters.copied / seconds:.1f}",
        f"bytes a second: {counters.bytes_copied / seconds:.0f}",
        f"further tries: {counters.retries}",
        f"strategies: {json.dumps(dict(report.strategies), sort_keys=True)}",
    ]
