"""What every operation of the store needs: names checked before, answers read after."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import Element

from svstorage.addresses import display
from svstorage.credentials.base import AwsCredentials, CredentialSource
from svstorage.errors import BucketNotFound, KeyNotSupported, ServiceError, StorageError
from svstorage.providers.s3 import failures, xml
from svstorage.providers.s3.config import S3Config
from svstorage.providers.s3.limits import MAX_KEY_BYTES
from svstorage.providers.s3.wire import Wire
from svstorage.providers.target import Target

# Wider than today's rules ("General purpose bucket naming rules"): old buckets have capitals
# and underscores. What is no such name would reach another path of the service.
BUCKET_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,255}\Z")


class Service:
    """One S3 service, reached with one set of credentials."""

    def __init__(
        self,
        config: S3Config,
        credentials: CredentialSource[AwsCredentials] | None,
        *,
        wire: Wire | None = None,
    ) -> None:
        self.config = config
        self.credentials = credentials
        self.wire = wire or Wire(config, credentials)

    def target(self, operation: str, bucket: str, key: str | None = None) -> Target:
        """What a request is about, once it is known that the service can hold such names."""
        target = Target(operation, bucket, key)
        if not BUCKET_NAME.match(bucket):
            raise BucketNotFound(f"{target}: that cannot be the name of a bucket")
        if key is not None:
            raw = encodable(key)
            if raw is None:
                raise KeyNotSupported(f"{target}: S3 holds no keys that are not UTF-8 or have NUL")
            if not 1 <= len(raw) <= MAX_KEY_BYTES:
                raise KeyNotSupported(
                    f"{target}: S3 holds keys of 1 to {MAX_KEY_BYTES} bytes, this has {len(raw)}"
                )
        return target

    def answer(self, target: Target, body: bytes, name: str) -> Element:
        """The root of an XML answer. Some operations answer 200 and then tell an error."""
        problem = None
        root = None
        try:
            root = xml.parse(body)
        except xml.MalformedXml as error:
            problem = str(error)
        if root is None:
            raise ServiceError(f"{target}: {problem}")
        if xml.local(root) == "Error":
            refusal = failures.read_refusal(200, {}, body)
            raise late_error(target, refusal)
        stem = name.removesuffix("Result")  # rclone says it shorter, moto in another word
        if xml.local(root) not in (name, stem, f"{stem}Response"):
            raise ServiceError(f"{target}: the answer is {display(xml.local(root))}, not {name}")
        return root


def late_error(target: Target, refusal: failures.Refusal) -> StorageError:
    """For an error in a 200: without a code of ours it is one of the service, worth a retry."""
    status = {
        "AccessDenied": 403, "NoSuchUpload": 404, "NoSuchKey": 404, "PreconditionFailed": 412,
        "InvalidPart": 400, "InvalidPartOrder": 400, "EntityTooSmall": 400, "SlowDown": 503,
    }.get(refusal.code, 500)  # fmt: skip
    return failures.error(target, replace(refusal, status=status))


def encodable(text: str) -> bytes | None:
    """The bytes of a name, or None where S3 can have no such name."""
    try:
        return None if "\0" in text else text.encode()
    except UnicodeEncodeError:
        return None


def number(target: Target, text: str | None) -> int:
    """A number in an answer. Raises `ServiceError` where it is none."""
    if text is None or not text.strip().isdecimal():
        raise ServiceError(f"{target}: the answer lacks a number")
    return int(text)
