"""Reference pages from the code: a line ``<!-- svstorage: NAME -->`` on a page becomes a table.

A hook of mkdocs (``hooks:`` in mkdocs.yml); what it writes is never committed, so that it cannot
fall behind the code.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import capabilities
import click
import distributions
import messages

# The site shows what comes with the package, whatever else the builder has installed.
os.environ["SVSTORAGE_DISABLE_PLUGINS"] = "*"

_MARK = re.compile(r"^<!-- svstorage: ([a-z-]+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for each page."""
    return _MARK.sub(lambda match: "\n".join(TABLES[match[1]]()), markdown)


def settings() -> Iterator[str]:
    """Every variable, with the providers that read it."""
    from svstorage.plugins import plugins
    from svstorage.settings import variables

    providers = sorted({p.name for p in plugins().registry.providers.values()})
    readers = {name: {v.name: v for v in variables.of_provider(name)} for name in providers}
    yield "| variable | meaning | default | read by |"
    yield "|---|---|---|---|"
    for variable in variables.known():
        concerned = [name for name in providers if variable.name in readers[name]]
        who = "all" if len(concerned) == len(providers) else ", ".join(concerned)
        secret = " (secret: never shown)" if variable.secret else ""
        words = _cell(variable.meaning)
        own = {
            name: readers[name][variable.name].meaning
            for name in concerned
            if readers[name][variable.name].meaning != variable.meaning
        }
        words += "".join(f"; {name}: {_cell(text)}" for name, text in own.items())
        yield f"| `{variable.name}` | {words}{secret} | {_cell(variable.default) or '—'} | {who} |"


def commands() -> Iterator[str]:
    """Every command with its help, as the terminal shows it."""
    from svstorage.cli.app import cli

    root = click.Context(cli, info_name="svstorage", max_content_width=88)
    yield from _command(cli, root, 2)


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{context.command_path}`"
    yield ""
    yield "```text"
    yield command.get_help(context)
    yield "```"
    yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                below = click.Context(child, parent=context, info_name=name, max_content_width=88)
                yield from _command(child, below, level + 1 if level > 2 else 2)


def installed() -> Iterator[str]:
    """Providers, resolvers, strategies and engines that come with the package."""
    from svstorage.plugins import plugins

    registry = plugins().registry
    yield "| kind | name | what it is |"
    yield "|---|---|---|"
    for provider in {id(p): p for p in registry.providers.values()}.values():
        yield f"| provider | `{provider.name}` | {_cell(provider.summary)} |"
    for (provider_name, name), resolver in registry.resolvers.items():
        yield f"| resolver of `{provider_name}` | `{name}` | {_cell(resolver.summary)} |"
    for strategy in registry.strategies.values():
        yield f"| strategy | `{strategy.name}` | {_cell(strategy.summary)} |"
    for engine in registry.engines.values():
        yield f"| engine | `{engine.name}` | {_cell(engine.summary)} |"


def _cell(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "commands": commands,
    "errors": messages.table,
    "error-examples": messages.examples,
    "installed": installed,
    "capabilities": capabilities.table,
    "plugin-readmes": distributions.readmes,
}
