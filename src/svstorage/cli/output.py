"""What is said where: results on stdout, everything else on stderr, nothing raw from a key."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from svstorage.addresses import display
from svstorage.cli import logs


class ReaderGone(Exception):
    """Nobody reads stdout any more, as in ``svstorage ls | head``."""


class Output:
    """The two streams of one run. Text is made fit for a terminal; JSON keeps keys exact."""

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.verbose = 0
        self._say: Callable[[str], None] | None = None

    def line(self, text: str = "") -> None:
        """One line of results. Control characters in it are shown, not sent."""
        sys.stdout.write(display(text) + "\n")

    def wrapped(self, head: str, text: str) -> None:
        """One line of results; on a terminal, words that do not fit go on below ``text``."""
        if not sys.stdout.isatty():
            self.line(f"{head}{text}".rstrip())
            return
        width = max(40, min(shutil.get_terminal_size().columns, 100))
        indent = " " * len(head)
        wrapped = textwrap.wrap(
            display(text), width, initial_indent=head, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        for line in wrapped or [head.rstrip()]:
            self.line(line)

    def raw(self, text: str) -> None:
        """Results that are no lines, such as names that end in NUL; kept as they are."""
        sys.stdout.flush()
        self.binary().write(text.encode("utf-8", "surrogateescape"))

    def record(self, values: Mapping[str, Any]) -> None:
        """One JSON object on one line, all in ASCII: exact for programs, harmless on screens."""
        sys.stdout.write(json.dumps(values, default=str) + "\n")

    def binary(self) -> BinaryIO:
        """stdout for bytes."""
        return sys.stdout.buffer

    def say(self, text: str) -> None:
        """A message for people, on stderr, above the progress bar if there is one."""
        if self._say is not None:
            self._say(text)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def note(self, text: str) -> None:
        """A message that ``-q`` leaves out."""
        logs.record(logging.INFO, display(text))
        if not self.quiet:
            self.say(display(text))

    def failure(self, text: str, **details: Any) -> None:
        """Something that failed; said whatever the verbosity, as JSON where asked for."""
        text = logs.redact(text)
        logs.record(logging.ERROR, display(text))
        if self.json:
            self.say(json.dumps({"error": text, **details}, default=str))
        else:
            self.say(display(f"error: {text}"))

    @contextlib.contextmanager
    def through(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let messages go through a live display while it is on the screen."""
        self._say = say
        try:
            yield
        finally:
            self._say = None


def display_lines(text: str) -> str:
    """Like `display`, but line ends stay: for our own texts of several lines.

    Further lines are indented, so that a key with a line end in it cannot pass for a message.
    """
    first, *more = text.rstrip("\n").split("\n")
    return "\n".join([display(first), *(f"  {display(line).lstrip()}" for line in more)])


def prepare_streams() -> None:
    """No character may end the run because the terminal's encoding lacks it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
