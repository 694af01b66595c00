"""``svstorage plugins new``: the skeleton of a plugin, which passes the contract as it is."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path

import click

from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state

# A name of a distribution, a module and a provider at once (PEP 508, without dots and capitals).
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")


@subcommand(
    "new",
    epilog="""\b
Examples:
  svstorage plugins new shelf
  pip install -e './svstorage-shelf[test]' && pytest svstorage-shelf
""",
)
@click.argument("name")
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(path_type=Path),
    help="The folder to make.  [default: svstorage-NAME]",
)  # fmt: skip
@pass_state
def new(state: State, name: str, output: Path | None) -> int:
    """Write a plugin that works, to begin with.

    It brings a provider called NAME, with tests that it passes, and is a distribution of its own,
    to be installed with pip. Its filesystem is a folder of this machine; put your own in its
    place.
    """
    from svstorage.cli.commands.plugins_skeleton import files

    name = name.removeprefix("svstorage-")
    _check_name(name)
    folder = output if output is not None else Path(f"svstorage-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"{folder} is there already; name another folder with --output")
    written = []
    for path, text in files(name, metadata.version("svstorage")).items():
        whole = folder / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        with whole.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        written.append(str(whole))
    if state.json:
        for one in written:
            state.out.record({"provider": name, "file": one})
        return 0
    for one in written:
        state.out.line(one)
    # With ./ before it: pip would look for a bare name in the package index.
    where = shlex.quote(str(folder) if folder.is_absolute() else f"./{folder}")
    state.out.note(f"next: pip install -e {where}'[test]' && pytest {where}")
    return 0


def _check_name(name: str) -> None:
    from svstorage.plugins import plugins

    if not _NAME.match(name):
        raise click.BadParameter(
            "a plugin's name has lower-case letters and digits, with single dashes between",
            param_hint="NAME",
        )
    registry = plugins().registry
    if name in registry.providers:
        owner = registry.owners.get(("provider", name), "?")
        raise click.BadParameter(
            f"the provider '{name}' is there already, of plugin '{owner}'", param_hint="NAME"
        )
