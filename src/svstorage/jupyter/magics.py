"""``%svstorage status|pull|push|sync``, for the notebook that wants to know or to be sure."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from svstorage.errors import StorageError
from svstorage.jupyter.words import account_lines, status_lines

_USAGE = "%svstorage status|pull|push|sync [FOLDER]"


def register(shell: Any) -> None:
    """Add the magic to an IPython shell."""
    shell.register_magic_function(magic, magic_kind="line", magic_name="svstorage")


def magic(line: str) -> Told:
    """%svstorage status|pull|push|sync [FOLDER]

    Without FOLDER it is the one that holds the working directory and is kept in step.
    """
    words = shlex.split(line) or ["status"]
    if words[0] not in ("status", "pull", "push", "sync") or len(words) > 2:
        raise _failure(_USAGE)
    try:
        return Told(_run(words[0], Path(words[1]) if len(words) > 1 else _folder()))
    except StorageError as error:
        raise _failure(str(error)) from None


def _run(word: str, root: Path) -> list[str]:
    from svstorage.jupyter.session import Session, status_now
    from svstorage.settings import Settings

    if word == "status":
        return status_lines(status_now(root, Settings.load()))
    with Session.open(root) as session:
        return account_lines(session.carry("both" if word == "sync" else word))  # type: ignore[arg-type]


def _folder() -> Path:
    here = Path.cwd()
    for place in (here, *here.parents):
        if (place / ".svstorage" / "manifest.sqlite").exists():
            return place
    raise _failure(
        f"{os.fspath(here)} is not kept in step, nor is a folder above it. Name one: {_USAGE}"
    )


def _failure(text: str) -> Exception:
    from IPython.core.error import UsageError

    # IPython shows this kind as one line, without a traceback.
    error: Exception = UsageError(text)
    return error


class Told(str):
    """Lines for people, shown as they are."""

    __slots__ = ()

    def __new__(cls, lines: list[str]) -> Told:
        return super().__new__(cls, "\n".join(lines))

    def __repr__(self) -> str:
        return str(self)
