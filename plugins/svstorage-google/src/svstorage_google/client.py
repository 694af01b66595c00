"""Requests to the JSON API, and its errors as ours. No retries but one with a fresh token."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

from svstorage.credentials.base import CredentialSource
from svstorage.errors import (
    AccessRefused,
    ConnectionFailed,
    CredentialsExpired,
    ObjectChanged,
    ObjectError,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)
from svstorage_google.config import GoogleConfig
from svstorage_google.credentials import Token

CONNECT_SECONDS = 10
READ_SECONDS = 60
CONNECTIONS = 128
_LARGEST_ANSWER = 64 * 1024 * 1024


class Client:
    """One service, for all threads."""

    def __init__(self, config: GoogleConfig, credentials: CredentialSource[Token] | None) -> None:
        self._config = config
        self._credentials = credentials
        endpoint = config.endpoint
        kind = urllib3.HTTPSConnectionPool if endpoint.tls else urllib3.HTTPConnectionPool
        more: dict[str, Any] = {}
        if config.ca_bundle is not None:
            more["ca_certs"] = str(config.ca_bundle)
        self._pool = kind(
            endpoint.host,
            endpoint.port,
            maxsize=CONNECTIONS,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            **more,
        )

    def json(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The answer to a small request. ``what`` is named in errors."""
        headers = {}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        response = self.send(method, path, what, query=query, headers=headers, body=data)
        return finished(response, what)

    def delete(self, path: str, what: str) -> None:
        """A DELETE, whose answer says nothing."""
        response = self.send("DELETE", path, what)
        response.drain_conn()
        response.release_conn()

    def send(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """A successful answer, its body unread. Raises our errors for all others.

        A body that is no bytes is sent once: with a stale token the error is for the engine.
        """
        repeatable = body is None or isinstance(body, bytes)
        renewed = False
        while True:
            token = self._credentials.get() if self._credentials is not None else None
            response = self._once(method, path, what, query or {}, dict(headers or {}), body, token)
            if 200 <= response.status < 300:
                return response
            error = _failure(response, what)
            if response.status != 401 or token is None or self._credentials is None or renewed:
                raise error
            self._credentials.expired(token)
            if not repeatable:
                raise CredentialsExpired(f"{what}: the service refuses the token") from error
            renewed = True

    def _once(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        body: bytes | Iterable[bytes] | None,
        token: Token | None,
    ) -> urllib3.BaseHTTPResponse:
        if token is not None:
            headers["Authorization"] = f"Bearer {token.value.reveal()}"
        # Without it the service unpacks objects that are stored with Content-Encoding: gzip.
        headers.setdefault("Accept-Encoding", "gzip")
        target = path + ("?" + urlencode(query, quote_via=quote) if query else "")
        try:
            return self._pool.urlopen(
                method,
                target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                assert_same_host=False,
            )
        except (NewConnectionError, NameResolutionError, ConnectTimeoutError, SSLError) as error:
            raise ConnectionFailed(f"{self._config.location} cannot be reached: {error}") from None
        except (HTTPError, OSError) as error:
            if isinstance(error, StorageError):
                raise
            raise ServiceError(f"{what}: the connection failed: {error}") from None

    def close(self) -> None:
        self._pool.close()


def finished(response: urllib3.BaseHTTPResponse, what: str) -> dict[str, Any]:
    """The JSON object of an answer, {} where it has no body. The connection is given back."""
    try:
        raw = response.read(_LARGEST_ANSWER, decode_content=True)
    except (HTTPError, OSError) as error:
        raise ServiceError(f"{what}: the answer was cut short: {error}") from error
    finally:
        response.release_conn()
    if not raw:
        return {}
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ServiceError(f"{what}: the answer is no JSON object")
    return answer


def _failure(response: urllib3.BaseHTTPResponse, what: str) -> StorageError:
    """Our error for an answer that is none. The connection is given back."""
    status = response.status
    raw = b""
    with contextlib.suppress(HTTPError, OSError):
        raw = response.read(65_536)
    response.close()
    said, reason = _told(raw)
    text = f"{what}: {said or response.reason or 'no reason given'} (HTTP {status})"
    if status == 404:
        return ObjectNotFound(text)
    if status in (304, 412):
        return ObjectChanged(text)
    if status == 429 or reason in ("rateLimitExceeded", "userRateLimitExceeded"):
        return Throttled(text, retry_after=_seconds(response.headers.get("Retry-After")))
    if status in (401, 403):
        return AccessRefused(text)
    if status == 503:
        return Throttled(text, retry_after=_seconds(response.headers.get("Retry-After")))
    if status == 408 or status >= 500:
        return ServiceError(text)
    return ObjectError(text)


def _told(raw: bytes) -> tuple[str, str]:
    """Message and reason of the JSON API's error, or the first words of any other text."""
    try:
        error = json.loads(raw)["error"]
        reasons = [str(one.get("reason", "")) for one in error.get("errors", ())]
        return " ".join(str(error.get("message", "")).split())[:500], (reasons or [""])[0]
    except (ValueError, KeyError, TypeError, AttributeError):
        return " ".join(raw.decode("utf-8", "replace").split())[:200], ""


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None
