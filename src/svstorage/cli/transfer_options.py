"""The options that cp, sync, migrate and check share, and what they mean to the engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from svstorage.cli import engine_options
from svstorage.cli.units import Moment, ParamType, Rate, Size

if TYPE_CHECKING:
    from svstorage.transfer.options import TransferOptions

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path, dir_okay=False)


class _Writable(ParamType):
    """A file that can be written, looked at before the work begins."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value)
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            self.fail(f"{path} cannot be written", param, ctx)
        return path


_WRITABLE = _Writable()


class Section:
    """Marks options of one heading of the help."""

    def __init__(self, title: str) -> None:
        self.title = title

    def __call__(self, *names: str, **attributes: Any) -> Callable[[F], F]:
        return click.option(*names, cls=SectionOption, section=self.title, **attributes)


class SectionOption(click.Option):
    """An option that help lists under a heading of its own."""

    def __init__(self, *args: Any, section: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:
        """As click's, without ``x>=1``: the error says so where it matters."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class NumberOrAuto(ParamType):
    """A number from 1, or ``auto`` (None)."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value is None or isinstance(value, int) or value == "auto":
            return None if value == "auto" else value
        if str(value).isdecimal() and 1 <= int(value) <= 1024:
            return int(value)
        self.fail(f"{value!r}: write a number from 1 to 1024, or auto", param, ctx)


_storages, _filters = Section("Storages"), Section("Which objects")
_how, _told = Section("How"), Section("What is told")

STORAGES = (
    _storages(
        "--from-env", metavar="FILE", type=_PATH,
        help="Settings of the storage that sv:// means in the source.",
    ),
    _storages(
        "--to-env", metavar="FILE", type=_PATH,
        help="Settings of the storage that sv:// means in the destination.",
    ),
)  # fmt: skip

FILTERS = (
    _filters("--include", metavar="GLOB", multiple=True, help="Only these; ** crosses folders."),
    _filters("--exclude", metavar="GLOB", multiple=True, help="Not these; wins over --include."),
    _filters("--min-size", metavar="SIZE", type=Size(), help="At least this big: 10K, 5MiB."),
    _filters("--max-size", metavar="SIZE", type=Size(), help="At most this big."),
    _filters("--newer-than", metavar="WHEN", type=Moment(), help="Changed since: 2d or a date."),
    _filters("--older-than", metavar="WHEN", type=Moment(), help="Not changed since."),
    _filters(
        "--links", type=click.Choice(["follow", "skip", "copy"]), default="follow",
        show_default=True, help="Symbolic links in a local source.",
    ),
)  # fmt: skip

_ON_EXISTS = click.Choice(["overwrite", "skip", "changed", "error"])

WRITING = (
    _how(
        "--on-exists", type=_ON_EXISTS,
        help="Where the destination has the object. [default: overwrite for cp, else changed]",
    ),
    _how("--tags", is_flag=True, help="Carry object tags too (more requests)."),
    _how("-n", "--dry-run", is_flag=True, help="Only show what would be done."),
)  # fmt: skip

# So that one line of options serves sync and the check after it.
CHECKING = (
    _how(
        "--on-exists", type=_ON_EXISTS, expose_value=False,
        help="Taken as by sync; a check writes nothing.",
    ),
    _how(
        "-n", "--dry-run", is_flag=True, expose_value=False,
        help="Taken as by sync; a check writes nothing.",
    ),
)  # fmt: skip

HOW = (
    _how(
        "--verify", type=click.Choice(["none", "size", "checksum"]), default="checksum",
        show_default=True,
        help="How each object is confirmed; by size where an end offers no checksum.",
    ),
    _how(
        "--concurrency", metavar="N|auto", type=NumberOrAuto(), default="auto",
        show_default=True, help="Objects at once.",
    ),
    _how("--bwlimit", metavar="RATE", type=Rate(), help="Bytes a second in all: 10M."),
    _how(
        "--retries", metavar="N", type=click.IntRange(0, 100), default=5, show_default=True,
        help="Further tries for one object.",
    ),
    _how("--strategy", metavar="NAME", help="Use only this copy strategy (see: plugins)."),
    _how(
        "--engine", metavar="NAME", default="local", show_default=True,
        help="Who does the work: local, or a plugin's such as dask (--engine dask --help).",
    ),
    _how(
        "--journal", metavar="FILE|none",
        help="Where the memory of this copy is kept. [default: the state folder]",
    ),
    _how(
        "--max-errors", metavar="N", type=click.IntRange(1),
        help="Stop after so many failed objects.",
    ),
)  # fmt: skip

TOLD = (
    _told("--report", metavar="FILE", type=_PATH, help="Write a JSON line for every object."),
    _told("--stats", is_flag=True, help="More figures at the end."),
    _told("--no-progress", is_flag=True, help="No progress bar and no progress lines."),
)

HTML_REPORT = _told(
    "--html-report", metavar="FILE", type=_WRITABLE,
    help="Write a page with sizes, rates and failures, for a browser.",
)  # fmt: skip

DELETING = (
    _how("--delete", is_flag=True, help="Delete from DST what SRC does not have."),
    _how(
        "--max-delete", metavar="N", type=click.IntRange(0),
        help="Delete nothing if it were more. [default: 10 % or 1000, the larger]",
    ),
    _how(
        "--allow-empty-source", is_flag=True,
        help="With --delete: an empty source may empty the destination.",
    ),
)  # fmt: skip

COPY = (*STORAGES, *FILTERS, *WRITING, *HOW, *TOLD)


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Apply decorators so that help lists the options in this order."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


_SHOWN = {"stats", "no_progress", "from_env", "to_env"}


def build(values: dict[str, Any]) -> TransferOptions:
    """The engine's options from the command's parameters. Raises `click.UsageError` where two
    of them contradict each other."""
    from svstorage.transfer.options import TransferOptions

    given = {name: value for name, value in values.items() if name not in _SHOWN}
    journal = given.pop("journal", None)
    engine = engine_options.taken_from(given)
    options = TransferOptions(**given, engine_options=engine)
    if journal is not None:
        if not journal:
            raise click.UsageError("--journal: name a file, or none")
        if Path(journal).is_dir():
            raise click.UsageError(f"--journal: {journal} is a folder. Name a file, or none")
        options = replace(options, journal="none" if journal == "none" else Path(journal))
    low, high = options.min_size, options.max_size
    if low is not None and high is not None and low > high:
        raise click.UsageError("--min-size is above --max-size: nothing would match")
    newer, older = options.newer_than, options.older_than
    if newer is not None and older is not None and newer > older:
        raise click.UsageError("--newer-than is after --older-than: nothing would match")
    if not options.delete:
        for name in ("max_delete", "allow_empty_source"):
            if given.get(name) not in (None, False):
                raise click.UsageError(f"--{name.replace('_', '-')} needs --delete")
    return options
