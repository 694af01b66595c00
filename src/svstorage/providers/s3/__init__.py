"""The S3 provider: AWS S3 and every service that speaks its protocol (``minio``, ``s3``).

This module is loaded at start-up, so that it imports nothing but names; the client itself is in
the modules beside it and is loaded with the first connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage.hookspecs import hookimpl
from svstorage.settings import Settings, Variable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from svstorage.credentials.base import AwsCredentials, CredentialSource
    from svstorage.plugins import Registry
    from svstorage.providers.s3.config import S3Config
    from svstorage.providers.s3.store import S3Store

VARIABLES: tuple[Variable | str, ...] = (
    Variable("STORAGE_ENDPOINT", "host, host:port or URL of the service", "s3.amazonaws.com"),
    "STORAGE_PORT",
    "STORAGE_USE_SSL",
    Variable("STORAGE_ACCESS_KEY", "access key of the key pair"),
    Variable("STORAGE_SECRET_KEY", "secret key of the key pair", secret=True),
    Variable("STORAGE_SESSION_TOKEN", "session token of temporary credentials", secret=True),
    Variable("STORAGE_REGION", "region", "from the endpoint's name, else us-east-1"),
    Variable(
        "STORAGE_ADDRESSING_STYLE",
        "auto, path or virtual",
        "auto: virtual for AWS, path elsewhere",
    ),
    Variable(
        "STORAGE_IAM_ROLE",
        "name of the instance role; credentials come from the instance metadata service and "
        "both keys may be left out",
    ),
    "STORAGE_CREDENTIALS",
    "STORAGE_CA_BUNDLE",
    Variable(
        "STORAGE_S3_CHECKSUMS",
        "auto, on or off: ask the service for the CRCs of its objects and compare them, and use "
        "the SDK's additional checksums in storage.provider_fs(); some services that are not "
        "AWS refuse those",
        "auto: on for AWS, off elsewhere",
    ),
    Variable(
        "STORAGE_PROXY",
        "none, env (the HTTPS_PROXY and NO_PROXY variables) or the URL of an HTTP proxy",
        "none",
    ),
    "STORAGE_INSECURE",
)


class S3Provider:
    """AWS S3 and compatible services."""

    name = "minio"
    other_names = ("s3",)
    summary = "AWS S3, MinIO and every other service that speaks the S3 protocol"
    schemes = ("s3",)
    variables = VARIABLES
    credentials_mend = (
        "Set STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY; on EC2 set STORAGE_IAM_ROLE to the name "
        "of the instance's role; for a public bucket set STORAGE_CREDENTIALS=anonymous"
    )

    def parse_config(self, settings: Settings) -> S3Config:
        from svstorage.providers.s3.config import parse

        return parse(settings)

    def connect(
        self, config: S3Config, credentials: CredentialSource[AwsCredentials] | None
    ) -> S3Store:
        from svstorage.providers.s3.store import S3Store

        return S3Store(config, credentials)

    def filesystem(
        self, config: S3Config, credentials: CredentialSource[AwsCredentials] | None
    ) -> AbstractFileSystem:
        from svstorage.providers.s3.filesystem import filesystem

        return filesystem(config, credentials)

    def needs_credentials(self, config: S3Config) -> bool:
        return True  # resolving them may end in "none are sent"


@hookimpl
def svstorage_register_providers(registry: Registry) -> None:
    """Registers `S3Provider`."""
    registry.add_provider(S3Provider())
