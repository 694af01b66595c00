"""One signed request to an S3 service and its answer, over urllib3.

No retries but those that change something: expired credentials are renewed once, a wrong clock
is corrected once by the service's own, and an AWS bucket of another region is asked there once.
Redirects are never followed and proxies never taken from the environment unbidden.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Literal, cast

import urllib3

from svstorage.addresses import display
from svstorage.credentials.base import AwsCredentials, CredentialSource
from svstorage.errors import CredentialsExpired, ServiceError, StorageError
from svstorage.providers.body import SizedBody
from svstorage.providers.connections import READ_TIMEOUT, Connections, whole_body
from svstorage.providers.endpoint import Endpoint
from svstorage.providers.headers import server_time
from svstorage.providers.http1 import Answer
from svstorage.providers.s3 import failures, sigv4
from svstorage.providers.s3.config import S3Config
from svstorage.providers.s3.failures import Refusal
from svstorage.providers.s3.quick import QuickCalls, UnderWay
from svstorage.providers.target import Target

log = logging.getLogger(__name__)

MAX_ERROR_BODY = 64 * 1024
MAX_ANSWER_BODY = 64 * 1024 * 1024
"""A page of 1,000 keys of 1,024 encoded bytes is under 4 MiB."""

_SKEW_SECONDS = 600.0  # the service refuses from 15 minutes on

Method = Literal["GET", "HEAD", "PUT", "POST", "DELETE"]
RequestBody = bytes | memoryview | SizedBody
Response = urllib3.BaseHTTPResponse


class Wire:
    """Sends requests to one service. Safe to use from many threads, and after a fork."""

    def __init__(
        self,
        config: S3Config,
        credentials: CredentialSource[AwsCredentials] | None,
        *,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self.config = config
        self.credentials = credentials
        self.signer = sigv4.Signer()
        self._timeout = urllib3.Timeout(connect=read_timeout, read=read_timeout)
        self._clock_offset = 0.0
        self._regions: dict[str, str] = {}
        self._addresses: dict[tuple[str, str], tuple[Endpoint, str, str]] = {}
        self._connections = Connections(config.ca_bundle, config.proxy)
        self._quick = QuickCalls(config, read_timeout=read_timeout)

    @property
    def clock_corrected(self) -> bool:
        """True once the service's clock was found to differ from ours."""
        return self._clock_offset != 0

    def now(self) -> float:
        """The time as the service sees it."""
        return time.time() + self._clock_offset

    @property
    def is_quick(self) -> bool:
        """Whether `call` costs little (see `quick`)."""
        return self._quick.usable

    def region(self, bucket: str) -> str:
        return self._regions.get(bucket, self.config.region)

    def call(
        self,
        target: Target,
        method: Method,
        *,
        query: sigv4.Query = (),
        headers: Mapping[str, str] | None = None,
        body: RequestBody = b"",
        size: int | None = None,
        sign_body: bool = False,
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers (any case) and whole body of a successful answer; else an error of ours."""
        whole = self._quick.usable and not isinstance(body, SizedBody)
        response = self._ask(
            target, method, query, headers or {}, body, size, sign_body, whole=whole
        )
        return response.headers, self._whole(target, response, MAX_ANSWER_BODY)

    def open(
        self,
        target: Target,
        method: Method,
        *,
        query: sigv4.Query = (),
        headers: Mapping[str, str] | None = None,
        body: RequestBody = b"",
        size: int | None = None,
        sign_body: bool = False,
    ) -> Response:
        """A successful answer (2xx) whose body has not been read; else an error of ours.

        ``headers`` have lower-case names; all are signed. ``size`` is that of the body, where
        it is a `SizedBody`.
        """
        response = self._ask(
            target, method, query, headers or {}, body, size, sign_body, whole=False
        )
        return cast(Response, response)

    def _ask(
        self,
        target: Target,
        method: Method,
        query: sigv4.Query,
        headers: Mapping[str, str],
        body: RequestBody,
        size: int | None,
        sign_body: bool,
        *,
        whole: bool,
    ) -> Response | Answer:
        """A successful answer; with ``whole``, read to its end already."""
        tried: set[str] = set()
        while True:
            used = self.credentials.get() if self.credentials else None
            region = self.region(target.bucket)
            response = self._send(
                target, method, query, headers, body, size, sign_body, used, region, whole=whole
            )
            if 200 <= response.status < 300:
                return response
            refusal = self._refusal(target, response)
            if method == "HEAD" and refusal.status == 400 and used and used.session_token:
                refusal = self._asked_again(target, used, region) or refusal
            failure = failures.error(target, refusal)
            if not self._mended(target, refusal, used, region, tried):
                raise failure
            if isinstance(body, SizedBody) and not body.rewind():
                # What was wrong is put right; only the caller can send the body again.
                if isinstance(failure, CredentialsExpired):
                    raise failure
                raise ServiceError(f"{failure}. Corrected; worth another try")

    def send(
        self,
        target: Target,
        method: Method,
        *,
        headers: Mapping[str, str],
        body: bytes | memoryview = b"",
    ) -> UnderWay:
        """Send a request of which `receive` takes the answer: others may be sent meanwhile.

        Only where `is_quick`. Nothing is put right here that `call` would: whoever gets an error
        makes the request again by that.
        """
        used = self.credentials.get() if self.credentials else None
        end, path, sent = self._request(
            target, method, (), headers, body, None, False, used, self.region(target.bucket)
        )
        return self._quick.send(target, end, method, path, sent, body)

    def receive(self, target: Target, under_way: UnderWay) -> Answer:
        """The whole of a successful answer; else an error of ours."""
        answer = self._quick.receive(target, under_way, MAX_ANSWER_BODY)
        if 200 <= answer.status < 300:
            return answer
        raise failures.error(target, self._refusal(target, answer))

    def url(self, bucket: str, key: str) -> tuple[str, str, str]:
        """Host header, path and URL without query of an object."""
        end, prefix = self.config.address(bucket, self.region(bucket))
        path = f"{prefix}/{sigv4.encode_path(key)}"
        return end.netloc, path, f"{end.url}{path}"

    def close(self) -> None:
        self._connections.close()
        self._quick.close()

    # One request

    def _send(
        self,
        target: Target,
        method: str,
        query: sigv4.Query,
        headers: Mapping[str, str],
        body: RequestBody,
        size: int | None,
        sign_body: bool,
        credentials: AwsCredentials | None,
        region: str,
        *,
        whole: bool = False,
    ) -> Response | Answer:
        end, path, sent = self._request(
            target, method, query, headers, body, size, sign_body, credentials, region
        )
        if whole and not isinstance(body, SizedBody):
            once = _only_once(target, method, headers)
            return self._quick.exchange(
                target, end, method, path, sent, body, MAX_ANSWER_BODY, once=once
            )
        content = body if sent.get("content-length", "0") != "0" else None
        return self._connections.send(target, end, method, path, sent, content, self._timeout)

    def _request(
        self,
        target: Target,
        method: str,
        query: sigv4.Query,
        headers: Mapping[str, str],
        body: RequestBody,
        size: int | None,
        sign_body: bool,
        credentials: AwsCredentials | None,
        region: str,
    ) -> tuple[Endpoint, str, dict[str, str]]:
        """Where to, request target and all headers of a signed request."""
        end, prefix, host = self._address(target.bucket, region)
        path = f"{prefix}/{sigv4.encode_path(target.key or '')}"
        if prefix and target.key is None:
            path = prefix
        text = sigv4.encode_query(query)
        signed = {"host": host, **headers}
        if credentials is not None:
            signed |= self.signer.headers(
                method, path, text, signed, self._payload_hash(body, sign_body),
                credentials, region, now=self.now(),
            )  # fmt: skip
        # http.client writes header values as Latin-1: this makes it write UTF-8.
        sent = {
            name: value if value.isascii() else value.encode().decode("latin-1")
            for name, value in signed.items()
        }
        sent["accept-encoding"] = "identity"
        sent["user-agent"] = "svstorage"
        if method in ("PUT", "POST"):
            sent["content-length"] = str(len(body) if size is None else size)  # type: ignore[arg-type]
        return end, f"{path}?{text}" if text else path, sent

    def _address(self, bucket: str, region: str) -> tuple[Endpoint, str, str]:
        """Endpoint, path and host header of a bucket, worked out once for each."""
        known = self._addresses.get((bucket, region))
        if known is None:
            end, prefix = self.config.address(bucket, region)
            if len(self._addresses) >= 256:
                self._addresses.clear()
            known = self._addresses[bucket, region] = end, prefix, end.netloc
        return known

    def _payload_hash(self, body: RequestBody, sign_body: bool) -> str:
        config = self.config
        if isinstance(body, SizedBody):
            # AWS takes an unsigned body over TLS only; other services take it either way.
            digest = None if config.endpoint.tls or config.aws is None else body.sha256()
            return digest or sigv4.UNSIGNED_PAYLOAD
        if not len(body):
            return sigv4.EMPTY_SHA256
        if sign_body or (config.aws is not None and not config.endpoint.tls):
            return hashlib.sha256(body).hexdigest()
        return sigv4.UNSIGNED_PAYLOAD

    def _refusal(self, target: Target, response: Response | Answer) -> Refusal:
        try:
            body = self._whole(target, response, MAX_ERROR_BODY)
        except StorageError:
            body = b""  # the status says enough
        return failures.read_refusal(response.status, response.headers, body)

    def _whole(self, target: Target, response: Response | Answer, limit: int) -> bytes:
        if isinstance(response, Answer):
            return cast(bytes, response.body)  # or a bytearray that nobody else holds
        return whole_body(target, response, limit)

    # What may be put right

    def _mended(
        self,
        target: Target,
        refusal: Refusal,
        used: AwsCredentials | None,
        region: str,
        tried: set[str],
    ) -> bool:
        """True where something was wrong with the request that is right from now on."""
        if refusal.code in failures.EXPIRED and self.credentials and "expired" not in tried:
            tried.add("expired")
            self.credentials.expired(used)
            return True
        skewed = refusal.code in failures.SKEWED or (refusal.status == 403 and not refusal.code)
        if skewed and "clock" not in tried:
            tried.add("clock")
            theirs = server_time(refusal.headers)
            if theirs is not None and abs(theirs - self.now()) > _SKEW_SECONDS:
                self._clock_offset = theirs - time.time()
                log.warning(
                    "the clocks of this machine and of %s differ by %.0f s; requests are signed "
                    "with the service's time", self.config.endpoint.host, self._clock_offset,
                )  # fmt: skip
                return True
        elsewhere = refusal.region
        if (
            self.config.aws is not None
            and elsewhere not in (None, region)
            and refusal.status in (301, 307, 400, 403)
            and "region" not in tried
        ):
            tried.add("region")
            log.info("bucket %s is in region %s", target.bucket, display(elsewhere or ""))
            self._regions[target.bucket] = _checked_region(target, elsewhere or "")
            return True
        return False

    def _asked_again(self, target: Target, used: AwsCredentials, region: str) -> Refusal | None:
        """The answer to a HEAD has no body to tell why; that to a GET of almost nothing has."""
        keyed = target.key is not None
        query = [] if keyed else [("list-type", "2"), ("max-keys", "0")]
        headers = {"range": "bytes=0-0"} if keyed else {}
        response = cast(
            Response, self._send(target, "GET", query, headers, b"", None, False, used, region)
        )
        if response.status < 300:
            response.close()
            return None
        return self._refusal(target, response)


def _only_once(target: Target, method: str, headers: Mapping[str, str]) -> bool:
    """Whether the same request, arriving again, would be answered otherwise than at first:
    "taken" for what we wrote ourselves, "gone" for the upload that we completed."""
    if method in ("GET", "HEAD"):
        return False
    if target.key is None:
        return method != "POST"  # a bucket made or removed; DeleteObjects may be repeated
    return method == "POST" or "if-none-match" in headers or "if-match" in headers


def _checked_region(target: Target, region: str) -> str:
    # It becomes part of a host name: nothing but a region's name may.
    if not region.replace("-", "").isalnum() or not region.isascii() or len(region) > 40:
        raise ServiceError(f"{target}: the service names an impossible region")
    return region
