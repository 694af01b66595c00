"""The settings of the S3 provider, typed and checked."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from svstorage.providers.endpoint import ENDPOINT, Endpoint, ca_bundle, parse_endpoint, proxy
from svstorage.providers.s3.aws import AwsHost, aws_host, names_bucket
from svstorage.settings import Secret, Settings

DEFAULT_ENDPOINT = "s3.amazonaws.com"
DEFAULT_REGION = "us-east-1"

Addressing = Literal["path", "virtual"]

# Bucket names that make a host name: "General purpose bucket naming rules". Older buckets may
# have capitals and underscores; those are reached by path.
_DNS_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_VISIBLE = re.compile(r"[\x21-\x7e]+\Z")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}\Z")


@dataclass(frozen=True, slots=True)
class S3Config:
    """All that is needed to reach an S3 service. The repr shows no secret.

    ``aws`` is None for services that are not AWS. ``credentials`` is a resolver's name or
    ``auto``. ``sdk_checksums`` is whether the AWS SDK's own checksums are used (by `filesystem`).
    """

    endpoint: Endpoint
    region: str = DEFAULT_REGION
    addressing: Addressing = "path"
    aws: AwsHost | None = None
    credentials: str = "auto"
    access_key: str | None = field(default=None, repr=False)
    secret_key: Secret | None = field(default=None, repr=False)
    session_token: Secret | None = field(default=None, repr=False)
    iam_role: str | None = None
    ca_bundle: Path | None = None
    proxy: Secret | None = field(default=None, repr=False)
    """URL of an HTTP proxy for TLS connections; a secret because it may hold a password."""
    sdk_checksums: bool = False

    @property
    def endpoint_is_vendors(self) -> bool:
        return self.aws is not None

    @property
    def location(self) -> str:
        return self.endpoint.url

    @property
    def is_loopback(self) -> bool:
        if self.endpoint.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.endpoint.host).is_loopback
        except ValueError:
            return False

    def address(self, bucket: str, region: str | None = None) -> tuple[Endpoint, str]:
        """The endpoint and the path that a bucket is reached by; with no bucket, the service's.

        The path is ``""`` where the bucket is in the host name, else ``/bucket``. ``region`` is
        where an AWS bucket was found to live, if that is another than ours.
        """
        end = self.endpoint
        host = end.host
        if self.aws is not None and self.aws.movable:
            host = self.aws.name(region or self.region)
        path = f"/{bucket}" if bucket else ""
        # A dot in the name makes one label too many for the wildcard certificate.
        dotted = end.tls and "." in bucket
        if self.addressing == "virtual" and _DNS_BUCKET.match(bucket) and not dotted:
            host, path = f"{bucket}.{host}", ""
        return (end if host == end.host else Endpoint(end.scheme, host, end.port)), path


def parse(settings: Settings) -> S3Config:
    """Settings to config. Raises `SettingsError`; sends nothing to anybody."""
    endpoint = parse_endpoint(settings, DEFAULT_ENDPOINT)
    aws = aws_host(endpoint.host)
    _check_endpoint(settings, endpoint)
    checksums = settings.choice("STORAGE_S3_CHECKSUMS", ("auto", "on", "off"), "auto")
    return S3Config(
        endpoint=endpoint,
        region=_region(settings, endpoint, aws),
        addressing=_addressing(settings, endpoint, aws),
        aws=aws,
        credentials=(settings.text("STORAGE_CREDENTIALS") or "auto").strip().lower(),
        access_key=_visible(settings, "STORAGE_ACCESS_KEY"),
        secret_key=settings.secret("STORAGE_SECRET_KEY"),
        session_token=_visible_secret(settings, "STORAGE_SESSION_TOKEN"),
        iam_role=settings.text("STORAGE_IAM_ROLE"),
        ca_bundle=ca_bundle(settings),
        proxy=proxy(settings, endpoint),
        sdk_checksums=checksums == "on" or (checksums == "auto" and aws is not None),
    )


def _check_endpoint(settings: Settings, endpoint: Endpoint) -> None:
    if endpoint.path:
        raise settings.error(
            ENDPOINT, "it has a path", "Write host and port only; the bucket goes elsewhere"
        )
    if names_bucket(endpoint.host):
        raise settings.error(
            ENDPOINT, "it begins with the name of a bucket",
            "Leave that out, as in https://s3.eu-central-1.amazonaws.com",
        )  # fmt: skip
    if _odd_address(endpoint):
        raise settings.error(
            ENDPOINT, "it is an IP address in an unusual form",
            "Write four numbers from 0 to 255 with dots between",
        )  # fmt: skip


def _odd_address(endpoint: Endpoint) -> bool:
    """True for ``2852039166``, ``0xa9.0xfe.1`` and whatever else resolvers take as IPv4.

    Such a form would slip past the rules for private and metadata addresses.
    """
    if endpoint.is_address:
        return False
    try:
        socket.inet_aton(endpoint.host)
    except OSError:
        return False
    return True


def _region(settings: Settings, endpoint: Endpoint, aws: AwsHost | None) -> str:
    name = "STORAGE_REGION"
    named = aws.region if aws else None
    region = (settings.text(name) or named or DEFAULT_REGION).strip()
    if not _REGION.match(region):
        raise settings.error(name, "it is not the name of a region", "Write one like eu-central-1")
    if named and region != named:
        raise settings.error(
            name, f"it contradicts the region in {ENDPOINT}, {named}", "Remove one of the two"
        )
    if aws and endpoint.host.endswith(".cn") != region.startswith("cn-"):
        raise settings.error(
            name, f"the region {region} is not served by {endpoint.host}",
            "Set the region of this endpoint; those of amazonaws.com.cn begin with cn-",
        )  # fmt: skip
    return region


def _addressing(settings: Settings, endpoint: Endpoint, aws: AwsHost | None) -> Addressing:
    name = "STORAGE_ADDRESSING_STYLE"
    style = settings.choice(name, ("auto", "path", "virtual"), "auto")
    if style == "virtual" and endpoint.is_address:
        raise settings.error(name, "a bucket cannot stand before an IP address", "Write path")
    return "virtual" if style == "virtual" or (style == "auto" and aws) else "path"


def _visible(settings: Settings, name: str) -> str | None:
    """A value that goes into a header: nothing but visible ASCII."""
    value = settings.text(name)
    if value is not None and not _VISIBLE.match(value):
        raise settings.error(
            name, "it holds a space or another character that no key has", "Copy it again"
        )
    return value


def _visible_secret(settings: Settings, name: str) -> Secret | None:
    value = _visible(settings, name)
    return None if value is None else Secret(value)
