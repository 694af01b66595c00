"""One authorised request to the Blob service and its answer, over urllib3.

Not over azure-storage-blob: its listing costs several times the CPU of a plain XML parse, and
its HTTP layer normalises URLs, so that ``a/./b`` or a tab in a key would name another blob
(docs/decisions has the figures). Signatures for others (SAS) are made by that library.

No retries but one with renewed credentials. Redirects are never followed, and proxies never
taken from the environment.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from urllib3 import BaseHTTPResponse, ProxyManager, Timeout, make_headers
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as Urllib3Timeout
from urllib3.util import parse_url

from svstorage.credentials.azure_values import AccountKey, AzureCredentials, Bearer, Sas
from svstorage.credentials.http import shown
from svstorage.errors import (
    AccessRefused,
    ConnectionFailed,
    CredentialsExpired,
    ServiceError,
    SettingsError,
    StorageError,
)
from svstorage.providers.azure import failures, keys, signing
from svstorage.providers.azure.body import CountedBody
from svstorage.providers.azure.failures import Target
from svstorage.providers.endpoint import CA_BUNDLE

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.azure.config import AzureConfig

API_VERSION = "2023-11-03"
"""Encoded names in listings came with 2021-02-12, bearer tokens for copy sources 2020-10-02."""

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
"""Seconds without a byte in either direction."""

MAX_ANSWER_BODY = 64 * 1024 * 1024
"""A page of 5,000 blobs with names of 1,024 characters, and a list of 50,000 blocks, fit in."""
_MAX_ERROR_BODY = 64 * 1024
_SEND_BLOCK = 256 * 1024
_KEPT_CONNECTIONS = 256

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


class _SignatureFilter(logging.Filter):
    """urllib3 logs each URL at DEBUG, and the query of a URL may be a signature."""

    _SECRET = re.compile(r"(?<=[?&]sig=)[^&\s\"]+")

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                self._SECRET.sub("***", a) if isinstance(a, str) and "sig=" in a else a
                for a in record.args
            )
        return True


_FILTER = _SignatureFilter()


class Client:
    """Sends requests to one account. Safe to use from many threads, and after a fork."""

    def __init__(
        self,
        config: AzureConfig,
        credentials: CredentialSource[AzureCredentials] | None,
        *,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self.config = config
        self.credentials = credentials
        self._timeout = Timeout(connect=read_timeout, read=read_timeout)
        self._lock = threading.Lock()
        self._pool: HTTPConnectionPool | None = None
        self._pid = os.getpid()
        logging.getLogger("urllib3.connectionpool").addFilter(_FILTER)

    def path(self, bucket: str = "", key: str | None = None) -> str:
        """Percent-encoded path of the account, a container or a blob."""
        path = f"{self.config.endpoint.path}/{bucket}"
        return path if key is None else f"{path}/{keys.encode(key)}"

    def url(self, bucket: str, key: str) -> str:
        """The URL of a blob, without query."""
        endpoint = self.config.endpoint
        return f"{endpoint.scheme}://{endpoint.netloc}{self.path(bucket, key)}"

    def call(
        self,
        target: Target,
        method: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Buffer | CountedBody = b"",
        size: int | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers (any case) and whole body of a successful answer; else an error of ours."""
        response = self.open(target, method, query=query, headers=headers, body=body, size=size)
        return response.headers, self._whole(target, response, MAX_ANSWER_BODY)

    def open(
        self,
        target: Target,
        method: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Buffer | CountedBody = b"",
        size: int | None = None,
    ) -> BaseHTTPResponse:
        """A successful answer (2xx) whose body has not been read; else an error of ours.

        ``headers`` have lower-case names. ``size`` is that of the body.
        """
        renewed = False
        while True:
            used = self.credentials.get() if self.credentials else None
            response = self._send(target, method, query or {}, headers or {}, body, size, used)
            if 200 <= response.status < 300:
                return response
            refusal = self._refusal(target, response)
            failure = failures.error(target, refusal)
            if not isinstance(failure, CredentialsExpired) or renewed or self.credentials is None:
                raise failure
            self.credentials.expired(used)
            renewed = True
            if isinstance(body, CountedBody) and body.started:
                raise failure  # renewed; only the caller can send the body again

    def close(self) -> None:
        with self._lock:
            if self._pool is not None and self._pid == os.getpid():
                self._pool.close()
            self._pool = None

    # One request

    def _send(
        self,
        target: Target,
        method: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Buffer | CountedBody,
        size: int | None,
        credentials: AzureCredentials | None,
    ) -> BaseHTTPResponse:
        path = self.path(target.bucket, target.key)
        sent = {"x-ms-version": API_VERSION, "x-ms-date": signing.http_date(), **headers}
        if size is None:
            size = 0 if isinstance(body, CountedBody) else memoryview(body).nbytes
        if method in ("PUT", "POST"):
            sent["content-length"] = str(size)
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        text = self._authorise(credentials, method, path, query, text, sent)
        sent["accept-encoding"] = "identity"
        sent["user-agent"] = "svstorage"
        failure: StorageError
        try:
            # The target begins with /, so that urllib3 sends it as it is.
            return self._connections().urlopen(
                method,
                f"{path}?{text}" if text else path,
                body=body if size else None,  # type: ignore[arg-type]
                headers=sent,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError, ValueError) as error:
            if isinstance(body, CountedBody) and body.failure is not None:
                raise body.failure from None
            failure = self._unreachable(target, error)
        # Raised outside of the handler: urllib3's errors carry the URL, which may be signed.
        raise failure

    def _authorise(
        self,
        credentials: AzureCredentials | None,
        method: str,
        path: str,
        query: Mapping[str, str],
        text: str,
        headers: dict[str, str],
    ) -> str:
        """Adds the authorisation to ``headers``, or to the query, which is returned."""
        match credentials:
            case AccountKey():
                signed = signing.string_to_sign(method, credentials.account, path, query, headers)
                key = base64.b64decode(credentials.key.reveal())
                headers["authorization"] = signing.shared_key(credentials.account, key, signed)
            case Sas():
                return "&".join(filter(None, (text, credentials.token.reveal())))
            case Bearer():
                if not self.config.endpoint.tls:
                    raise AccessRefused(
                        "a bearer token is sent over TLS only: set STORAGE_USE_SSL=true"
                    )
                headers["authorization"] = f"Bearer {credentials.token.reveal()}"
        return text

    def _refusal(self, target: Target, response: BaseHTTPResponse) -> failures.Refusal:
        try:
            body = self._whole(target, response, _MAX_ERROR_BODY)
        except StorageError:
            body = b""  # the status says enough
        return failures.read_refusal(response.status, response.headers, body)

    def _whole(self, target: Target, response: BaseHTTPResponse, limit: int) -> bytes:
        problem = ""
        body = b""
        try:
            body = response.read(limit + 1, decode_content=False)
        except (HTTPError, OSError) as error:
            problem = f"the answer broke off ({reason(error)})"
        if len(body) > limit:
            problem = f"the answer is larger than {limit} bytes"
        if problem:
            response.close()
            raise ServiceError(f"{target}: {problem}")
        response.release_conn()
        return body

    # Connections

    def _connections(self) -> HTTPConnectionPool:
        pool = self._pool
        if pool is None or self._pid != os.getpid():  # sockets are not shared with the parent
            with self._lock:
                if self._pool is None or self._pid != os.getpid():
                    self._pool, self._pid = self._new_pool(), os.getpid()
                pool = self._pool
        return pool

    def _new_pool(self) -> HTTPConnectionPool:
        endpoint = self.config.endpoint
        options: dict[str, Any] = {
            "maxsize": _KEPT_CONNECTIONS,
            "block": False,
            "socket_options": [*HTTPConnection.default_socket_options, *_KEEPALIVE],
            "blocksize": _SEND_BLOCK,
        }
        if not endpoint.tls:
            return _Pool(endpoint.host, endpoint.port, **options)
        options["ssl_context"] = self._trust()
        if self.config.proxy is None:
            return _TlsPool(endpoint.host, endpoint.port, **options)
        url = parse_url(self.config.proxy.reveal())
        headers = make_headers(proxy_basic_auth=url.auth) if url.auth else None
        manager = ProxyManager(url._replace(auth=None).url, proxy_headers=headers, **options)
        manager.pool_classes_by_scheme = {"https": _TlsPool}
        return manager.connection_from_host(endpoint.host, endpoint.port, "https")

    def _trust(self) -> ssl.SSLContext:
        bundle = self.config.ca_bundle
        try:
            return ssl.create_default_context(cafile=str(bundle) if bundle else None)
        except OSError as error:
            raise SettingsError(
                f"its certificates cannot be read ({reason(error)})", variable=CA_BUNDLE
            ) from None

    def _unreachable(self, target: Target, error: Exception) -> StorageError:
        where = f"{target} at {self.config.location}"
        why = reason(error)
        if isinstance(error, NameResolutionError):
            return ConnectionFailed(f"{where}: there is no host of this name ({why})")
        if isinstance(error, SSLError):
            hint = "If the service speaks plain http, set STORAGE_USE_SSL=false"
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                hint = "The certificate of a private authority is named by STORAGE_CA_BUNDLE"
            return ConnectionFailed(f"{where}: TLS failed ({why}). {hint}")
        if isinstance(error, NewConnectionError | Urllib3Timeout):
            return ConnectionFailed(f"{where}: {why}")
        hint = ""
        if isinstance(error, ProtocolError) and not self.config.endpoint.tls:
            hint = ". If the service speaks TLS, set STORAGE_USE_SSL=true"
        return ServiceError(f"{where}: the connection broke ({why}){hint}")


def reason(error: Exception) -> str:
    """The innermost cause in a few words; urllib3 wraps, and names objects by address."""
    inner: BaseException = error
    while isinstance(inner, HTTPError):
        causes = (c for c in (inner.__cause__, *reversed(inner.args)) if c is not None)
        cause = next((c for c in causes if isinstance(c, BaseException)), None)
        if cause is None:
            break
        inner = cause
    if isinstance(inner, OSError) and inner.strerror:
        return shown(inner.strerror)
    text = str(inner).rpartition(": ")[2] if isinstance(inner, HTTPError) else str(inner)
    return shown(text) or type(inner).__name__
