"""HTTP/1.1 for small requests whose answers fit in memory: one send, one receive, little Python.

A general HTTP client costs several times the CPU that a small object costs itself; this one does
only what calls of storage services need. It never follows redirects, reads no environment, knows
no proxies, cookies or compression, and is strict: an answer that is not plainly well-formed
(RFC 9112) ends the connection with `MalformedAnswer`.
"""

from __future__ import annotations

from svstorage.providers.http1.connection import MAX_HEAD, AnswerTooLarge, Connection
from svstorage.providers.http1.pool import NotConnected, Pool
from svstorage.providers.http1.syntax import Answer, MalformedAnswer, parse_head, request_head

__all__ = [
    "MAX_HEAD",
    "Answer",
    "AnswerTooLarge",
    "Connection",
    "MalformedAnswer",
    "NotConnected",
    "Pool",
    "parse_head",
    "request_head",
]
