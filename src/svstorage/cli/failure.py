"""How a run ends: every error becomes one line on stderr and one of the documented codes.

0 all done; 1 some objects failed or differ; 2 usage or settings; 3 the storage cannot be
reached or refuses the credentials; 130 interrupted. When the reader of stdout has gone away
(``svstorage ls | head``) the code is 141, as the shell reports it of any Unix tool.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from svstorage.addresses import display
from svstorage.cli import logs
from svstorage.cli.output import ReaderGone, display_lines, prepare_streams

INTERRUPTED = 130
PIPE_CLOSED = 141


def exit_with(run: Callable[[], Any], words: Sequence[str]) -> NoReturn:
    """Run the command and end the process. ``words`` are the arguments, for errors that come
    before they are parsed."""
    prepare_streams()
    code = _code_of(run, words)
    logs.record(logging.INFO, f"ended with exit code {code}")
    sys.exit(code)


def _code_of(run: Callable[[], Any], words: Sequence[str]) -> int:
    try:
        try:
            result = run()
            code = result if isinstance(result, int) else 0
        finally:
            sys.stdout.flush()
        return code
    except (BrokenPipeError, ReaderGone):
        return _reader_gone()
    except (KeyboardInterrupt, click.Abort):
        _tell("interrupted", "Interrupted", INTERRUPTED, words)
        return INTERRUPTED
    except click.UsageError as error:
        return _usage(error, words)
    except click.ClickException as error:
        _tell(error.format_message(), type(error).__name__, error.exit_code, words)
        return error.exit_code
    except Exception as error:
        code = exit_code(error)
        _tell(message_of(error), type(error).__name__, code, words)
        return code


def exit_code(error: BaseException) -> int:
    """The one map from errors to exit codes."""
    from svstorage.errors import StorageError

    return error.exit_code if isinstance(error, StorageError) else 1


def message_of(error: BaseException) -> str:
    """What is said of an error: its text, and for unforeseen ones their kind as well."""
    from svstorage.errors import StorageError

    if isinstance(error, StorageError):
        return str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        return f"{name}: {error.strerror}" if name else error.strerror
    text = str(error)
    kind = type(error).__name__
    return f"unexpected {kind}: {text} (run with -vv for the traceback)" if text else kind


def _usage(error: click.UsageError, words: Sequence[str]) -> int:
    _tell(error.format_message(), "UsageError", error.exit_code, words)
    if error.ctx is not None and not _json(words):
        sys.stderr.write(f"Try '{error.ctx.command_path} --help'.\n")
    return error.exit_code


def _tell(text: str, kind: str, code: int, words: Sequence[str]) -> None:
    text = logs.redact(text)
    try:
        if _json(words):
            record = {"error": text, "kind": kind, "exit_code": code}
            sys.stderr.write(json.dumps(record) + "\n")
        else:
            sys.stderr.write(display_lines(f"error: {text}") + "\n")
        if _verbosity(words) >= 2 and sys.exc_info()[0] is not None:
            lines = logs.redact(traceback.format_exc()).splitlines()
            sys.stderr.write("".join(f"{display(line)}\n" for line in lines))
        logs.record(logging.ERROR, display_lines(text))
        sys.stderr.flush()
    except OSError:  # stderr is closed: the code alone has to tell
        return


def _json(words: Sequence[str]) -> bool:
    return "--json" in _options(words)


def _verbosity(words: Sequence[str]) -> int:
    count = 0
    for word in _options(words):
        if word == "--verbose":
            count += 1
        elif word.startswith("-v") and set(word[1:]) == {"v"}:
            count += len(word) - 1
    return count


def _options(words: Sequence[str]) -> list[str]:
    """The words before ``--``. Looked at directly, as parsing may be what failed."""
    found = list(words)
    return found[: found.index("--")] if "--" in found else found


def _reader_gone() -> int:
    # Python flushes stdout once more at exit: let that go nowhere instead of failing again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is closed or no real file
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - lives until exit
    finally:
        os.close(nowhere)
    return PIPE_CLOSED
