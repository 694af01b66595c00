"""Writes the tables of docs/reliability.md from a run of the suite.

``python -m tests.faults.report`` runs the fault matrix, the properties and the tests that other
rows name, and puts what came of them between the markers of the page; ``nox -s reliability``
does it with the test dependencies. Nothing in the tables is written by hand. A run of some tests
(``-k crash``) renews their rows; the others keep what came of their last run.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "reliability.md"
SUITE = ("tests/faults", "tests/properties")

PROMISES = {
    "0": "The libraries' bulk calls are not used for copies",
    "1": "A destination object is the old one or the whole new one, at every moment",
    "2": "Nothing is reported as copied that the destination did not confirm",
    "3": "Interrupted anywhere, a re-run goes on where it was",
    "4": "One failing object never stops the others or hides another failure",
    "5": "Memory does not grow with the number of objects",
    "6": "Content headers, metadata, times are carried along",
    "7": "A source object that changes while it is copied is noticed",
    "8": "Nothing is deleted unless asked, nor after any failure, nor beyond --max-delete",
    "9": "A listing out of order, repeated or unfinished is an error, never a gap",
}
# Rows whose tests live beside the code they are about: path, fault, promise, contract.
ELSEWHERE = [
    ("tests/settings/test_envfile.py",
     ".env files: BOM, CRLF, quotes, export, $, #, duplicates, bad lines, no file, a folder, a "
     "FIFO, 10 MB, not UTF-8",
     "read byte for byte, or one error with the line number and without its text", ""),
    ("tests/settings/test_settings.py", "every variable missing, empty, malformed, contradictory",
     "one error that names variable, source and mend", ""),
    ("tests/settings/test_envfile_writer.py", "any secret written to a .env file (hypothesis)",
     "read back byte for byte", ""),
    ("tests/credentials/test_refresh.py", "credentials that expire, a refresh that fails",
     "one refresh for all threads; the old ones are used until they end", ""),
    ("tests/credentials/test_imds.py", "instance metadata of every bad kind",
     "refused with the cure named; no fall back to version 1 unless told", ""),
    ("tests/test_addresses.py", "any text as an address (hypothesis)",
     "an exact key, or a usage error", ""),
    ("tests/transfer/test_merge.py", "two listings of any keys (hypothesis)",
     "the merge join says what dictionaries say; disorder is an error", "9"),
    ("tests/transfer/test_attributes.py", "headers, metadata, times, tags between storages",
     "carried where both ends hold them", "6"),
    ("tests/providers/local/test_containment.py", "keys and links that lead out of a folder",
     "nothing is written outside", "1"),
    ("tests/providers/local/test_atomic.py", "writers that fail or die at any point",
     "the old file or the whole new one", "1"),
]  # fmt: skip


@dataclass
class Row:
    name: str
    fault: str
    promise: str
    contract: str
    section: str
    tests: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    earlier: str = "not run"
    """What the page said."""

    @property
    def result(self) -> str:
        if not self.outcomes:
            return self.earlier
        words = [f"{self.outcomes[n]} {n}" for n in ("failed", "passed") if self.outcomes[n]]
        for reason, count in self.reasons.items():
            words.append(f"{count} skipped: {reason}")
        return ", ".join(words)


class Collector:
    """A pytest plugin that keeps what became of each row."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._of: dict[str, list[Row]] = defaultdict(list)
        self._other = {
            path: Row(Path(path).stem.removeprefix("test_"), *rest, section="Beside the code")
            for path, *rest in ELSEWHERE
        }

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            path = item.nodeid.partition("::")[0]
            function = item.nodeid.partition("[")[0]
            rows = []
            for mark in item.iter_markers("row"):
                name, fault, promise, contract = mark.args
                section = (item.module.__doc__ or path).strip().splitlines()[0].rstrip(".")
                rows.append(
                    self.rows.setdefault(name, Row(name, fault, promise, contract, section))
                )
            if path in self._other:
                rows.append(self._other[path])
                function = path
            for row in rows:
                self._of[item.nodeid].append(row)
                if function not in row.tests:
                    row.tests.append(function)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        for row in self._of.get(report.nodeid, ()):
            row.outcomes[report.outcome] += 1
            if report.skipped:
                told = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
                row.reasons[told.removeprefix("Skipped: ")] += 1

    def all(self) -> list[Row]:
        return [*self.rows.values(), *(row for row in self._other.values() if row.tests)]


def tables(rows: list[Row]) -> str:
    """Both tables in Markdown."""
    lines = ["### The promises of a copy", "", "| | promise | goes red without it |", "|-|-|-|"]
    for number, promise in PROMISES.items():
        tests = [t for row in rows if number in row.contract.split() for t in row.tests]
        shown = ", ".join(f"`{_short(t)}`" for t in dict.fromkeys(tests))
        lines.append(f"| {number} | {promise} | {shown or '**none**'} |")
    sections: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sections[row.section].append(row)
    for section, members in sections.items():
        lines += ["", f"### {section}", "", "| row | fault | promise | test | result |"]
        lines.append("|-|-|-|-|-|")
        for row in sorted(members, key=_order):
            tests = ", ".join(f"`{_short(t)}`" for t in row.tests)
            cells = (row.name, row.fault, row.promise, tests, row.result)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def results(page: str) -> dict[str, str]:
    """The name of each row on the page, and its last cell."""
    return dict(re.findall(r"^\| (\S+) \| .* \| ((?:not run|\d+ ).*) \|$", page, re.MULTILINE))


def _order(row: Row) -> tuple[str, int, str]:
    letters, number, rest = re.fullmatch(r"([A-Za-z]*)(\d*)(.*)", row.name).groups()  # type: ignore[union-attr]
    return letters, int(number or 0), rest


def _short(test: str) -> str:
    return test.removeprefix("tests/").removesuffix(".py")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _uncelled(text: str) -> str:
    return text.replace("\\|", "|")


def write(rows: list[Row], note: str) -> None:
    text = PAGE.read_text()
    begin, end = "<!-- tables: begin -->", "<!-- tables: end -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    PAGE.write_text(f"{head}{begin}\n\n{note}\n\n{tables(rows)}\n\n{end}{tail}")


def main() -> int:
    collector = Collector()
    others = [path for path, *_ in ELSEWHERE if (ROOT / path).exists()]
    arguments = ["-q", "-p", "no:cacheprovider", *SUITE, *others, *sys.argv[1:]]
    code = pytest.main(arguments, plugins=[collector])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        print(f"{PAGE.name} stays as it was: a run that was cut short proves nothing of its rows")
        return int(code)
    rows = collector.all()
    before = results(PAGE.read_text())
    for row in rows:
        row.earlier = _uncelled(before.get(row.name, row.earlier))
    told = re.findall(r"\b(\d+) (failed|passed|skipped)\b", "\n".join(row.result for row in rows))
    total: Counter[str] = sum((Counter({word: int(n)}) for n, word in told), Counter())
    note = (
        f"Generated by `python -m tests.faults.report`: {len(rows)} rows, "
        + ", ".join(f"{count} {word}" for word, count in sorted(total.items()))
        + "."
    )
    write(rows, note)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
