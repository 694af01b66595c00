"""What one run of the command knows: global options, output, the connected storage."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from svstorage.cli import logs
from svstorage.cli.output import Output

if TYPE_CHECKING:
    from svstorage.settings import Settings
    from svstorage.storage import Storage

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class State:
    """The run's `click.Context.obj`. The storage is connected when a command first asks."""

    env_file: Path | None = None
    verbose: int = 0
    quiet: bool = False
    json: bool = False
    log_file: Path | None = None
    out: Output = field(default_factory=Output)
    _storage: Storage | None = None
    _opened: list[Storage] = field(default_factory=list)

    def apply(self) -> None:
        """Bring output and logging in step with the options; called whenever one is read."""
        if self.verbose and self.quiet:
            raise click.UsageError("-v and -q contradict each other")
        self.out.json = self.json
        self.out.quiet = self.quiet
        self.out.verbose = self.verbose
        logs.configure(self.out, verbose=self.verbose, quiet=self.quiet, file=self.log_file)

    @property
    def storage(self) -> Storage:
        """The storage that ``sv://`` means: the one of ``--env-file`` or the environment."""
        if self._storage is None:
            self._storage = self.connect(self.env_file)
        return self._storage

    def settings(self, env_file: str | os.PathLike[str] | None = None) -> Settings:
        """Settings of one file (None: found as usual); warns of what is doubtful in them."""
        from svstorage.settings import Settings

        settings = Settings.load(env_file=env_file)
        logs.hide(settings)
        for warning in settings.warnings:
            logs.log.warning("%s", warning)
        return settings

    def connect(self, env_file: str | os.PathLike[str] | None = None) -> Storage:
        """A storage that is closed when the command ends."""
        from svstorage.storage import connect

        storage = connect(env_file=env_file, settings=self.settings(env_file))
        self._opened.append(storage)
        return storage

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()


def pass_state(function: F) -> F:
    """Give a command the run's `State` as its first argument."""

    @click.pass_context
    def wrapped(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        state = ctx.ensure_object(State)
        try:
            return ctx.invoke(function, state, *args, **kwargs)
        finally:
            state.close()

    return functools.update_wrapper(wrapped, function)  # type: ignore[return-value]
