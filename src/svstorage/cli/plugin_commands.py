"""Commands of plugins, through the hook ``svstorage_register_commands``.

Loading plugins costs time, so nothing is loaded unless a word is none of our commands or help
lists them all; and then only if a distribution other than our own has an entry point at all.
"""

from __future__ import annotations

import logging
from functools import lru_cache

import click

from svstorage.cli.options import global_options

log = logging.getLogger("svstorage.cli")


@lru_cache(maxsize=1)
def _collected() -> dict[str, click.Command]:
    if not _any_third_party():
        return {}
    from svstorage.plugins import plugins

    found: dict[str, click.Command] = {}
    manager = plugins().manager
    for name, plugin in manager.list_name_plugin():
        # One at a time: a plugin that fails must not take the others' commands along.
        hook = getattr(plugin, "svstorage_register_commands", None)
        if hook is None or not hasattr(hook, "svstorage_impl"):
            continue
        group = click.Group()
        try:
            hook(cli=group)
        except Exception as error:
            log.warning(
                "plugin '%s': its commands are left out (%s: %s)",
                name, type(error).__name__, error,
            )  # fmt: skip
            continue
        for command_name, command in group.commands.items():
            if _clashes(command_name, found):
                log.warning(
                    "plugin '%s': the command name '%s' is taken; its command is left out",
                    name, command_name,
                )  # fmt: skip
                continue
            found[command_name] = global_options(command)
            owners[command_name] = name
    return found


owners: dict[str, str] = {}
"""Command name -> ``distribution:plugin``, once the commands were collected."""


def names() -> list[str]:
    """Names of all plugin commands."""
    return sorted(_collected())


def find(name: str) -> click.Command | None:
    """The plugin command of that name, if there is one."""
    return _collected().get(name)


def _clashes(name: str, found: dict[str, click.Command]) -> bool:
    from svstorage.cli.app import SECTIONS

    return name in found or any(name in names for names in SECTIONS.values())


def _any_third_party() -> bool:
    import importlib.metadata

    from svstorage.plugins import ENTRY_POINT_GROUP, OWN_DISTRIBUTION

    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return any(point.dist is None or point.dist.name != OWN_DISTRIBUTION for point in points)
