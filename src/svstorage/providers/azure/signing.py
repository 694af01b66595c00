"""Authorisation of a request: Shared Key, shared access signature, or bearer token.

Shared Key: "Authorize with Shared Key" (Azure REST documentation), version 2015-02-21 and
later. The signature is over the request line and headers as they are sent, so that it is made
here, beside the code that sends them, and not by a client library that may still change the URL.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from email.utils import formatdate

_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
# The service sorts x-ms- headers by its culture's rules: hyphens do not count, and an underscore
# comes before digits, which come before letters.
_SORTED_AS = str.maketrans({"-": None, "_": " "})


def http_date() -> str:
    """The time now, as ``x-ms-date`` has it."""
    return formatdate(usegmt=True)


def string_to_sign(
    method: str, account: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    """``path`` as sent (percent-encoded), ``query`` decoded, header names in lower case."""
    fields = [headers.get(name, "") for name in _SIGNED]
    if fields[2] == "0":
        fields[2] = ""
    names = sorted(
        (name for name in headers if name.startswith("x-ms-")),
        key=lambda name: name.translate(_SORTED_AS),
    )
    lines = [method, *fields, *(f"{name}:{headers[name].strip()}" for name in names)]
    lines.append(f"/{account}{path}")
    lines += [f"{name.lower()}:{value}" for name, value in sorted(query.items())]
    return "\n".join(lines)


def shared_key(account: str, key: bytes, text: str) -> str:
    """The value of the Authorization header."""
    digest = hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()
    return f"SharedKey {account}:{base64.b64encode(digest).decode('ascii')}"
