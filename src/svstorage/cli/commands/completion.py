"""``svstorage completion``: the script that completes commands and options in a shell."""

from __future__ import annotations

import click

from svstorage.cli.state import State, pass_state


@click.command(
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
    from click.shell_completion import BashComplete, get_completion_class

    from svstorage.cli.app import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")

    class Quiet(found):  # type: ignore[misc, valid-type]
        """Prints the script wherever it is run: click asks for bash itself to tell its age."""

        def source(self) -> str:
            skip = super(BashComplete, self) if isinstance(self, BashComplete) else super()
            script: str = skip.source()
            return script

    state.out.raw(Quiet(cli, {}, "svstorage", "_SVSTORAGE_COMPLETE").source() + "\n")
    return 0
