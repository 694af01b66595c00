"""From an answer of the service to one of our errors.

Codes: "Status and error codes" and "Blob service error codes" of the Azure REST documentation.
Of the service's words only the code and the first line of the message are carried on: the
details of a refused signature repeat what was signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from xml.etree import ElementTree as ET

from svstorage.credentials.http import shown
from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    ChecksumMismatch,
    CredentialsExpired,
    KeyNotSupported,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)
from svstorage.providers.headers import retry_after, server_time
from svstorage.providers.target import Target

_BY_CODE: dict[str, type[StorageError]] = {
    "ContainerNotFound": BucketNotFound,
    "ContainerDisabled": AccessRefused,
    "BlobAlreadyExists": ObjectExists,
    "ContainerAlreadyExists": ObjectExists,
    "ContainerBeingDeleted": ServiceError,
    "BlobNotFound": ObjectNotFound,
    "ConditionNotMet": ObjectChanged,
    "SourceConditionNotMet": ObjectChanged,
    "TargetConditionNotMet": ObjectExists,
    "Md5Mismatch": ChecksumMismatch,
    "Crc64Mismatch": ChecksumMismatch,
    "InvalidUri": KeyNotSupported,
    "InvalidResourceName": KeyNotSupported,
    "InvalidBlobName": KeyNotSupported,
    "OperationTimedOut": ServiceError,
    "InternalError": ServiceError,
    "ServerBusy": Throttled,
    # An account key, token or signature that the service does not take.
    "AuthenticationFailed": AccessRefused,
    "InvalidAuthenticationInfo": AccessRefused,
    "NoAuthenticationInformation": AccessRefused,
}
_LEASED = frozenset({"LeaseIdMissing", "LeaseIdMismatchWithBlobOperation", "LeaseLost"})
_EXPIRED_WORDS = ("not valid in the specified time frame", "expired", "lifetime validation failed")
_SKEW_SECONDS = 300.0
"""Shared Key requests older than 15 minutes are refused, SAS and tokens sooner."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success, read as far as it could be."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str]
    expired: bool = False
    """True where the service says that the credentials have ended."""

    @property
    def words(self) -> str:
        return shown(" ".join(p for p in (str(self.status), self.code, self.message) if p), 300)


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Reads ``<Error>`` and ``x-ms-error-code``; an answer that has none gives empty words."""
    code = headers.get("x-ms-error-code") or ""
    message = detail = ""
    if body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        try:
            root = ET.fromstring(body)  # noqa: S314 - of bounded size; expat bounds entities
        except ET.ParseError:
            root = ET.Element("Error")
        code = code or root.findtext("Code") or ""
        message = (root.findtext("Message") or "").strip().split("\n")[0]
        detail = root.findtext("AuthenticationErrorDetail") or ""
    words = f"{message} {detail} {headers.get('www-authenticate', '')}".lower()
    expired = code == "ExpiredAuthenticationToken" or (
        status in (401, 403) and any(text in words for text in _EXPIRED_WORDS)
    )
    return Refusal(status, shown(code, 100), message, headers, expired)


def error(target: Target, refusal: Refusal) -> StorageError:
    """The error to raise for a refusal."""
    status, code = refusal.status, refusal.code
    text = f"{target}: {refusal.words}"
    if status in (429, 503) or code == "ServerBusy":
        return Throttled(text, retry_after=_retry_after(refusal.headers))
    if status in (401, 403):
        skew = _clock_difference(refusal.headers)
        if abs(skew) > _SKEW_SECONDS:
            return AccessRefused(
                f"{text}. The clock of this machine differs from the service's by {skew:+.0f} s: "
                "set it right"
            )
        if refusal.expired:
            return CredentialsExpired(f"{text}. The credentials have expired")
    if code in _LEASED:
        return ObjectError(f"{text}. Another program holds a lease on it")
    if code == "InvalidBlobOrBlock" and target.operation.startswith("put part"):
        # All uncommitted blocks of a blob, whosever they are, must have ids of one length.
        return ObjectError(
            f"{text}. Another program has left an unfinished upload to this key; it vanishes a "
            "week after its last block, or when the object is written as a whole"
        )
    kind = _BY_CODE.get(code) or _by_status(target, status)
    if kind is NotSupported:
        return NotSupported(f"{text}. The service has no such operation")
    return kind(text)


def _by_status(target: Target, status: int) -> type[StorageError]:
    if status == 404:
        return ObjectNotFound if target.key is not None else BucketNotFound
    if status in (401, 403):
        return AccessRefused
    if status == 412:
        return ObjectChanged
    if status == 501:
        return NotSupported
    if status == 408 or status >= 500 or status < 400:
        return ServiceError
    return ObjectError


def _retry_after(headers: Mapping[str, str]) -> float | None:
    seconds = retry_after(headers)
    if seconds is not None:
        return seconds
    milliseconds = headers.get("x-ms-retry-after-ms", "").strip()
    if milliseconds.isdecimal() and len(milliseconds) < 9:
        return int(milliseconds) / 1000
    return None


def _clock_difference(headers: Mapping[str, str]) -> float:
    """Seconds that this machine's clock is ahead of the service's; 0 where it does not tell."""
    theirs = server_time(headers)
    return 0.0 if theirs is None else time() - theirs
