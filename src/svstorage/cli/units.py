"""Sizes, rates, durations and dates as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([kmgtp]?)(i?b?)\s*\Z", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_size(text: str) -> int:
    """Bytes. ``10``, ``10K``, ``10KiB`` count in 1024s (as rclone and aws do), ``10KB`` in 1000s.

    Raises `ValueError` for anything else.
    """
    match = _SIZE.match(text)
    if match is None:
        raise ValueError("not a size: write 500, 10K, 10MiB, 1.5G or 10MB")
    number, unit, suffix = match.groups()
    base = 1000 if suffix.lower() == "b" and unit else 1024
    if suffix.lower() in ("i", "ib") and not unit:
        raise ValueError("not a size: write 500, 10K, 10MiB, 1.5G or 10MB")
    return int(float(number) * base ** " kmgtp".index(unit.lower() or " "))


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``1h30m``, ``2d``, ``1w`` or a bare number of seconds."""
    word = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", word):
        return float(word)
    pieces = _DURATION.findall(word)
    if not pieces or "".join(number + unit for number, unit in pieces) != word:
        raise ValueError("not a duration: write 90s, 15m, 12h, 2d, 1w or 1h30m")
    return float(sum(float(number) * _SECONDS[unit.lower()] for number, unit in pieces))


def parse_moment(text: str, now: float | None = None) -> float:
    """Seconds since 1970: a duration back from now (``2d``), or a date with or without time.

    A time without a zone is local time.
    """
    word = text.strip()
    if re.match(r"\d{4}-\d{2}-\d{2}", word):
        # Before 3.11 the Z of UTC was not understood.
        iso = re.sub(r"[zZ]\Z", "+00:00", word)
        try:
            return datetime.fromisoformat(iso).timestamp()
        except ValueError:
            raise ValueError("not a date: write 2026-01-31 or 2026-01-31T12:00:00Z") from None
    try:
        return (time.time() if now is None else now) - parse_duration(word)
    except ValueError:
        raise ValueError("neither a duration (2d, 12h) nor a date (2026-01-31)") from None


if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # generic only since click 8.4
    ParamType = click.ParamType


class _Parsed(ParamType):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except (ValueError, OverflowError) as error:
            self.fail(f"{value!r}: {error}", param, ctx)

    def parse(self, text: str) -> Any:
        raise NotImplementedError


class Size(_Parsed):
    """An option's value in bytes."""

    name = "size"

    def parse(self, text: str) -> int:
        return parse_size(text)


class Rate(_Parsed):
    """Bytes a second; ``10M`` and ``10M/s`` are the same."""

    name = "rate"

    def parse(self, text: str) -> float:
        try:
            rate = parse_size(text.strip().removesuffix("/s"))
        except ValueError:
            raise ValueError("not a rate: write the bytes a second as 500K, 10M or 1G") from None
        if rate <= 0:
            raise ValueError("a rate must be above zero")
        return float(rate)


class Duration(_Parsed):
    """Seconds."""

    name = "duration"

    def parse(self, text: str) -> float:
        return parse_duration(text)


class Moment(_Parsed):
    """Seconds since 1970."""

    name = "moment"

    def parse(self, text: str) -> float:
        return parse_moment(text)


def human_size(count: float) -> str:
    """``1.5 MiB``: at most seven characters wide for anything real."""
    if abs(count) < 1024:
        return f"{int(count)} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        count /= 1024
        if abs(count) < 999.95 or unit == "PiB":
            return f"{count:.1f} {unit}"
    raise AssertionError("unreachable")


def human_time(seconds: float) -> str:
    """``0.4s``, ``12s``, ``3m05s``, ``2h07m``, ``1d04h``."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def moment_text(nanoseconds: int | None) -> str:
    """Local time to the second, or a dash; always 19 wide."""
    if nanoseconds is None:
        return f"{'-':<19}"
    return datetime.fromtimestamp(nanoseconds / 1e9).strftime("%Y-%m-%d %H:%M:%S")


def moment_iso(nanoseconds: int | None) -> str | None:
    """UTC with microseconds, for JSON."""
    if nanoseconds is None:
        return None
    moment = datetime.fromtimestamp(nanoseconds // 1000 / 1e6, tz=timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")
