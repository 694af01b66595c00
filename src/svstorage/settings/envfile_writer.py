"""Writes ``.env`` files that svstorage and docker compose read alike."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from svstorage.errors import SettingsError
from svstorage.settings import variables
from svstorage.settings.source import shown_path

# What every reader of such files takes literally without quotes.
_PLAIN = re.compile(r"[\w./:@%+,=~&?!;*<>|^(){}\[\]\\-]+\Z", re.ASCII)
_DOUBLE_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "$": "\\$",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
}


def quote(value: str) -> str:
    """``value`` as it stands after ``NAME=``, so that reading it back gives the same value.

    Raises `SettingsError` for text that no ``.env`` file can hold: a NUL character, or
    characters that are not Unicode text.
    """
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise SettingsError("the value holds a character that a .env file cannot hold")
    if not value or _PLAIN.match(value):
        return value
    # In single quotes compose replaces no $, but a backslash before a quote could not be told
    # from an escaped quote; line ends are escaped so that an editor cannot convert them.
    if not any(character in _DOUBLE_ESCAPES and character not in '"$' for character in value):
        return "'" + value.replace("'", "\\'") + "'"
    return '"' + "".join(_DOUBLE_ESCAPES.get(character, character) for character in value) + '"'


def render_env(provider: str, values: Mapping[str, str]) -> str:
    """A commented ``.env`` for this provider (by its ``name``).

    ``values`` are by variable name. Variables of the provider that have no value stand there
    commented out, with their meaning and default.
    """
    given = {**values, "STORAGE_PROVIDER": provider}
    blocks = [
        "# Settings of svstorage. Values are literal; put those with blanks, quotes, # or $ in\n"
        "# single quotes. Keep this file to yourself: chmod 600"
    ]
    for variable in variables.of_provider(provider):
        value = given.pop(variable.name, "")
        if not value and not variable.keyword:
            continue
        lines = [_comment(variable.meaning)]
        if variable.default:
            lines.append(_comment(f"Default: {variable.default}"))
        lines.append(_line(variable.name, value) if value else f"# {variable.name}=")
        blocks.append("\n".join(lines))
    blocks += [_line(name, value) for name, value in given.items() if value]
    return "\n\n".join(blocks) + "\n"


def _comment(text: str) -> str:
    return f"# {' '.join(text.split())}"


def _line(name: str, value: str) -> str:
    return f"{name}={quote(value)}"


def write_env(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Writes the file at once or not at all, readable by its owner only (mode 0600).

    Raises `SettingsError` where the name is a symbolic link (nothing is written through it),
    where a file is there already and ``overwrite`` was not said, or where the folder cannot be
    written to.
    """
    source = f"file {shown_path(str(path))}"
    if path.is_symlink():
        raise SettingsError(
            "it is a symbolic link, which is not written through",
            source=source,
            mend="Name the file it leads to, or another one",
        )
    if path.exists() and not (overwrite and path.is_file()):
        raise _exists(source)
    try:
        _place(path, text.encode(), overwrite)
    except FileExistsError:
        raise _exists(source) from None
    except OSError as exc:
        raise SettingsError(f"it cannot be written: {exc.strerror}", source=source) from None


def _exists(source: str) -> SettingsError:
    return SettingsError("it is there already", source=source, mend="Name another file")


def _place(path: Path, data: bytes, overwrite: bool) -> None:
    # mkstemp makes the file with mode 0600, before any byte is in it.
    handle, temporary = tempfile.mkstemp(prefix=".env-", suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _link(temporary, path, data)
    finally:
        Path(temporary).unlink(missing_ok=True)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _link(temporary: str, path: Path, data: bytes) -> None:
    """Gives the file its name, and fails where the name is taken, even at the last moment."""
    try:
        os.link(temporary, path)
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        # No hard links here (FAT, some network folders): create the name exclusively.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
