"""``svstorage config init``: a commented settings file for a provider."""

from __future__ import annotations

from pathlib import Path

import click

from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state


@subcommand(
    "init",
    epilog="""\b
Examples:
  svstorage config init minio
  svstorage config init azure --output .env.azure
""",
)
@click.argument("provider")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path),
    help="Write FILE (only for you, mode 0600) instead of stdout; one that exists stays.",
)  # fmt: skip
@pass_state
def init(state: State, provider: str, output: Path | None) -> int:
    """Print or write a commented .env for PROVIDER: http, minio, azure, or a plugin's."""
    from svstorage.plugins import plugins
    from svstorage.settings.envfile_writer import render_env, write_env

    found = plugins().registry.provider(provider)
    text = render_env(found.name, {})
    if output is None:
        if state.json:
            state.out.record({"provider": found.name, "text": text})
        else:
            for line in text.splitlines():
                state.out.line(line)
        return 0
    write_env(output, text)
    if state.json:
        state.out.record({"provider": found.name, "file": str(output)})
    else:
        state.out.note(f"wrote {output}; fill it in, then: svstorage config check")
    return 0
