"""The command ``svstorage``: parses words and shows results; no storage logic lives here."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script. Ends the process with the documented exit code."""
    from svstorage.cli.app import cli
    from svstorage.transfer import own_process

    own_process.is_ours = True
    cli.main(prog_name="svstorage")
