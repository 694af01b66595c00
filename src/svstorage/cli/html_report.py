"""A migration as one HTML file: sizes, rates over time, failures. It loads nothing from anywhere
and runs no script, so that it can be mailed and opened years later.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from svstorage.addresses import display
from svstorage.cli.migration_page import Checked, bucket_of, rate_of, verdict_of
from svstorage.cli.units import human_size, human_time

if TYPE_CHECKING:
    from svstorage.transfer.report import Progress, Report, Result

MOST_SAMPLES = 600
MOST_FAILURES = 1000
_CLASSES = (
    (0, "empty"),
    (1 << 10, "up to 1 KiB"),
    (1 << 20, "up to 1 MiB"),
    (100 << 20, "up to 100 MiB"),
    (1 << 30, "up to 1 GiB"),
    (1 << 62, "above 1 GiB"),
)


@dataclass(slots=True)
class SizeClass:
    """Objects of about one size that were copied."""

    name: str
    objects: int = 0
    size: int = 0


@dataclass(slots=True)
class Recorder:
    """Hears of results and progress while a migration runs; its size does not grow with it."""

    started: float = field(default_factory=time.time)
    sizes: list[SizeClass] = field(default_factory=lambda: [SizeClass(n) for _, n in _CLASSES])
    failures: list[tuple[str, str]] = field(default_factory=list)
    failed: int = 0
    samples: list[tuple[float, float]] = field(default_factory=list)
    """(seconds since the beginning, bytes a second)."""
    _begun: float = field(default_factory=time.monotonic)

    def on_result(self, result: Result) -> None:
        """Called for every object."""
        if result.status == "failed":
            self.failed += 1
            if len(self.failures) < MOST_FAILURES:
                where = result.source or result.destination
                self.failures.append((where, result.error or result.reason or "failed"))
        elif result.action == "copy" and result.status == "done":
            index = next(i for i, (most, _) in enumerate(_CLASSES) if result.size <= most)
            self.sizes[index].objects += 1
            self.sizes[index].size += result.size

    def on_progress(self, progress: Progress) -> None:
        """Called about four times a second."""
        self.samples.append((time.monotonic() - self._begun, progress.rate))
        if len(self.samples) > MOST_SAMPLES:
            pairs = zip(self.samples[::2], self.samples[1::2], strict=False)
            self.samples = [(two[0], (one[1] + two[1]) / 2) for one, two in pairs]


def write(
    path: Path,
    report: Report,
    recorder: Recorder,
    checked: Checked,
    page: Sequence[str],
) -> None:
    """Write the file at once or not at all, for the owner only. ``page`` is the text that the
    command ends with. Raises `OSError`."""
    html = "".join(_document(report, recorder, checked, page))
    handle, temporary = tempfile.mkstemp(prefix=".report-", suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(html)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _text(value: object) -> str:
    """Fit for HTML, and with control characters shown: keys are anybody's."""
    return escape(display(str(value)))


def _document(
    report: Report, recorder: Recorder, checked: Checked, page: Sequence[str]
) -> Iterator[str]:
    style = resources.files(__package__).joinpath("html_report.css").read_text()
    verdict = "complete" if report.exit_code == 0 else "NOT complete"
    began = datetime.fromtimestamp(recorder.started).strftime("%Y-%m-%d %H:%M:%S")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Migration {verdict}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
    )
    mark = "good" if report.exit_code == 0 else "bad"
    counters = report.counters
    yield f'<h1 class="{mark}">Migration {verdict}</h1>\n'
    yield (
        f"<p>{counters.copied} objects ({human_size(counters.bytes_copied)}) copied in "
        f"{human_time(report.seconds)}{rate_of(report)}, begun {began}, "
        f"exit code {report.exit_code}.</p>\n"
    )
    yield "<h2>Buckets</h2>\n"
    yield _table(("bucket", "copied", "size", "there already", "failed"), list(_buckets(report)))
    yield "<h2>What was checked</h2>\n"
    yield _table(("bucket", "found"), list(_checks(report, checked)))
    yield "<h2>Sizes of what was copied</h2>\n"
    yield from _sizes(recorder.sizes)
    yield "<h2>Rate over time</h2>\n"
    yield _chart(recorder.samples)
    yield f"<h2>Failures and differences ({recorder.failed})</h2>\n"
    if recorder.failures:
        yield _table(("object", "why"), recorder.failures)
    if recorder.failed > len(recorder.failures):
        yield f"<p>The first {len(recorder.failures)}; the file of --report holds all.</p>\n"
    if not recorder.failed:
        yield "<p>None.</p>\n"
    yield "<h2>What the command said</h2>\n<pre>"
    yield "\n".join(map(_text, page)).strip("\n")
    yield "</pre>\n</body>\n</html>\n"


def _buckets(report: Report) -> Iterator[Sequence[object]]:
    for part in _copies(report):
        counters = part.counters
        size = human_size(counters.bytes_copied)
        yield bucket_of(part), counters.copied, size, counters.skipped, counters.failed


def _checks(report: Report, checked: Checked) -> Iterator[Sequence[object]]:
    checks = {bucket_of(part): part for part in report.parts if part.operation == "check"}
    for name in map(bucket_of, _copies(report)):
        found = "not checked"
        if name in checks:
            found = "; ".join(verdict_of(checks[name], checked.of(name)))
        yield name, found


def _copies(report: Report) -> list[Report]:
    return [part for part in (report.parts or (report,)) if part.operation != "check"]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table>\n<tr>{cells}</tr>\n{body}\n</table>\n"


def _sizes(classes: Sequence[SizeClass]) -> Iterator[str]:
    most = max((one.objects for one in classes), default=0) or 1
    yield "<table>\n<tr><th>size</th><th>objects</th><th></th><th>together</th></tr>\n"
    for one in classes:
        yield (
            f"<tr><td>{one.name}</td><td>{one.objects}</td>"
            f'<td><meter value="{one.objects}" max="{most}"></meter></td>'
            f"<td>{human_size(one.size)}</td></tr>\n"
        )
    yield "</table>\n"


def _chart(samples: Sequence[tuple[float, float]]) -> str:
    """A line of bytes a second over seconds, as SVG."""
    if len(samples) < 2:
        return "<p>It took no time worth a chart.</p>\n"
    width, height = 800, 160
    longest = samples[-1][0] or 1
    highest = max(rate for _, rate in samples) or 1
    points = " ".join(
        f"{width * at / longest:.1f},{height - height * rate / highest:.1f}" for at, rate in samples
    )
    # The words stand outside: in the drawing they would shrink and stretch with it.
    return (
        f"<figure>\n<p>{human_size(highest)}/s</p>\n"
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="bytes a second over {human_time(longest)}">\n'
        f'<line x1="0" y1="{height}" x2="{width}" y2="{height}"/>\n'
        f'<polyline points="{points}"/>\n'
        f"</svg>\n<figcaption>{human_time(longest)}</figcaption>\n</figure>\n"
    )
