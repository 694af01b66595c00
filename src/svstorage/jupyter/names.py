"""Names of conflicting versions: ``name (conflict DATE HOST).ipynb``."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from datetime import datetime, timezone

from svstorage.providers.local.keys import NAME_MAX

_MARK = re.compile(
    r" \(conflict \d{4}-\d\d-\d\d \d\d-\d\d-\d\d (?P<host>[^()/]*?)(?: (?P<number>\d+))?\)"
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A version that was kept beside the one that has the name."""

    key: str
    original: str
    host: str


def conflict_name(key: str, number: int = 1, *, host: str | None = None) -> str:
    """The key for a conflicting version of ``key``, made here and now (UTC).

    The date only tells people which is which. ``number`` over 1 is for names that are taken.
    """
    folder, slash, name = key.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    host = socket.gethostname() if host is None else host
    host = re.sub(r"[()/\x00-\x1f\x7f]", "-", host)[:40] or "unknown"
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H-%M-%S")
    mark = f" (conflict {when} {host}{f' {number}' if number > 1 else ''})"
    end = f"{mark}{dot}{suffix}"
    room = NAME_MAX - len(end.encode("utf-8", "surrogateescape"))
    if room < 1:  # a suffix of some 200 bytes is no suffix
        stem, end = name, mark
        room = NAME_MAX - len(end.encode())
    short = stem.encode("utf-8", "surrogateescape")[:room]
    while short:
        try:
            stem = short.decode("utf-8", "surrogateescape" if _escaped(stem) else "strict")
            break
        except UnicodeDecodeError:
            short = short[:-1]
    return f"{folder}{slash}{stem}{end}"


def _escaped(text: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in text)


def conflict_of(key: str) -> Conflict | None:
    """What a key of such a name tells, or None for any other key."""
    folder, slash, name = key.rpartition("/")
    match = _MARK.search(name)
    if match is None:
        return None
    original = name[: match.start()] + name[match.end() :]
    return Conflict(key, f"{folder}{slash}{original}", match["host"])
