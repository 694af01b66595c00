"""The S3 provider: AWS S3 and every service that speaks its protocol (``minio``, ``s3``).

This module is loaded at start-up, so that it imports nothing but names; the client itself is in
the modules beside it and is loaded with the first connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage.hookspecs import hookimpl
from svstorage.settings import Settings, Variable, variables

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from svstorage.credentials.base import AwsCredentials, CredentialSource
    from svstorage.plugins import Registry
    from svstorage.providers.s3.config import S3Config
    from svstorage.providers.s3.store import S3Store

VARIABLES = (
    Variable(
        "STORAGE_S3_CHECKSUMS",
        "auto, on or off: the additional checksums of the AWS SDKs in storage.fs, which some "
        "services that are not AWS refuse",
        "auto: on for AWS, off elsewhere",
        providers=("minio",),
    ),
    Variable(
        "STORAGE_PROXY",
        "none, env (the HTTPS_PROXY and NO_PROXY variables) or the URL of an HTTP proxy",
        "none",
    ),
    Variable(
        "STORAGE_INSECURE",
        "true allows plain http to hosts outside this machine and private networks",
        "false",
    ),
)


class S3Provider:
    """AWS S3 and compatible services."""

    name = "minio"
    other_names = ("s3",)
    summary = "AWS S3, MinIO and every other service that speaks the S3 protocol"
    schemes = ("s3",)
    variables = VARIABLES

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
    """Registers `S3Provider` and the variables that only it reads."""
    for variable in VARIABLES:
        if variables.lookup(variable.name) is None:  # another provider may share it
            variables.register(variable)
    registry.add_provider(S3Provider())
