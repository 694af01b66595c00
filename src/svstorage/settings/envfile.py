"""Finds and reads a ``.env`` file the way docker compose does, with every value literal.

python-dotenv splits the file into statements; the value of each statement is decoded here,
because python-dotenv differs from docker compose in what it takes as a comment and in the
escapes of quoted values. The rules are those of docker compose's page on the syntax of ``.env``
files (https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/)
and, where it is silent, of compose-go's ``dotenv`` package, with one difference that is meant:
``$`` stands for itself. What compose would read in a way nobody wants (text after a closing
quote, a name without a value) is an error here.

Messages name file and line, never the text of the line: it may hold a secret.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svstorage.errors import SettingsError
from svstorage.settings import variables
from svstorage.settings.source import Setting, Source, shown_path

MAX_BYTES = 1024 * 1024
"""No settings file is longer; what is, is another file named by mistake."""

_BLANKS = "\t\v\f\r \x85\xa0"
_NAME = re.compile(r"[\w.\-\[\]]+\Z")
_HEAD = re.compile(r"\s*(?:export[^\S\r\n]+)?([^=\s]+)[^\S\r\n]*=")
_COLON_HEAD = re.compile(r"\s*(?:export[^\S\r\n]+)?[\w.\-\[\]]+[^\S\r\n]*(:)")
_QUOTED = {
    "'": re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL),
    '"': re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL),
}
_AFTER_QUOTE = re.compile(r"[^\S\n]*(?:#[^\n]*)?\n?\Z")
_LONE_CR = re.compile(r"\r(?!\n)")
_ESCAPE = re.compile(r'\\(?:0([0-3][0-7]{2})|([abfnrtv$"\\]))')
_ESCAPED = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A file that was read: its settings by name, and what is doubtful about it."""

    path: Path
    settings: dict[str, Setting]
    warnings: tuple[str, ...]


def find(start: Path) -> Path | None:
    """The nearest file ``.env`` in ``start`` or above it; folders of that name do not count.

    A file above ``start`` that belongs to another user (not root) is an error: whoever may
    write to a folder above could else point the storage, and its credentials, elsewhere.
    """
    for folder in (start, *start.parents):
        candidate = folder / ".env"
        try:
            found = candidate.stat()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode):
            continue
        if folder != start and os.name == "posix" and found.st_uid not in (0, os.geteuid()):
            raise SettingsError(
                "this file was found above the working directory and belongs to another user",
                source=f"file {shown_path(str(candidate))}",
                mend="Name it with --env-file or SVSTORAGE_ENV_FILE if it is to be used",
            )
        return candidate
    return None


def read(path: Path, variable: str | None = None) -> EnvFile:
    """Reads and checks one file. Anything wrong with it is a `SettingsError`.

    ``variable`` is the one that named the file, if any.
    """
    if str(path) == os.devnull:
        return EnvFile(path, {}, ())
    data, mode = read_regular(path, variable=variable)
    settings = dict(parse(data, str(path)))
    warnings = [
        f"{name} begins with # in {setting.source}: docker compose takes that as the value, "
        "not as a comment. Put it in quotes, or the comment on a line of its own"
        for name, setting in settings.items()
        if variables.lookup(name) and setting.value.startswith("# ")
    ]
    held = [n for n, s in settings.items() if s.value and variables.is_secret(n)]
    warnings += check_mode(path, mode, "file", held)
    warnings += [
        f"{name} in {settings[name].source} contains $, which is taken literally here but "
        "replaced by docker compose. Put the value in single quotes, then both read the same"
        for name in held
        if settings[name].interpolated_by_compose
    ]
    return EnvFile(path, settings, tuple(warnings))


