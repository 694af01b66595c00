"""The command ``svstorage``: parses words and shows results; no storage logic lives here."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script. Ends the process with the documented exit code."""
    from svstorage.cli.app import cli

    cli.main(prog_name="svstorage")
