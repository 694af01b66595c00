"""Options that an engine brings: ``--engine dask --scheduler ADDRESS``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

PREFIX = "engine_option_"


class EnginesOption(click.Option):
    """Listed in help under the engine's name."""

    def __init__(self, engine: str, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = f"Engine {engine}"


def asked_for(args: Sequence[str]) -> list[click.Option]:
    """The options of the engine that the words of a command line ask for.

    Plugins are loaded only where that is another than ours.
    """
    name = _named(args)
    if name is None or name == "local":
        return []
    from svstorage.plugins import plugins

    engine = plugins().registry.engines.get(name)
    return [
        EnginesOption(
            name,
            [f"--{option.name}", PREFIX + option.name.replace("-", "_")],
            metavar=option.metavar,
            help=option.help,
        )
        for option in getattr(engine, "options", ())
    ]


def taken_from(values: dict[str, Any]) -> dict[str, str]:
    """Take the engine's options out of a command's values."""
    given = {name: values.pop(name) for name in list(values) if name.startswith(PREFIX)}
    return {
        name.removeprefix(PREFIX).replace("_", "-"): value
        for name, value in given.items()
        if value is not None
    }


def _named(args: Sequence[str]) -> str | None:
    for number, word in enumerate(args):
        if word == "--":
            break
        if word.startswith("--engine="):
            return word.partition("=")[2]
        if word == "--engine" and number + 1 < len(args):
            return args[number + 1]
    return None