def read_regular(
    path: Path, kind: str = "file", *, variable: str | None = None
) -> tuple[bytes, int]:
    """The bytes and the mode of a settings file; a `SettingsError` for what is no such file.

    Never waits: a FIFO is refused, not opened for reading until somebody writes.
    """
    source = f"{kind} {shown_path(str(path))}"

    def wrong(problem: str, mend: str | None = None) -> SettingsError:
        return SettingsError(problem, variable=variable, source=source, mend=mend)

    failure: OSError | None = None
    data = b""
    try:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with open(os.open(path, flags | getattr(os, "O_CLOEXEC", 0)), "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_ISREG(mode):
                    data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        failure = exc
    except ValueError:  # a NUL in the path
        raise wrong("there is no such file") from None
    if failure is not None:
        if failure.errno in (errno.ENOENT, errno.ENOTDIR):
            raise wrong("there is no such file", "Correct the name or leave it out") from None
        raise wrong(f"it cannot be read: {failure.strerror}") from None
    if stat.S_ISDIR(mode):
        raise wrong("it is a folder, not a file", "Name the file in it")
    if not stat.S_ISREG(mode):
        raise wrong("it is not a regular file", "Name a file")
    if len(data) > MAX_BYTES:
        raise wrong(
            f"it is larger than {MAX_BYTES // 1024} KiB, which no settings file is",
            "Name the right file",
        )
    return data, mode


def check_mode(path: Path, mode: int, kind: str, secret_names: list[str]) -> list[str]:
    """Warnings about who may read a file that holds secrets; an error if anyone may write it."""
    if os.name != "posix" or not secret_names:
        return []
    name = shown_path(str(path))
    if mode & stat.S_IWOTH:
        raise SettingsError(
            "the file holds secrets and every user of this machine may write to it",
            source=f"{kind} {name}",
            mend=f"Run: chmod 600 {name}",
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return [
            f"the {kind} {name} holds secrets and other users of this machine may read it. "
            f"Run: chmod 600 {name}"
        ]
    return []


def parse(data: bytes, path: str) -> Iterator[tuple[str, Setting]]:
    """The settings of one file in its order. Raises `SettingsError` with the line number."""
    text = decode(data, "file", path)
    if text.endswith("\r"):  # the last CRLF was cut in two; compose takes the CR for a blank
        text += "\n"
    seen: dict[str, int] = {}
    for statement, line in _statements(text):
        source = Source("file", path, line)

        def wrong(problem: str, mend: str, source: Source = source) -> SettingsError:
            return SettingsError(problem, source=str(source), mend=mend)

        if not statement.strip() or statement.lstrip().startswith("#"):
            if _LONE_CR.search(statement):
                raise wrong(*_LONE_CR_TEXT)
            continue
        head = _HEAD.match(statement)
        if head is None:
            if _NAME.match(statement.strip().removeprefix("export").strip()):
                raise wrong(
                    "this line has a name but no value", "Write NAME=value, or remove the line"
                )
            raise wrong("this line cannot be read", "Write NAME=value, or # before a comment")
        name = head[1]
        if not _NAME.match(name):
            raise wrong(
                "the name on this line has characters that no variable's name has",
                "Write NAME=value with letters, digits and _ in the name",
            )
        if name in seen:
            raise SettingsError(
                f"it is set twice, first on line {seen[name]}",
                variable=name,
                source=str(source),
                mend="Remove one of the two lines",
            )
        seen[name] = line
        decoded = _value(statement[head.end() :].lstrip(_BLANKS))
        if isinstance(decoded, _Bad):
            raise wrong(decoded.problem, decoded.mend)
        value, compose_differs = decoded
        yield name, Setting(value, source, compose_differs)


@dataclass(frozen=True, slots=True)
class _Bad:
    problem: str
    mend: str


_LONE_CR_TEXT = (
    "there is a carriage return in the middle of this line",
    "Save the file with LF or CRLF at the ends of lines",
)


def decode(data: bytes, kind: Literal["file", "links"], path: str) -> str:
    """Strict UTF-8, with or without BOM, and no NUL."""
    text: str | None = None
    where = 0
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        where = exc.start
    # Raised outside of the handler: the decoding error would carry the bytes along.
    if text is None:
        raise SettingsError(
            "the file is not UTF-8 text",
            source=str(Source(kind, path, data.count(b"\n", 0, where) + 1)),
            mend="Save it as UTF-8",
        )
    nul = text.find("\0")
    if nul >= 0:
        raise SettingsError(
            "there is a NUL character in this line",
            source=str(Source(kind, path, text.count("\n", 0, nul) + 1)),
            mend="Remove it; a file in UTF-16 must be saved as UTF-8",
        )
    return text


def _statements(text: str) -> Iterator[tuple[str, int]]:
    """The statements of a file and the line each one begins on.

    docker compose takes ``NAME: value`` too. python-dotenv does not, so that such a statement
    is handed to it again with ``=`` in place of the colon.
    """
    from dotenv.parser import parse_stream

    offset, line = 0, 1
    while offset < len(text):
        for binding in parse_stream(io.StringIO(text[offset:], newline="")):
            original = binding.original.string
            colon = _COLON_HEAD.match(original)
            if colon:
                at = offset + colon.start(1)
                text = f"{text[:at]}={text[at + 1 :]}"
                break
            blank = len(original) - len(original.lstrip())
            yield original, line + original.count("\n", 0, blank)
            offset += len(original)
            line += original.count("\n")


def _value(rest: str) -> tuple[str, bool] | _Bad:
    """Decodes what stands after ``=``: the value, and whether compose would replace a ``$``."""
    quote = rest[:1]
    if quote not in _QUOTED:
        content = rest.removesuffix("\n")
        if _LONE_CR.search(rest) or "\n" in content:
            return _Bad(*_LONE_CR_TEXT)
        # Only a blank before # makes a comment; what is left loses its trailing blanks.
        value = content.partition(" #")[0].rstrip()
        return value, "$" in value
    match = _QUOTED[quote].match(rest)
    if match is None:
        return _Bad(
            "the quote that opens this value is never closed",
            f"Add the closing quote; a {quote} in the value is written \\{quote}",
        )
    tail = rest[match.end() :]
    if not _AFTER_QUOTE.match(tail) or _LONE_CR.search(tail):
        return _Bad(
            "there is text after the closing quote",
            f"A {quote} in the value is written \\{quote}; a comment begins with #",
        )
    if quote == "'":
        # compose keeps every other backslash, so that '\\' stays two characters.
        return re.sub(r"\\(.)", _unescape_single, match[1], flags=re.DOTALL), False
    unescaped_dollar = "$" in re.sub(r"\\.", "", match[1], flags=re.DOTALL)
    value = _ESCAPE.sub(_unescape_double, match[1])
    if "\0" in value:
        return _Bad("there is a NUL character in this value", "Remove it")
    return value, unescaped_dollar


def _unescape_single(match: re.Match[str]) -> str:
    return "'" if match[1] == "'" else match[0]


def _unescape_double(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 8))
    return _ESCAPED.get(match[2], match[2])
