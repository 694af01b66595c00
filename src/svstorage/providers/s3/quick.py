"""Calls whose answers fit in memory, over the lean HTTP client instead of urllib3.

For small objects the HTTP client is most of the work: this way costs about a fifth of the CPU
(docs/benchmarks.md). Proxies are left to urllib3.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from svstorage import forks
from svstorage.errors import ConnectionFailed, ServiceError, StorageError
from svstorage.providers.connections import CONNECT_TIMEOUT, reason_of, trust
from svstorage.providers.endpoint import Endpoint
from svstorage.providers.http1 import Answer, Connection, NotConnected, Pool, request_head
from svstorage.providers.s3.config import S3Config
from svstorage.providers.target import Target


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A request that was sent; its connection is nobody else's until the answer is there."""

    pool: Pool
    connection: Connection


class QuickCalls:
    """The lean connections to one service. Safe to use from many threads, and after a fork."""

    def __init__(self, config: S3Config, *, read_timeout: float) -> None:
        self.usable = config.proxy is None
        self._config = config
        self._timeout = read_timeout
        self._tls: ssl.SSLContext | None = None
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}

    def exchange(
        self,
        target: Target,
        end: Endpoint,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | memoryview,
        limit: int,
        *,
        once: bool = False,
    ) -> Answer:
        """The whole answer, of any status; ``once``: never sent twice (`Pool.exchange`).

        Raises `ConnectionFailed` or `ServiceError`.
        """
        failure: StorageError
        try:
            return self._pool(end).exchange(
                request_head(method, path, headers),
                body,
                limit=limit,
                no_body=method == "HEAD",
                once=once,
            )
        except (OSError, ValueError) as error:
            failure = self._failure(target, error)
        raise failure

    def send(
        self,
        target: Target,
        end: Endpoint,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | memoryview,
    ) -> UnderWay:
        """The first half of `exchange`: the request is sent, and `receive` waits for its answer."""
        failure: StorageError
        try:
            pool = self._pool(end)
            connection = pool.take()
            connection.send(request_head(method, path, headers), body)
            return UnderWay(pool, connection)
        except (OSError, ValueError) as error:
            failure = self._failure(target, error)
        raise failure

    def receive(self, target: Target, under_way: UnderWay, limit: int) -> Answer:
        """The second half of `exchange`. Errors are the same."""
        failure: StorageError
        try:
            answer = under_way.connection.receive(limit=limit, no_body=False)
            under_way.pool.give(under_way.connection)
            return answer
        except (OSError, ValueError) as error:
            failure = self._failure(target, error)
        raise failure

    def close(self) -> None:
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def _pool(self, end: Endpoint) -> Pool:
        pool = self._pools.get(end.host)
        if pool is None:
            with self._lock:
                if end.tls and self._tls is None:
                    self._tls = trust(self._config.ca_bundle)
                made = Pool(
                    end.host,
                    end.port,
                    tls=self._tls,
                    connect_timeout=CONNECT_TIMEOUT,
                    timeout=self._timeout,
                )
                pool = self._pools.setdefault(end.host, made)
        return pool

    def _failure(self, target: Target, error: Exception) -> StorageError:
        where = f"{target} at {self._config.location}"
        cause = error
        if isinstance(error, NotConnected) and isinstance(error.__cause__, OSError):
            cause = error.__cause__
        reason = reason_of(cause)
        if isinstance(cause, socket.gaierror):
            return ConnectionFailed(f"{where}: there is no host of this name ({reason})")
        if isinstance(cause, ssl.SSLError):
            hint = "If the service speaks plain http, set STORAGE_USE_SSL=false"
            if isinstance(cause, ssl.SSLCertVerificationError):
                hint = "A private authority's certificate is named by STORAGE_CA_BUNDLE"
                reason = cause.verify_message
            return ConnectionFailed(f"{where}: TLS failed ({reason}). {hint}")
        if isinstance(error, NotConnected | TimeoutError):
            return ConnectionFailed(f"{where}: {reason}")
        return ServiceError(f"{where}: the connection broke ({reason})")
