"""The page at the end of a migration: what moved, what to change, how to go back."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svstorage.cli.units import human_size, human_time

if TYPE_CHECKING:
    from svstorage.settings import Settings
    from svstorage.storage import Storage
    from svstorage.transfer.report import Report, Result

# The platform keeps other things by these too: they go only where the new file says otherwise.
_STAYS = frozenset(
    {
        "DATA_PATH",
        "STORAGE_BUCKETS_PREFIX",
        "STORAGE_JUPYTER_SYNC",
        "JUPYTER_DOWNLOAD_FILES_BEFORE_START",
        "STORAGE_JUPYTER_PATH",
        "STORAGE_LINKS_FILE",
    }
)


class Checked:
    """Hears of every result and counts, by bucket, how each object was confirmed when it was
    copied (``stored``) and found to be the same afterwards."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def __call__(self, result: Result) -> None:
        if result.status != "done" or result.action not in ("check", "copy"):
            return
        if result.action == "copy":
            how = "stored" if result.checksum is not None else ""
        else:
            reason = result.reason or ""
            how = "extra" if reason == "extra" else "size" if "size" in reason else "checksum"
        bucket = result.source.removeprefix("sv://").partition("/")[0]
        self._counts.setdefault(bucket, Counter())[how] += 1

    def of(self, bucket: str) -> Counter[str]:
        """``stored`` (copies confirmed by checksum), then of the check ``checksum``, ``size``
        and ``extra`` (only at the destination), of one bucket."""
        return self._counts.get(bucket, Counter())

    def record(self) -> dict[str, dict[str, int]]:
        """All of it, for JSON."""
        return {
            bucket: {how: counts[how] for how in ("stored", "checksum", "size", "extra")}
            for bucket, counts in self._counts.items()
        }


def changes(source: Settings, destination: Settings) -> list[dict[str, Any]]:
    """Variables of ``.env`` that differ, old and new; secrets are ``***``.

    A new secret that differs from the old one shows as ``***`` on both sides.
    """
    from svstorage.settings import variables
    from svstorage.settings.loaded import mask

    found = []
    for variable in variables.known():
        name = variable.name
        old, new = source.text(name), destination.text(name)
        if not variable.keyword or old == new or (new is None and name in _STAYS):
            continue
        found.append(
            {
                "name": name,
                "old": None if old is None else mask(name, old),
                "new": None if new is None else mask(name, new),
            }
        )
    return found


def lines(
    report: Report, source: Storage, destination: Storage, to_env: Path, checked: Checked
) -> Iterator[str]:
    """The page, line by line."""
    from_env = source.settings.env_file
    side = f" --from-env {_shown(from_env)}" if from_env else ""
    copies = [part for part in (report.parts or (report,)) if part.operation != "check"]
    checks = [part for part in report.parts if part.operation == "check"]
    counters = report.counters
    if report.dry_run:
        yield f"Dry run: {_objects(counters.copied)} would be copied; nothing was changed."
        return
    yield ""
    verdict = "Migration NOT complete" if report.exit_code else "Migration complete"
    yield (
        f"{verdict}: {_objects(counters.copied)} ({human_size(counters.bytes_copied)}) copied "
        f"in {human_time(report.seconds)}{rate_of(report)}"
    )
    yield ""
    yield "What moved"
    yield f"  from  {source.provider.name:<6}  {source.config.location}"
    yield f"  to    {destination.provider.name:<6}  {destination.config.location}"
    yield from _table(copies)
    yield ""
    yield "What was checked"
    for part in checks:
        yield f"  {bucket_of(part)}"
        yield from (f"    {text}" for text in verdict_of(part, checked.of(bucket_of(part))))
    if not checks:
        yield "  nothing: the copy did not come to its end"
    elif any(checked.of(bucket_of(part))["size"] for part in checks):
        yield "  Where one side tells no checksum, the sizes were compared. To read every byte:"
        for part in checks:
            yield f"    svstorage check --checksum{side} --to-env {_shown(to_env)} \\"
            yield f"      sv://{bucket_of(part)} sv://{bucket_of(part)}"
    yield ""
    if report.exit_code:
        yield "Leave .env as it is, and run the same command again: it goes on where it was."
        if report.interrupted:
            yield "It was stopped: a bucket that is not in the table was not begun."
        if report.failures or report.differences or report.fatal:
            yield "What failed or differs is named above, and in the file of --report."
        yield ""
        return
    yield "What to change in .env (first: cp .env .env.before)"
    yield from _diff(source.settings, destination.settings, to_env)
    yield ""
    yield "What to do now"
    yield "  1. Stop the platform, so that nothing new is written to the old storage."
    yield "  2. Run the same command once more: it copies only what changed meanwhile."
    yield "  3. Change the lines above and start the platform."
    yield ""
    yield "How to go back"
    yield "  The old storage was only read: put .env.before back and start the platform."
    yield "  What was written to the new storage meanwhile comes back with"
    yield f"    svstorage migrate --from-env {_shown(to_env)} --to-env .env.before"
    yield ""


def _shown(file: Path) -> str:
    """A file as a word of a command, short where it lies in the working directory."""
    path = Path(file)
    if path.is_absolute() and path.parent == Path.cwd():
        path = Path(path.name)
    return shlex.quote(str(path))


def rate_of(report: Report) -> str:
    """Bytes a second as the end of a sentence, or nothing where it would mean nothing."""
    copied = report.counters.bytes_copied
    # As in the summary: a rate over a moment says nothing of the next terabyte.
    return f", {human_size(copied / report.seconds)}/s" if copied and report.seconds >= 1 else ""


def bucket_of(part: Report) -> str:
    """The name of the bucket that a part of a migration is about."""
    return part.source.rstrip("/").rpartition("/")[2]


def _table(copies: list[Report]) -> Iterator[str]:
    width = max(6, *(len(bucket_of(part)) for part in copies))
    yield f"  {'bucket':<{width}}  {'copied':>9}  {'size':>9}  {'there already':>13}  failed"
    for part in copies:
        counters = part.counters
        yield (
            f"  {bucket_of(part):<{width}}  {counters.copied:>9}  "
            f"{human_size(counters.bytes_copied):>9}  {counters.skipped:>13}  "
            f"{counters.failed:>6}"
        )


def verdict_of(part: Report, counts: Counter[str]) -> Iterator[str]:
    """What a check has found, line by line."""
    if counts["stored"]:
        yield f"{_objects(counts['stored'])} confirmed by checksum when stored"
    same = counts["checksum"] + counts["size"]
    how = [f"{counts[one]} by {one}" for one in ("checksum", "size") if counts[one]]
    yield f"{_objects(same)} the same afterwards" + (f" ({', '.join(how)})" if how else "")
    if part.counters.failed:
        yield f"{_objects(part.counters.failed)} DIFFERENT OR MISSING"
    if part.fatal or part.interrupted:
        yield "then the check broke off"
    if counts["extra"]:
        yield f"{_objects(counts['extra'])} only at the destination, left alone"


def _objects(count: int) -> str:
    return f"{count} object{'' if count == 1 else 's'}"


def _diff(source: Settings, destination: Settings, to_env: Path) -> Iterator[str]:
    found = changes(source, destination)
    masked = False
    for change in found:
        if change["old"] is not None:
            yield f"  - {change['name']}={change['old']}"
        if change["new"] is not None:
            masked = masked or "***" in change["new"]
            yield f"  + {change['name']}={change['new']}"
    if not found:
        yield "  nothing: both sides have the same settings"
    if masked:
        yield f"  (*** stands for the values in {to_env})"
