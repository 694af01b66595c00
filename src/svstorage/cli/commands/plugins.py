"""``svstorage plugins``: what is installed, and where it comes from; and a new one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import click

from svstorage.cli import plugin_commands
from svstorage.cli.commands.plugins_new import new
from svstorage.cli.state import State, pass_state

_TITLES = {
    "plugin": "PLUGINS",
    "provider": "PROVIDERS",
    "resolver": "CREDENTIAL RESOLVERS",
    "strategy": "COPY STRATEGIES",
    "engine": "ENGINES",
    "observer": "OBSERVERS",
    "command": "COMMANDS",
}


@click.group(
    "plugins",
    invoke_without_command=True,
    subcommand_metavar="[new NAME]",
    epilog="""\b
Examples:
  svstorage plugins
  svstorage plugins --json | jq 'select(.kind == "provider")'
  SVSTORAGE_DISABLE_PLUGINS='*' svstorage plugins
  svstorage plugins new shelf
""",
)
@pass_state
@click.pass_context
def command(ctx: click.Context, state: State) -> int:
    """List what is installed, and from which distribution.

    These are plugins, and the providers, credential resolvers, copy strategies, engines and
    commands that they bring.

    SVSTORAGE_DISABLE_PLUGINS (names, or * for all third-party ones) and SVSTORAGE_PLUGINS (the
    only third-party ones to load) hold plugins off.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    rows = list(_rows())
    if state.json:
        for row in rows:
            state.out.record(row)
        return 0
    for number, (kind, group) in enumerate(itertools.groupby(rows, key=itemgetter("kind"))):
        if number:
            state.out.line()
        state.out.line(_TITLES[kind])
        members = list(group)
        name, origin = (max(len(row[column]) for row in members) for column in ("name", "from"))
        for row in members:
            head = f"  {row['name']:<{name}}  {row['from']:<{origin}}  "
            state.out.wrapped(head, row["status"] or row["summary"])
    return 0


command.add_command(new)


def _rows() -> Iterator[dict[str, str]]:
    from svstorage.plugins import plugins

    loaded = plugins()
    origin = {info.name: f"{info.distribution} {info.version}" for info in loaded.found}
    registry = loaded.registry
    for info in loaded.found:
        row = _row("plugin", info.name, info.name, origin[info.name])
        yield {**row, "status": info.status}
    tables: dict[str, dict[str, Any]] = {
        "provider": registry.providers,
        "resolver": {"/".join(key): item for key, item in registry.resolvers.items()},
        "strategy": registry.strategies,
        "engine": registry.engines,
        "observer": registry.observers,
    }
    for kind, table in tables.items():
        for name, item in table.items():
            plugin = registry.owners.get((kind, name), "?")
            summary = getattr(item, "summary", "")
            if kind == "provider" and name != item.name:
                summary = f"other name of {item.name}"
            yield _row(kind, name, plugin, origin.get(plugin, "?"), summary)
    for name in plugin_commands.names():
        distribution, _, plugin = plugin_commands.owners[name].partition(":")
        found = plugin_commands.find(name)
        summary = found.get_short_help_str(limit=60) if found else ""
        yield _row("command", name, plugin, origin.get(plugin, distribution), summary)


def _row(kind: str, name: str, plugin: str, origin: str, summary: str = "") -> dict[str, str]:
    return {
        "kind": kind,
        "name": name,
        "plugin": plugin,
        "from": origin,
        "distribution": origin.partition(" ")[0],
        "version": origin.partition(" ")[2],
        "status": "",
        "summary": summary,
    }
