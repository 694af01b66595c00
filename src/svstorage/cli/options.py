"""The global options, taken before and after the name of the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from svstorage.cli import engine_options
from svstorage.cli.state import State

C = TypeVar("C", bound=click.Command)
_ENGINE_OPTIONS = "svstorage.engine_options"


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Put a value that was really given into the run's state; a default changes nothing."""
    state = ctx.ensure_object(State)
    if ctx.get_parameter_source(param.name or "") not in (None, ParameterSource.DEFAULT):
        name = (param.name or "").removeprefix("global_")
        # -v before and after the command adds up.
        setattr(state, name, state.verbose + value if name == "verbose" else value)
    state.apply()


class GlobalOption(click.Option):
    """An option of the whole program; help shows it apart from a command's own."""

    section = "Global options"


class Subcommand(click.Command):
    """A command whose help lists its options under headings: their ``section``.

    One with an ``--engine`` also takes the options of the engine that is asked for.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, with the engine's options beside the command's own."""
        if any(param.name == "engine" for param in self.params):
            ctx.meta[_ENGINE_OPTIONS] = engine_options.asked_for(args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own, and those of the engine."""
        return [*super().get_params(ctx), *ctx.meta.get(_ENGINE_OPTIONS, ())]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, in sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx)
            if row is None or isinstance(param, click.Argument):
                continue
            # --help itself is click's own and belongs to the global ones.
            plain = GlobalOption.section if "--help" in param.opts else "Options"
            sections.setdefault(getattr(param, "section", plain), []).append(row)
        for title, rows in sections.items():
            if not rows:
                continue
            with formatter.section(title):
                formatter.write_dl(rows)


def subcommand(name: str, *, epilog: str) -> Callable[[Callable[..., Any]], Subcommand]:
    """Make a function one of our commands. ``epilog`` are the examples of its help."""
    return click.command(name, cls=Subcommand, epilog=epilog)


def _make() -> list[click.Option]:
    shared: dict[str, Any] = {"expose_value": False, "callback": _keep, "is_eager": True}
    return [
        GlobalOption(
            ["global_env_file", "--env-file"],
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Read the settings from FILE instead of the nearest .env.",
            **shared,
        ),
        GlobalOption(
            ["global_verbose", "-v", "--verbose"],
            count=True,
            help="Say more (-vv: details and tracebacks).",
            **shared,
        ),
        GlobalOption(
            ["global_quiet", "-q", "--quiet"],
            is_flag=True,
            help="Say nothing but results and errors.",
            **shared,
        ),
        GlobalOption(
            ["global_json", "--json"],
            is_flag=True,
            help="Results as JSON on stdout, errors as JSON on stderr.",
            **shared,
        ),
        GlobalOption(
            ["global_log_file", "--log-file"],
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Append a log to FILE.",
            **shared,
        ),
    ]


def global_options(command: C) -> C:
    """Let ``command``, and all commands below it, take the global options."""
    if not any(isinstance(param, GlobalOption) for param in command.params):
        taken = {name for param in command.params for name in param.opts}
        command.params.extend(option for option in _make() if not taken.intersection(option.opts))
        command.context_settings.setdefault("help_option_names", ["-h", "--help"])
        command.context_settings.setdefault("max_content_width", 100)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            global_options(child)
    return command
