"""``svstorage completion``: the script that completes commands and options in a shell."""

from __future__ import annotations

import click

from svstorage.cli.options import subcommand
from svstorage.cli.state import State, pass_state


@subcommand(
    "completion",
    epilog="""\b
Examples:
  svstorage completion bash > ~/.local/share/bash-completion/completions/svstorage
  svstorage completion zsh > "${fpath[1]}/_svstorage"
  svstorage completion fish > ~/.config/fish/completions/svstorage.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_state
def command(state: State, shell: str) -> int:
    """Print the completion script of a shell."""
    from click.shell_completion import ShellComplete, get_completion_class

    from svstorage.cli.app import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    completion = found(cli, {}, "svstorage", "_SVSTORAGE_COMPLETE")
    # The base class's way: the one for bash first runs bash to ask for its version, and the
    # script may be made on another machine than the one it is for.
    state.out.raw(ShellComplete.source(completion).strip() + "\n")
    return 0
