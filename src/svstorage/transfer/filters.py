"""Which objects a transfer is about: globs over relative keys, sizes and times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from svstorage.errors import UsageError
from svstorage.model import Entry
from svstorage.transfer.options import TransferOptions

Filter = Callable[[str, Entry], "str | None"]
"""(relative key, entry) -> why it is excluded, or None."""


def glob_to_regex(pattern: str) -> str:
    """Translate a glob as the options use them.

    ``*`` and ``?`` stay within a path component, ``**`` crosses them, ``[ab]`` and ``[!ab]`` are
    sets. A pattern without ``/`` is about the last component of a key; one that ends in ``/`` is
    about everything below that folder; a leading ``/`` ties it to the root of the transfer.
    """
    if not pattern:
        raise UsageError("an empty pattern matches nothing; leave the option out")
    anchored = "/" in pattern.rstrip("/")
    if pattern.endswith("/"):
        pattern += "**"
    if pattern.startswith("/"):
        anchored = True
        pattern = pattern[1:]
    body = "".join(_tokens(pattern))
    return f"(?s:{body})" if anchored else f"(?s:(?:.*/)?{body})"


def _tokens(pattern: str) -> Iterable[str]:
    i = 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**/", i):
            yield "(?:.*/)?"
            i += 3
        elif pattern.startswith("**", i):
            yield ".*"
            i += 2
        elif char == "*":
            yield "[^/]*"
            i += 1
        elif char == "?":
            yield "[^/]"
            i += 1
        elif char == "[" and (end := pattern.find("]", i + 2)) > 0:
            inside = pattern[i + 1 : end]
            negated = inside[0] in "!^"
            inside = inside[1:] if negated else inside
            # Everything but a range's dash is literal inside a set.
            literal = inside.replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            literal = re.sub(r"([&~|])", r"\\\1", literal)
            yield f"(?!/)[{'^' if negated else ''}{literal}]"
            i = end + 1
        else:
            yield re.escape(char)
            i += 1


def _compile(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    for pattern in patterns:
        try:
            re.compile(glob_to_regex(pattern))
        except re.error as error:
            raise UsageError(f"the pattern {pattern!r} is not a glob: {error}") from None
    return re.compile("|".join(glob_to_regex(pattern) for pattern in patterns))


def build_filter(options: TransferOptions) -> Filter | None:
    """One function that says why an entry is excluded; None where nothing is filtered.

    With ``include`` patterns, only what matches one of them is in; ``exclude`` wins over
    ``include``. An entry whose time is not known passes the time filters.

    Raises:
        UsageError: a pattern is not a glob, or the bounds exclude everything.
    """
    include, exclude = _compile(options.include), _compile(options.exclude)
    low, high = options.min_size, options.max_size
    if low is not None and high is not None and low > high:
        raise UsageError("--min-size is above --max-size: nothing would match")
    newer, older = options.newer_than, options.older_than
    if newer is not None and older is not None and newer > older:
        raise UsageError("--newer-than is after --older-than: nothing would match")
    if not any(x is not None for x in (include, exclude, low, high, newer, older)):
        return None

    def why_excluded(key: str, entry: Entry) -> str | None:
        if include is not None and not include.fullmatch(key):
            return "not included"
        if exclude is not None and exclude.fullmatch(key):
            return "excluded"
        if low is not None and entry.size < low:
            return "smaller than --min-size"
        if high is not None and entry.size > high:
            return "larger than --max-size"
        if entry.modified_ns is not None:
            seconds = entry.modified_ns / 1e9
            if newer is not None and seconds < newer:
                return "older than --newer-than"
            if older is not None and seconds > older:
                return "newer than --older-than"
        return None

    return why_excluded
