"""The page at the end of a migration: what moved, what to change, how to go back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svstorage.cli.units import human_size

if TYPE_CHECKING:
    from svstorage.settings import Settings
    from svstorage.storage import Storage
    from svstorage.transfer.report import Report


def changes(source: Settings, destination: Settings) -> list[dict[str, Any]]:
    """Variables of ``.env`` that differ, old and new; secrets are ``***``.

    A new secret that differs from the old one shows as ``***`` on both sides.
    """
    from svstorage.settings import variables
    from svstorage.settings.loaded import mask

    found = []
    for variable in variables.known():
        name = variable.name
        if not variable.keyword or name == "STORAGE_LINKS_FILE":
            continue
        old, new = source.text(name), destination.text(name)
        if old != new:
            found.append(
                {
                    "name": name,
                    "old": None if old is None else mask(name, old),
                    "new": None if new is None else mask(name, new),
                }
            )
    return found


def lines(report: Report, source: Storage, destination: Storage, to_env: Path) -> Iterator[str]:
    """The page, line by line."""
    copies = [part for part in (report.parts or (report,)) if part.operation != "check"]
    checks = [part for part in report.parts if part.operation == "check"]
    yield ""
    if report.dry_run:
        yield "Dry run: nothing was copied."
        yield ""
        return
    yield "What moved"
    yield f"  from  {source.provider.name}  {source.config.location}"
    yield f"  to    {destination.provider.name}  {destination.config.location}"
    for part in copies:
        counters = part.counters
        bucket = part.source.rstrip("/").rpartition("/")[2]
        yield (
            f"  {bucket}: {counters.copied} copied ({human_size(counters.bytes_copied)}), "
            f"{counters.skipped} already there, {counters.failed} failed"
        )
    yield ""
    yield "What was checked"
    for part in checks:
        counters = part.counters
        bucket = part.source.rstrip("/").rpartition("/")[2]
        verdict = "all the same" if part.exit_code == 0 else f"{counters.failed} DIFFER"
        yield f"  {bucket}: {counters.listed} objects compared, {verdict}"
    if not checks:
        yield "  nothing: the copy did not come to its end"
    yield ""
    if report.exit_code:
        yield "NOT COMPLETE: leave .env as it is. Run the same command again; it goes on."
        yield ""
        return
    yield "What to change in .env"
    yield from _diff(source.settings, destination.settings, to_env)
    yield ""
    yield "Then restart the platform, and run the same command once more before or right"
    yield "after: it copies only what changed in between."
    yield ""
    yield "How to go back"
    yield "  The old storage was only read: put the old lines back and restart. Objects"
    yield "  written to the new storage meanwhile come back with"
    yield f"    svstorage migrate --from-env {to_env} --to-env <file with the old lines>"
    yield ""


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
