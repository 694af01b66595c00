"""The root command: its options, its table of commands, and how a run ends."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from svstorage.cli import failure, plugin_commands
from svstorage.cli.options import global_options
from svstorage.cli.state import State

# Section -> commands with their short help, in the order of the help. A command's module is
# loaded when it is used; its first sentence stands here too, so that --help need not load all
# (tests/cli compares them).
SECTIONS: dict[str, dict[str, str]] = {
    "Copy": {
        "cp": "Copy files and objects: local, any storage, either way.",
        "sync": "Make DST hold what SRC holds; copies only what is new or changed.",
        "migrate": "Copy whole storages, check every object, and say what to change in .env.",
        "check": "Compare names, sizes and checksums; list what differs.",
        "mv": "Move files and objects: copy, confirm, then delete each source.",
        "put": "Store stdin (-) or a file as one object, whatever its size.",
    },
    "Look": {
        "ls": "List buckets, or what is in one.",
        "du": "Sum up sizes: bytes, number of objects, address.",
        "find": "Find objects below an address by name, size and age.",
        "cat": "Write the bytes of objects to stdout, one after the other.",
        "stat": "Show size, time, ETag, headers and metadata of objects.",
        "presign": "Print a URL that works without credentials until it expires.",
    },
    "Change": {
        "rm": "Delete objects; with -r everything below an address.",
        "mb": "Make buckets.",
        "rb": "Remove empty buckets; with --force, full ones too.",
    },
    "Set up": {
        "config": "Show, check and begin the settings.",
        "jupyter": "Keep a notebook folder and the storage in step.",
        "plugins": "List what is installed, and from which distribution.",
        "completion": "Print the completion script of a shell.",
    },
}
_MODULES = {name: f"svstorage.cli.commands.{name}" for names in SECTIONS.values() for name in names}


class RootGroup(click.Group):
    """Loads each command when it is asked for, and plugins' commands only when they may matter:
    for an unknown word and for the list of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_available(), *plugin_commands.names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = _load(cmd_name) if cmd_name in _MODULES else None
        if found is None:
            found = plugin_commands.find(cmd_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            raise _unknown_command(word, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        available = _available()
        sections: dict[str, list[tuple[str, str]]] = {}
        for section, names in SECTIONS.items():
            sections[section] = [row for row in names.items() if row[0] in available]
        sections["From plugins"] = [
            (name, command.get_short_help_str(limit=200))
            for name in plugin_commands.names()
            if (command := plugin_commands.find(name)) is not None and not command.hidden
        ]
        for section, rows in sections.items():
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """As click's, but with our own way to end: `failure.exit_with`."""
        words = list(sys.argv[1:] if args is None else args)
        run = partial(super().main, words, prog_name, complete_var, standalone_mode=False, **extra)
        return failure.exit_with(run, words) if standalone_mode else run()


def _unknown_command(word: str, ctx: click.Context) -> click.UsageError:
    import difflib

    known = [*_available(), *plugin_commands.names()]
    close = difflib.get_close_matches(word, known, 1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return click.UsageError(f"there is no command '{word}'.{hint}", ctx)


def _available() -> list[str]:
    return [name for name in _MODULES if importlib.util.find_spec(_MODULES[name]) is not None]


def _load(name: str) -> click.Command | None:
    try:
        module = importlib.import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        if error.name == _MODULES[name]:
            return None
        raise
    command: click.Command = module.command
    return global_options(command)


@click.group(
    "svstorage",
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Addresses:
  ./a/b, /a/b          a local path, never a bucket
  sv://bucket/key      an object in the storage that the settings select
  public:key           short for sv://<prefix>-public/key; also private:key
  s3://, az://, ...    a links file's bucket, else any fsspec URL

\b
Examples:
  svstorage config check
  svstorage cp -r ./photos sv://acme-public/photos
  svstorage ls -l public:photos
  svstorage migrate --to-env .env.s3
""",
)
@click.version_option(None, "--version", package_name="svstorage", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """One .env, three storages: local disk, S3 and Azure Blob behind one command.

    The storage is the one that STORAGE_* settings select, from the environment or the nearest
    .env file. These options are taken before and after the name of the command.
    """
    ctx.ensure_object(State)


global_options(cli)
