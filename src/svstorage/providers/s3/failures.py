"""From an answer of the service to one of our errors.

Codes after "Error responses" in the Amazon S3 API Reference, and those seen from compatible
services. Messages name the operation, the bucket and the escaped key, and carry of the
service's words only Code and Message: further elements may hold tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from svstorage.addresses import display
from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    ChecksumMismatch,
    ConnectionFailed,
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
from svstorage.providers.headers import retry_after
from svstorage.providers.s3 import xml
from svstorage.providers.target import Target

_MAX_TEXT = 300
_NO_REASON = "wrong keys, or no right to do this. svstorage config check tells which"

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_SLOW = frozenset({"SlowDown", "RequestLimitExceeded", "TooManyRequests", "Throttling",
                   "ThrottlingException", "BandwidthLimitExceeded"})  # fmt: skip
_CHECKSUM = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch",
                       "XAmzContentChecksumMismatch"})  # fmt: skip
# Keys that services refuse which keep objects as files: MinIO, rclone (which says it in words).
_KEY = frozenset({"KeyTooLongError", "XMinioInvalidObjectName", "InvalidObjectName"})
# Errors of a moment that come with a status of 4xx.
_PASSING = frozenset({"RequestTimeout", "IncompleteBody", "OperationAborted",
                      "ConditionalRequestConflict", "InternalError"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success, read as far as it could be."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str]
    region: str | None = None

    @property
    def words(self) -> str:
        """Code and message as the service gave them, safe to print."""
        parts = [f"{self.status}", self.code, self.message]
        return display(" ".join(part for part in parts if part))


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Reads ``<Error>``, bare or wrapped; an answer that has none gives empty words."""
    code = message = ""
    region = headers.get("x-amz-bucket-region")
    try:
        root = xml.parse(body) if body.lstrip()[:1] == b"<" else None
    except xml.MalformedXml:
        root = None
    if root is not None:
        if xml.local(root) != "Error":
            root = next((e for e in root.iter() if xml.local(e) == "Error"), root)
        code = xml.text(root, "Code") or ""
        message = (xml.text(root, "Message") or "")[:_MAX_TEXT]
        region = region or xml.text(root, "Region") or None
    return Refusal(status, code[:100], message, headers, region)


def error(target: Target, refusal: Refusal) -> StorageError:
    """The error to raise for a refusal that cannot be mended by asking again."""
    status, code = refusal.status, refusal.code
    text = f"{target}: {refusal.words}"
    if code in _SLOW or status in (429, 503):
        return Throttled(text, retry_after=retry_after(refusal.headers))
    if code in EXPIRED:
        return CredentialsExpired(f"{text}. The credentials have expired")
    if code in SKEWED:
        return AccessRefused(f"{text}. The clock of this machine or of the service is wrong")
    if code in _PASSING or (status >= 500 and status != 501):
        return ServiceError(text)
    if code in _CHECKSUM:
        return ChecksumMismatch(text)
    if 300 <= status < 400:
        return _redirected(target, refusal)
    if refusal.region and code in ("AuthorizationHeaderMalformed", "IllegalLocationConstraint"):
        return AccessRefused(f"{text}. Set STORAGE_REGION={display(refusal.region)}")
    return _by_status(target, refusal, text)


def _by_status(target: Target, refusal: Refusal, text: str) -> StorageError:
    status, code = refusal.status, refusal.code
    if status == 404 or code in ("NoSuchKey", "NoSuchBucket", "NoSuchUpload"):
        missing_bucket = code == "NoSuchBucket" or (target.key is None and not code)
        return (BucketNotFound if missing_bucket else ObjectNotFound)(text)
    if code in _KEY or (code == "InvalidArgument" and "object name" in refusal.message.lower()):
        return KeyNotSupported(text)
    if code == "InvalidObjectState":
        return ObjectError(f"{text}. The object is archived and must be restored first")
    if status in (401, 403):
        # The answer to a HEAD has no body, and so no reason.
        return AccessRefused(text if code else f"{text} without a reason: {_NO_REASON}")
    if status == 412:
        return ObjectChanged(text)
    if code in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
        return ObjectExists(text)
    if status == 501:
        return NotSupported(f"{text}. The service has no such operation")
    return ObjectError(text)


def _redirected(target: Target, refusal: Refusal) -> StorageError:
    """Redirects are never followed: another host gets neither credentials nor data."""
    where = display(refusal.headers.get("location", "another address").split("?")[0])
    hint = (
        f"Set STORAGE_REGION={display(refusal.region)}"
        if refusal.region
        else ("Set STORAGE_ENDPOINT to the service itself")
    )
    return ConnectionFailed(
        f"{target}: the service redirects to {where} ({refusal.words}), which is not followed. "
        f"{hint}"
    )
