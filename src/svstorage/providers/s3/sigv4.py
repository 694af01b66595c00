"""AWS Signature Version 4 for S3: headers and presigned URLs.

After the pages "Authenticating Requests: Using the Authorization Header" and "Using Query
Parameters" of the Amazon S3 API Reference. S3 differs from the other services: the path is
encoded once and never normalised, and the body may stay out of the signature.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote

from svstorage.credentials.base import AwsCredentials

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
MAX_PRESIGN_SECONDS = 7 * 24 * 3600

Query = Iterable[tuple[str, str]]


def encode_path(text: str) -> str:
    """Percent-encodes all but letters, digits, ``-._~`` and ``/``, byte by byte of the UTF-8.

    Dot segments and doubled slashes stay as they are: S3 keys are not paths.
    """
    return quote(text, safe="/")


def encode_query(query: Query) -> str:
    """The query string in its canonical form, which is also the one to send."""
    # By name first: as whole strings "a-=" would come before "a=".
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


class Signer:
    """Signs requests; keeps the signing keys it derived, which hold for one day each."""

    def __init__(self, service: str = "s3") -> None:
        self._service = service
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def headers(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        payload_hash: str,
        credentials: AwsCredentials,
        region: str,
        *,
        now: float | None = None,
    ) -> dict[str, str]:
        """The headers to add to a request.

        ``path`` and ``query`` are encoded (`encode_path`, `encode_query`). ``headers`` are those
        to sign, with lower-case names and ``host`` among them; others may be sent beside them.
        """
        stamp = _stamp(int(time.time() if now is None else now))
        added = {"x-amz-content-sha256": payload_hash, "x-amz-date": stamp}
        if credentials.session_token is not None:
            added["x-amz-security-token"] = credentials.session_token.reveal()
        scope = f"{stamp[:8]}/{region}/{self._service}/aws4_request"
        names, canonical = _canonical_headers({**headers, **added})
        signature = self._signature(
            f"{method}\n{path}\n{query}\n{canonical}\n{names}\n{payload_hash}",
            stamp, scope, credentials, region,
        )  # fmt: skip
        added["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return added

    def presigned_query(
        self,
        method: str,
        path: str,
        query: Query,
        headers: Mapping[str, str],
        credentials: AwsCredentials,
        region: str,
        *,
        expires: int,
        now: float | None = None,
    ) -> str:
        """The query string of a URL that is good for ``expires`` seconds. It is a secret."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = f"{stamp[:8]}/{region}/{self._service}/aws4_request"
        names, canonical = _canonical_headers(headers)
        pairs = [
            *query,
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", f"{credentials.access_key}/{scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", names),
        ]
        if credentials.session_token is not None:
            pairs.append(("X-Amz-Security-Token", credentials.session_token.reveal()))
        text = encode_query(pairs)
        signature = self._signature(
            f"{method}\n{path}\n{text}\n{canonical}\n{names}\n{UNSIGNED_PAYLOAD}",
            stamp, scope, credentials, region,
        )  # fmt: skip
        return f"{text}&X-Amz-Signature={signature}"

    def _signature(
        self, request: str, stamp: str, scope: str, credentials: AwsCredentials, region: str
    ) -> str:
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}"
        return _hmac(self._key(credentials, stamp[:8], region), text).hex()

    def _key(self, credentials: AwsCredentials, date: str, region: str) -> bytes:
        # The secret is part of the name: an access key may get a new secret.
        name = (credentials.access_key, credentials.secret_key.reveal(), date, region)
        key = self._keys.get(name)
        if key is None:
            key = f"AWS4{name[1]}".encode()
            for part in (date, region, self._service, "aws4_request"):
                key = _hmac(key, part)
            if len(self._keys) >= 16:
                self._keys.clear()
            self._keys[name] = key
        return key


@lru_cache(maxsize=8)
def _stamp(second: int) -> str:
    """A time in seconds since 1970 as the signature writes it (ISO 8601, basic form)."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _canonical_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """Names joined by ``;`` and the ``name:value`` lines, blanks in values folded to one."""
    names = sorted(headers)
    lines = "\n".join([f"{name}:{headers[name]}" for name in names]) + "\n"
    if _BLANKS.search(lines):
        lines = "".join(f"{name}:{_folded(headers[name])}\n" for name in names)
    return ";".join(names), lines


# A value that begins or ends with a blank, or has two in a row, or a tab.
_BLANKS = re.compile(r": |  | \n|\t")


def _folded(value: str) -> str:
    if "  " not in value and "\t" not in value:
        return value.strip(" ")
    return " ".join(part for part in value.replace("\t", " ").split(" ") if part)
