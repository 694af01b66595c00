"""What one run of the command knows: global options, output, the connected storage."""

from __future__ import annotations

import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from svstorage.cli import logs
from svstorage.cli.output import Output, ReaderGone

if TYPE_CHECKING:
    from svstorage.ends import Opener
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
    _opener: Opener | None = None
    _opened: list[Storage] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set)

    def apply(self) -> None:
        """Bring output and logging in step with the options; called whenever one is read."""
        if self.verbose and self.quiet:
            raise click.UsageError("-v and -q contradict each other")
        self.out.json = self.json
        self.out.quiet = self.quiet
        self.out.verbose = self.verbose
        logs.configure(self.out, verbose=self.verbose, quiet=self.quiet, file=self.log_file)

    @property
    def command(self) -> str:
        """How the user calls us with the same settings, for hints."""
        if self.env_file is None:
            return "svstorage"
        return f"svstorage --env-file {shlex.quote(os.fspath(self.env_file))}"

    @property
    def storage(self) -> Storage:
        """The storage that ``sv://`` means: the one of ``--env-file`` or the environment."""
        if self._storage is None:
            self._storage = self.connect(self.env_file)
        return self._storage

    @property
    def opener(self) -> Opener:
        """Opens addresses; the storage is connected when one of them needs it."""
        if self._opener is None:
            from svstorage.ends import Opener

            self._opener = Opener(lambda: self.storage)
        return self._opener

    def settings(
        self, env_file: str | os.PathLike[str] | None = None, *, file_only: bool = False
    ) -> Settings:
        """Settings of one file (None: found as usual); warns of what is doubtful in them.

        ``file_only`` leaves the environment out, for the files of ``--from-env`` and
        ``--to-env``: the environment describes one storage, and nothing of one side of a copy,
        least of all its secret, may reach the other.
        """
        from svstorage.settings import Settings

        settings = Settings.load(env_file=env_file, environ={} if file_only else None)
        logs.hide(settings)
        for warning in settings.warnings:
            if warning not in self._warned:  # settings are read again by each step of a check
                self._warned.add(warning)
                logs.log.warning("%s", warning)
        return settings

    def connect(
        self, env_file: str | os.PathLike[str] | None = None, *, file_only: bool = False
    ) -> Storage:
        """A storage that is closed when the command ends."""
        from svstorage.storage import connect

        settings = self.settings(env_file, file_only=file_only)
        storage = connect(env_file=env_file, settings=settings)
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
        logs.record(logging.INFO, shlex.join(["started: svstorage", *sys.argv[1:]]))
        try:
            return ctx.invoke(function, state, *args, **kwargs)
        except BrokenPipeError:
            raise ReaderGone from None  # click would make exit code 1 of it
        finally:
            state.close()

    return functools.update_wrapper(wrapped, function)  # type: ignore[return-value]
