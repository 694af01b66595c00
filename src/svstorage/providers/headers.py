"""What the headers of a service's answer tell, whichever service it is."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of ``Retry-After`` (RFC 9110); its form with a date is rare, and left to the
    caller's own backoff."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() and len(text) < 6 else None


def server_time(headers: Mapping[str, str]) -> float | None:
    """The service's clock, in seconds since 1970."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, IndexError):
        return None
