"""``svstorage config show``: effective settings with their sources."""

from __future__ import annotations

import os
import re

import click

from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state

# What stands before the @ of a URL is a password, in whatever variable.
_USER = re.compile(r"(://)[^\s]*@")


@subcommand(
    "show",
    epilog="""\b
Examples:
  svstorage config show
  svstorage config show --all
  svstorage config show --json | jq '.settings[] | select(.set)'
""",
)
@click.option("-a", "--all", "everything", is_flag=True, help="Also what this provider ignores.")
@pass_state
def show(state: State, everything: bool) -> int:
    """Show the effective settings and where each was set; secrets are ***."""
    from svstorage.settings import variables

    settings = state.settings(state.env_file)
    concerning = {v.name for v in variables.of_provider(_provider(settings.provider_name))}
    rows = []
    for name, value, source in settings.items():
        is_set = source.kind != "default"
        concerned = name in concerning or variables.lookup(name) is None
        if name.startswith("SVSTORAGE_") and not is_set:
            concerned = False
        if is_set or concerned or everything:
            rows.append((name, _USER.sub(r"\1***@", value), str(source), is_set))
    file = None if settings.env_file is None else os.fspath(settings.env_file)
    if state.json:
        state.out.record(
            {
                "env_file": file,
                "provider": settings.provider_name,
                "settings": [
                    {"name": name, "value": value, "source": where, "set": is_set}
                    for name, value, where, is_set in rows
                ],
            }
        )
        return 0
    state.out.line(f"# settings file: {file or 'none found'}")
    for name, value, where, is_set in rows:
        if is_set:
            state.out.line(f"{name}={value}")
            state.out.line(f"    from {where}")
    unset = [(name, value) for name, value, _, is_set in rows if not is_set]
    if unset:
        state.out.line("# not set:")
    for name, value in unset:
        state.out.line(f"# {name}" + (f"  (default: {value})" if value else ""))
    return 0


def _provider(name: str) -> str:
    from svstorage.errors import PluginError
    from svstorage.plugins import plugins

    try:
        found: str = plugins().registry.provider(name).name
    except PluginError:
        return name
    return found
