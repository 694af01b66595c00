"""Heads of HTTP/1.1 messages, written and read exactly as RFC 9112 has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FIELD_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token of RFC 9110, section 5.6.2
_HEAD = re.compile(
    rf"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?((?:\r\n{_FIELD_NAME}:[^\r\n\0]*)*)\Z"
)
_LINES = re.compile(
    rf"{_FIELD_NAME}: [^\x00-\x08\x0a-\x1f\x7f]*(?:\n{_FIELD_NAME}: [^\x00-\x08\x0a-\x1f\x7f]*)*\Z"
)
_TARGET = re.compile(r"/[\x21-\x7e]*\Z")


class MalformedAnswer(OSError):
    """The peer does not speak HTTP/1.1 as it is written."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are lower case, values as Latin-1; equal names are joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request. Values are sent as Latin-1.

    Raises:
        ValueError: a name or value would end its line and begin another.
    """
    if not _TARGET.match(target):
        raise ValueError("the request target is not percent-encoded")
    if not headers:
        raise ValueError("a request has at least a host header")
    lines = [f"{name}: {value}" for name, value in headers.items()]
    text = "\n".join(lines)
    # As many line ends as were put there, and nothing but names and values between them.
    if text.count("\n") != len(lines) - 1 or not _LINES.match(text):
        raise ValueError("a header has an impossible name, or a control character in its value")
    text = text.replace("\n", "\r\n")
    return f"{method} {target} HTTP/1.1\r\n{text}\r\n\r\n".encode("latin-1")


def parse_head(text: str) -> tuple[int, int, dict[str, str]]:
    """(minor version, status, headers) of a head without its closing blank line.

    Raises:
        MalformedAnswer: it is not exactly a status line and header lines.
    """
    match = _HEAD.match(text)
    if match is None:
        raise MalformedAnswer("the answer does not begin as HTTP/1.1 does")
    headers: dict[str, str] = {}
    block = match[3]
    if block:
        for line in block[2:].split("\r\n"):
            name, _, value = line.partition(":")
            name = name.lower()
            value = value.strip(" \t")
            if name in headers:
                if name in ("content-length", "transfer-encoding"):
                    raise MalformedAnswer(f"the answer has {name} twice")
                value = f"{headers[name]}, {value}"
            headers[name] = value
    return int(match[1]), int(match[2]), headers
