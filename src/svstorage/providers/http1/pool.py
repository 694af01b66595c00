"""Connections to one host, kept for the next request."""

from __future__ import annotations

import ssl
import time
from collections import deque
from typing import TYPE_CHECKING

from svstorage import forks
from svstorage.providers.http1.connection import Connection, Stale

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.http1.syntax import Answer


class NotConnected(OSError):
    """There is no connection at all; the cause tells why."""


class Pool:
    """Connections to one host. Safe to use from many threads, and after a fork."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 60.0,
        keep: int = 256,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._keep = keep
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._idle: deque[Connection] = deque(maxlen=self._keep)

    def exchange(
        self,
        head: bytes,
        body: Buffer = b"",
        *,
        limit: int,
        no_body: bool = False,
        once: bool = False,
    ) -> Answer:
        """Send a request and read the whole answer.

        A request that meets a connection which the service had closed meanwhile is sent again
        on a new one. Nothing tells whether the first had been carried out before: ``once`` is
        for what must not be (RFC 9110, section 9.2.2), and goes on a new connection to begin
        with. ``limit`` is the largest body taken, in bytes. Raises `OSError`.
        """
        while not once and (connection := self._rested()) is not None:
            try:
                return self._on(connection, head, body, limit, no_body)
            except Stale:
                continue
        return self._on(self._connect(), head, body, limit, no_body)

    def take(self) -> Connection:
        """A connection for one `Connection.send` and `Connection.receive`; then `give` it back.

        Raises `NotConnected`.
        """
        return self._rested() or self._connect()

    def give(self, connection: Connection) -> None:
        """Keep a connection for the next request, unless it was closed."""
        if connection.reusable:
            connection.rested = time.monotonic()
            self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _on(
        self, connection: Connection, head: bytes, body: Buffer, limit: int, no_body: bool
    ) -> Answer:
        answer = connection.exchange(head, body, limit=limit, no_body=no_body)
        self.give(connection)
        return answer

    def _rested(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.looks_alive():
                return connection
            connection.close()

    def _connect(self) -> Connection:
        try:
            return Connection(
                self._host,
                self._port,
                tls=self._tls,
                connect_timeout=self._connect_timeout,
                timeout=self._timeout,
            )
        except OSError as error:
            raise NotConnected(str(error)) from error
