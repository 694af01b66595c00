"""Connections to one service: pools, timeouts, TLS, proxies, and what went wrong with them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as Urllib3Timeout

from svstorage import forks
from svstorage.addresses import display
from svstorage.errors import ConnectionFailed, ServiceError, SettingsError, StorageError
from svstorage.providers.body import SizedBody
from svstorage.providers.endpoint import CA_BUNDLE, Endpoint
from svstorage.providers.target import Target
from svstorage.settings import Secret

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds without a byte in either direction."""

_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4))
        if hasattr(socket, name)
    ),
]


class _Connection(HTTPConnection):
    """urllib3 sends under the timeout of connecting; a slow upload is given the longer one."""

    def connect(self) -> None:
        progress, self.timeout = self.timeout, CONNECT_TIMEOUT
        try:
            super().connect()
        finally:
            self.timeout = progress
        self.sock.settimeout(self.timeout)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        progress, self.timeout = self.timeout, CONNECT_TIMEOUT
        try:
            super().connect()
        finally:
            self.timeout = progress
        self.sock.settimeout(self.timeout)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Connections:
    """The pools of one service, one for each host. Safe for threads and after a fork."""

    def __init__(self, ca_bundle: Path | None, proxy: Secret | None) -> None:
        """``proxy`` is the URL of an HTTP proxy for TLS connections."""
        self._ca_bundle = ca_bundle
        self._proxy = proxy
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._manager: urllib3.PoolManager | None = None
        self._pools: dict[str, HTTPConnectionPool] = {}

    def pool(self, end: Endpoint) -> HTTPConnectionPool:
        pool = self._pools.get(end.host)
        if pool is None:
            with self._lock:
                manager = self._manager = self._manager or self._new_manager(end.tls)
                pool = self._pools.setdefault(
                    end.host, manager.connection_from_host(end.host, end.port, end.scheme)
                )
        return pool

    def _new_manager(self, tls: bool) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "num_pools": 10_000,  # a pool is only a few bytes; an evicted one would be closed
            "maxsize": 256,
            "block": False,
            "socket_options": [*HTTPConnection.default_socket_options, *_KEEPALIVE],
            "blocksize": 256 * 1024,
        }
        if tls:
            options["ssl_context"] = trust(self._ca_bundle)
        manager: urllib3.PoolManager
        if tls and self._proxy is not None:
            url = urllib3.util.parse_url(self._proxy.reveal())
            headers = urllib3.make_headers(proxy_basic_auth=url.auth) if url.auth else None
            plain = url._replace(auth=None).url
            manager = urllib3.ProxyManager(plain, proxy_headers=headers, **options)
        else:
            manager = urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager

    def send(
        self,
        target: Target,
        end: Endpoint,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        timeout: urllib3.Timeout,
    ) -> urllib3.BaseHTTPResponse:
        """One request and its answer, whatever that says, its body unread; nothing is tried again.

        ``path`` begins with /, so that it goes out as it is: no key is normalised. Raises what
        reading a `SizedBody` raised, else `ConnectionFailed` or `ServiceError`.
        """
        failure: StorageError
        try:
            return self.pool(end).urlopen(
                method,
                path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=timeout,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError, ValueError) as error:
            if isinstance(body, SizedBody) and body.failure is not None:
                raise body.failure from None
            failure = unreachable(target, end, error)
        # Raised outside of the handler: urllib3's errors carry the URL, which may be signed.
        raise failure

    def close(self) -> None:
        with self._lock:
            if self._manager is not None:
                self._manager.clear()
            self._manager = None
            self._pools = {}


def trust(ca_bundle: Path | None) -> ssl.SSLContext:
    """What TLS trusts: the file of ``STORAGE_CA_BUNDLE``, or the system's certificates.

    Raises `SettingsError` where the file holds none that can be read.
    """
    try:
        return ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)
    except OSError as error:
        raise SettingsError(
            f"its certificates cannot be read ({reason_of(error)})", variable=CA_BUNDLE
        ) from None


def unreachable(target: Target, end: Endpoint, error: Exception) -> StorageError:
    """The error to raise where no answer came from ``end``."""
    where = f"{target} at {end.url}"
    reason = reason_of(error)
    if isinstance(error, NameResolutionError):
        return ConnectionFailed(f"{where}: there is no host of this name ({reason})")
    if isinstance(error, SSLError):
        hint = "If the service speaks plain http, set STORAGE_USE_SSL=false"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = "The certificate of a private authority is named by STORAGE_CA_BUNDLE"
        return ConnectionFailed(f"{where}: TLS failed ({reason}). {hint}")
    if isinstance(error, ProxyError | NewConnectionError | Urllib3Timeout):
        return ConnectionFailed(f"{where}: {reason}")
    hint = ""
    if isinstance(error, ProtocolError) and not end.tls:
        hint = ". If the service speaks TLS, set STORAGE_USE_SSL=true"
    return ServiceError(f"{where}: the connection broke ({reason}){hint}")


def whole_body(target: Target, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """The rest of an answer, whose connection is handed back.

    Raises `ServiceError` where it breaks off or is larger than ``limit`` bytes.
    """
    problem = ""
    body = b""
    try:
        body = response.read(limit + 1, decode_content=False)
    except (HTTPError, OSError) as error:
        problem = f"the answer broke off ({reason_of(error)})"
    if len(body) > limit:
        problem = f"the answer is larger than {limit} bytes"
    if problem:
        response.close()
        raise ServiceError(f"{target}: {problem}")
    response.release_conn()
    return body


def reason_of(error: Exception) -> str:
    """The innermost cause in a few words: urllib3 wraps, and names objects by address."""
    inner: BaseException = error
    while isinstance(inner, HTTPError):
        causes = [inner.__cause__, *inner.args[::-1]]
        cause = next((c for c in causes if isinstance(c, BaseException)), None)
        if cause is None:
            break
        inner = cause
    if isinstance(inner, OSError) and inner.strerror:
        return display(inner.strerror)
    text = str(inner).rpartition(": ")[2] if isinstance(inner, HTTPError) else str(inner)
    return display(text[:300]) or type(inner).__name__
