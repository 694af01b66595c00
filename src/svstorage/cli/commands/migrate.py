"""``svstorage migrate``: whole storages, checked, with what to change afterwards."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from svstorage.cli import html_report, migration_page, outcome, transfer_options, transferring
from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state
from svstorage.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from svstorage.storage import Storage
    from svstorage.transfer.report import Result


@subcommand(
    "migrate",
    epilog="""\b
Examples:
  svstorage migrate --to-env .env.s3 --dry-run
  svstorage migrate --to-env .env.s3 --report moved.jsonl --html-report moved.html
  svstorage migrate --from-env .env.s3 --to-env .env.azure --buckets acme-public
""",
)
@transfer_options.options(*transfer_options.STORAGES)
@click.option(
    "--buckets", "-b", metavar="NAME[,NAME]", multiple=True,
    help="These buckets. [default: <prefix>-public and <prefix>-private]",
)  # fmt: skip
@transfer_options.options(
    *transfer_options.FILTERS,
    *transfer_options.WRITING,
    *transfer_options.HOW,
    *transfer_options.TOLD,
    transfer_options.HTML_REPORT,
)
@pass_state
def command(state: State, buckets: tuple[str, ...], **values: Any) -> int:
    """Copy whole storages, check every object, and say what to change in .env.

    Safe to run again, also while the platform is in use: a last pass copies only what changed.
    Nothing is deleted on either side. The files of --from-env and --to-env are read alone,
    without the environment.
    """
    from svstorage import api

    if values["to_env"] is None:
        raise click.UsageError("--to-env FILE is needed: the settings of the new storage")
    names = [name for word in buckets for name in word.split(",") if name]
    if buckets and not names:
        raise click.UsageError("--buckets: name at least one")
    source = (
        state.connect(values["from_env"], file_only=True) if values["from_env"] else state.storage
    )
    destination = state.connect(values["to_env"], file_only=True)
    names = names or _both(source)
    html = values.pop("html_report")
    checked, recorder = migration_page.Checked(), html_report.Recorder()

    def also(result: Result) -> None:
        checked(result)
        recorder.on_result(result)

    migrate = partial(api.migrate, source=source, destination=destination, buckets=names)
    report = transferring.run(
        state, values, migrate, tell_end=False, also=also, watch=recorder.on_progress
    )
    page = list(migration_page.lines(report, source, destination, values["to_env"], checked))
    if state.json:
        record = outcome.report_record(report)
        record["checked"] = checked.record()
        record["env_changes"] = migration_page.changes(source.settings, destination.settings)
        state.out.record(record)
    else:
        # Where the page goes to a file, stderr has the summary; a screen needs it but once.
        seen = sys.stdout.isatty() and not report.dry_run
        outcome.tell_end(state.out, report, stats=bool(values["stats"]), with_summary=not seen)
        for line in page:
            state.out.line(line)
    if html is not None:
        html_report.write(html, report, recorder, checked, page)
    return report.exit_code


def _both(source: Storage) -> list[str]:
    try:
        return [source.public, source.private]
    except SettingsError as error:
        raise UsageError(f"{error}. Or name the buckets: --buckets NAME,NAME") from None
