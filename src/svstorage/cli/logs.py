"""Logging of the command: to stderr by verbosity, to a file when asked, never a secret."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from svstorage.errors import UsageError

if TYPE_CHECKING:
    from svstorage.cli.output import Output
    from svstorage.settings import Settings

log = logging.getLogger("svstorage")

MASK = "***"
# Signatures in URLs and headers are secrets of their own, whoever made them.
_SIGNED = re.compile(
    r"(?i)((?:x-amz-signature|x-amz-security-token|x-amz-credential|sig|signature|"
    r"x-goog-signature)=)[^&\s'\"]+|(authorization['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+"
)
_hidden: set[str] = set()


def hide(settings: Settings) -> None:
    """Remember the secrets of ``settings``, so that no log line shows them, whoever wrote it."""
    from svstorage.settings import variables

    for name in settings:
        if variables.is_secret(name):
            _hide_value(settings[name].value)


def _hide_value(value: str) -> None:
    if len(value) >= 4:  # shorter ones would blank out ordinary words
        _hidden.add(value)


def redact(text: str) -> str:
    """``text`` with known secrets and signatures masked."""
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _SIGNED.sub(lambda match: (match[1] or match[2]) + MASK, text)


class RedactingFormatter(logging.Formatter):
    """Masks secrets in the finished line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Screen(logging.Handler):
    def __init__(self, out: Output) -> None:
        super().__init__()
        self.out = out
        self.setFormatter(RedactingFormatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        from svstorage.cli.output import display_lines

        name = record.levelname.lower()
        try:
            self.out.say(display_lines(f"{name}: {self.format(record)}"))
        except (OSError, ValueError):  # stderr is gone: nobody is left to tell
            return


_handlers: list[logging.Handler] = []


def configure(out: Output, *, verbose: int, quiet: bool, file: Path | None) -> None:
    """Set the ``svstorage`` logger up anew. Other libraries' loggers are left alone: some log
    session tokens at debug level."""
    for handler in _handlers:
        log.removeHandler(handler)
        handler.close()
    _handlers.clear()
    for name in ("STORAGE_SECRET_KEY", "STORAGE_SESSION_TOKEN", "STORAGE_SAS_TOKEN",
                 "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):  # fmt: skip
        _hide_value(os.environ.get(name, ""))

    screen = _Screen(out)
    screen.setLevel(
        logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    )
    _handlers.append(screen)
    if file is not None:
        _handlers.append(_file_handler(file, logging.DEBUG if verbose >= 2 else logging.INFO))
    log.setLevel(min(handler.level for handler in _handlers))
    log.propagate = False
    for handler in _handlers:
        log.addHandler(handler)


def record(level: int, text: str) -> None:
    """A line for the log file alone: what was told to people in another way."""
    for handler in _handlers:
        if isinstance(handler, logging.FileHandler) and level >= handler.level:
            name = f"{log.name}.cli"
            handler.handle(logging.LogRecord(name, level, __file__, 0, text, None, None))


def _file_handler(path: Path, level: int) -> logging.Handler:
    try:
        # Only for the owner: keys and places are nobody else's business.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--log-file: {path} cannot be written: {error.strerror}") from None
    handler.setLevel(level)
    formatter = RedactingFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(formatter)
    return handler
