"""One connection: a request sent, its whole answer received, with little Python between."""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
import sys
import time
from typing import TYPE_CHECKING

from svstorage.providers.http1.syntax import Answer, MalformedAnswer, parse_head

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_HEAD = 64 * 1024
"""Bytes of status line and headers; services stay far below."""
_MAX_INTERIM = 8
_BLOCK = 64 * 1024
_IDLE_TRUSTED = 0.1
_IDLE_LONGEST = 50.0
"""Seconds that a connection may rest: most servers close it after a minute."""

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n\0]*)?\Z")


class AnswerTooLarge(OSError):
    """The body is larger than the caller allows."""


class Stale(OSError):
    """A rested connection was closed by the peer before it sent a byte of an answer."""


class Connection:
    """One connection, for one thread at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        """Connect. Raises `OSError` (`ssl.SSLError` and `socket.gaierror` are among them)."""
        sock = socket.create_connection((host, port), connect_timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if tls is not None:
                sock = tls.wrap_socket(sock, server_hostname=host)
            _set_timeout(sock, timeout, plain=tls is None)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        self._tls = tls is not None
        self._rest = bytearray()
        self._used = False
        self._begun = False
        """Part of an answer has come, and not yet all of it."""
        self.reusable = True
        self.rested = 0.0

    def close(self) -> None:
        self.reusable = False
        self._sock.close()

    def looks_alive(self) -> bool:
        """False where the peer has closed, or has sent something that nobody asked for."""
        idle = time.monotonic() - self.rested
        if idle < _IDLE_TRUSTED:
            return True
        if idle > _IDLE_LONGEST:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def exchange(self, head: bytes, body: Buffer = b"", *, limit: int, no_body: bool) -> Answer:
        """Send a request and read its answer; ``no_body`` where it answers a HEAD.

        Raises `OSError`; the connection is closed then. `Stale` means that it had been used
        before and that nothing at all came back: the request may be sent once more.
        """
        self.send(head, body)
        return self.receive(limit=limit, no_body=no_body)

    def send(self, head: bytes, body: Buffer = b"") -> None:
        """The first half of `exchange`. `receive` must follow before anything else is sent."""
        try:
            self._send(head, body)
        except BaseException as error:
            raise self._broken(error) from None

    def receive(self, *, limit: int, no_body: bool) -> Answer:
        """The second half of `exchange`."""
        try:
            answer = self._answer(limit, no_body)
        except BaseException as error:
            raise self._broken(error) from None
        self._used = True
        if not self.reusable:
            self._sock.close()
        return answer

    def _broken(self, error: BaseException) -> BaseException:
        self.close()
        if isinstance(error, BlockingIOError):  # how SO_RCVTIMEO and SO_SNDTIMEO tell
            return TimeoutError("timed out")
        # An early refusal may be waiting to be read, but not on a connection that is gone.
        gone = isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError)
        return Stale(str(error)) if gone and self._used and not self._begun else error

    def _answer(self, limit: int, no_body: bool) -> Answer:
        self._begun = False
        data = self._receive()
        if not data:
            raise ConnectionResetError("the service closed the connection without an answer")
        self._begun = True
        self._rest += data
        for _ in range(_MAX_INTERIM):
            minor, status, headers = self._head()
            if status >= 200:
                break
            if status == 101:
                raise MalformedAnswer("the service changes to another protocol")
        else:
            raise MalformedAnswer("the service sends one interim answer after another")
        if minor == 0 or "close" in headers.get("connection", "").lower():
            self.reusable = False
        content = self._body(status, headers, limit, no_body)
        if self._rest:
            raise MalformedAnswer("the service sent more than its answer")
        self._begun = False
        return Answer(status, headers, content)

    def _send(self, head: bytes, body: Buffer) -> None:
        sock = self._sock
        view = memoryview(body)
        if not view:
            sock.sendall(head)
        elif self._tls:
            if len(view) <= _BLOCK:
                sock.sendall(b"".join((head, view)))
            else:
                sock.sendall(head)
                sock.sendall(view)
        else:
            sent = sock.sendmsg((head, view)) - len(head)
            if sent < 0:
                sock.sendall(head[sent:])
                sent = 0
            if sent < len(view):
                sock.sendall(view[sent:])

    def _receive(self) -> bytes:
        return self._sock.recv(_BLOCK)

    def _more(self) -> None:
        data = self._receive()
        if not data:
            raise ConnectionResetError("the answer broke off")
        self._rest += data

    def _head(self) -> tuple[int, int, dict[str, str]]:
        rest = self._rest
        start = 0
        while (end := rest.find(b"\r\n\r\n", start)) < 0:
            if len(rest) > MAX_HEAD:
                raise MalformedAnswer("the head of the answer is too large")
            start = max(0, len(rest) - 3)
            self._more()
        if end > MAX_HEAD:
            raise MalformedAnswer("the head of the answer is too large")
        parsed = parse_head(rest[:end].decode("latin-1"))
        del rest[: end + 4]
        return parsed

    def _body(
        self, status: int, headers: dict[str, str], limit: int, no_body: bool
    ) -> bytes | bytearray:
        coding = headers.get("transfer-encoding")
        told = headers.get("content-length")
        if coding is not None and told is not None:
            raise MalformedAnswer("the answer has both a length and a transfer coding")
        if told is not None and not (told.isascii() and told.isdecimal() and len(told) < 20):
            raise MalformedAnswer("the length of the answer is no number")
        if no_body or status in (204, 304):
            return b""
        if coding is not None:
            if coding.lower() != "chunked":
                raise MalformedAnswer(f"the answer has the transfer coding {coding[:40]!r}")
            return self._chunked(limit)
        if told is None:
            return self._until_closed(limit)
        return self._sized(int(told), limit)

    def _sized(self, size: int, limit: int) -> bytes | bytearray:
        if size > limit:
            raise AnswerTooLarge(f"the answer is larger than {limit} bytes")
        rest = self._rest
        have = len(rest)
        if have >= size:
            body = bytes(rest) if have == size else bytes(rest[:size])
            del rest[:size]
            return body
        whole = bytearray(size)
        whole[:have] = rest
        rest.clear()
        view = memoryview(whole)
        while have < size:
            count = self._sock.recv_into(view[have:])
            if not count:
                raise ConnectionResetError(f"the answer broke off, {size - have} bytes are missing")
            have += count
        return whole

    def _chunked(self, limit: int) -> bytes:
        body = bytearray()
        while True:
            match = _CHUNK.match(self._line())
            if match is None:
                raise MalformedAnswer("a chunk of the answer has no size")
            size = int(match[1], 16)
            if not size:
                break
            if len(body) + size > limit:
                raise AnswerTooLarge(f"the answer is larger than {limit} bytes")
            while len(self._rest) < size + 2:
                self._more()
            if self._rest[size : size + 2] != b"\r\n":
                raise MalformedAnswer("a chunk of the answer is longer than its size")
            body += self._rest[:size]
            del self._rest[: size + 2]
        trailers = 0
        while line := self._line():  # nobody needs them
            trailers += len(line)
            if trailers > MAX_HEAD:
                raise MalformedAnswer("the trailers of the answer are too large")
        return bytes(body)

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            if len(self._rest) > MAX_HEAD:
                raise MalformedAnswer("a line of the answer is too long")
            self._more()
        line = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return line

    def _until_closed(self, limit: int) -> bytes:
        self.reusable = False
        while len(self._rest) <= limit:
            data = self._receive()
            if not data:
                break
            self._rest += data
        else:
            raise AnswerTooLarge(f"the answer is larger than {limit} bytes")
        body = bytes(self._rest)
        self._rest.clear()
        return body


def _set_timeout(sock: socket.socket, seconds: float, *, plain: bool) -> None:
    """Python's own timeouts cost a poll() before each call; the kernel's cost nothing."""
    if plain and sys.platform == "linux":
        value = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
    else:
        sock.settimeout(seconds)
