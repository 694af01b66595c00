"""``svstorage config``: show the settings, check them end to end, begin a file."""

from __future__ import annotations

import click

from svstorage.cli.commands.config_check import check
from svstorage.cli.commands.config_init import init
from svstorage.cli.commands.config_show import show


@click.group(
    "config",
    epilog="""\b
Examples:
  svstorage config show
  svstorage config check --env-file .env.s3
  svstorage config init minio --output .env
""",
)
def command() -> None:
    """Show, check and begin the settings."""


command.add_command(show)
command.add_command(check)
command.add_command(init)
