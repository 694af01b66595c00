"""One authorised request to the Blob service and its answer, over urllib3.

Not over azure-storage-blob: its listing costs several times the CPU of a plain XML parse, and
its HTTP layer resolves URLs, so that ``a/./b`` would name another blob (the figures are in
docs/decisions/0005). Signatures for others (SAS) are made by that library.

No retries but one with renewed credentials. Redirects are never followed, and proxies never
taken from the environment.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from urllib3 import BaseHTTPResponse, Timeout

from svstorage.credentials.azure_values import AccountKey, AzureCredentials, Bearer, Sas
from svstorage.errors import (
    AccessRefused,
    CredentialsExpired,
    StorageError,
)
from svstorage.providers.azure import failures, keys, signing
from svstorage.providers.body import SizedBody
from svstorage.providers.connections import READ_TIMEOUT, Connections, whole_body
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.azure.config import AzureConfig

API_VERSION = "2023-11-03"
"""Encoded names in listings came with 2021-02-12, bearer tokens for copy sources 2020-10-02."""

MAX_ANSWER_BODY = 64 * 1024 * 1024
"""A page of 5,000 blobs with names of 1,024 characters, and a list of 50,000 blocks, fit in."""
_MAX_ERROR_BODY = 64 * 1024


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
        self._connections = Connections(config.ca_bundle, config.proxy)
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
        body: Buffer | SizedBody = b"",
        size: int | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers (any case) and whole body of a successful answer; else an error of ours."""
        response = self.open(target, method, query=query, headers=headers, body=body, size=size)
        return response.headers, whole_body(target, response, MAX_ANSWER_BODY)

    def open(
        self,
        target: Target,
        method: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Buffer | SizedBody = b"",
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
            if isinstance(body, SizedBody) and body.started:
                raise failure  # renewed; only the caller can send the body again

    def close(self) -> None:
        self._connections.close()

    # One request

    def _send(
        self,
        target: Target,
        method: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Buffer | SizedBody,
        size: int | None,
        credentials: AzureCredentials | None,
    ) -> BaseHTTPResponse:
        path = self.path(target.bucket, target.key)
        sent = {"x-ms-version": API_VERSION, "x-ms-date": signing.http_date(), **headers}
        if size is None:
            size = 0 if isinstance(body, SizedBody) else memoryview(body).nbytes
        if method in ("PUT", "POST"):
            sent["content-length"] = str(size)
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        text = self._authorise(credentials, method, path, query, text, sent)
        sent["accept-encoding"] = "identity"
        sent["user-agent"] = "svstorage"
        target_path = f"{path}?{text}" if text else path
        content = body if size else None
        return self._connections.send(
            target, self.config.endpoint, method, target_path, sent, content, self._timeout
        )

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
            body = whole_body(target, response, _MAX_ERROR_BODY)
        except StorageError:
            body = b""  # the status says enough
        return failures.read_refusal(response.status, response.headers, body)
