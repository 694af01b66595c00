"""S3 credentials from AWS IAM Roles Anywhere, for hosts outside AWS that have a certificate.

This module is loaded at every start of svstorage: cryptography comes with the first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svstorage import hookimpl
from svstorage.credentials.base import AwsCredentials, Passed, RefreshingCredentials
from svstorage.settings import Settings, Variable, variables

if TYPE_CHECKING:
    from svstorage.plugins import Registry

__all__ = ["RolesAnywhereResolver"]

CERTIFICATE = "STORAGE_ROLESANYWHERE_CERTIFICATE"
PRIVATE_KEY = "STORAGE_ROLESANYWHERE_PRIVATE_KEY"
PASSPHRASE = "STORAGE_ROLESANYWHERE_PASSPHRASE"  # noqa: S105 - a variable's name
TRUST_ANCHOR = "STORAGE_ROLESANYWHERE_TRUST_ANCHOR_ARN"
PROFILE = "STORAGE_ROLESANYWHERE_PROFILE_ARN"
ROLE = "STORAGE_ROLESANYWHERE_ROLE_ARN"
REGION = "STORAGE_ROLESANYWHERE_REGION"
ENDPOINT = "STORAGE_ROLESANYWHERE_ENDPOINT"
SECONDS = "STORAGE_ROLESANYWHERE_SECONDS"

VARIABLES = (
    Variable(CERTIFICATE, "PEM file with the certificate, and after it those between it and the "
             "trust anchor"),
    Variable(PRIVATE_KEY, "PEM file with the certificate's private key (RSA or EC)"),
    Variable(PASSPHRASE, "what opens the private key, if any", secret=True),
    Variable(TRUST_ANCHOR, "ARN of the trust anchor"),
    Variable(PROFILE, "ARN of the profile"),
    Variable(ROLE, "ARN of the role to take on"),
    Variable(REGION, "AWS region of Roles Anywhere", "that of the trust anchor"),
    Variable(ENDPOINT, "URL of Roles Anywhere, for private endpoints", "that of the region"),
    Variable(SECONDS, "how long credentials last, 900 to 43200", "3600"),
)  # fmt: skip


class RolesAnywhereResolver:
    """Asked when a certificate is named. What it gets goes to AWS alone.

    ``ambient``: to an endpoint that is not AWS's own, only where ``STORAGE_CREDENTIALS`` names it.
    """

    name = "rolesanywhere"
    providers = ("minio",)
    order = 25
    ambient = True
    summary = "AWS IAM Roles Anywhere, by certificate and key"

    def resolve(
        self, config: Any, settings: Settings
    ) -> RefreshingCredentials[AwsCredentials] | Passed:
        if CERTIFICATE not in settings:
            return Passed(f"{CERTIFICATE} is not set")
        from svstorage_rolesanywhere.exchange import exchange

        return RefreshingCredentials(self.name, exchange(config, settings).credentials)


@hookimpl
def svstorage_register_credential_resolvers(registry: Registry) -> None:
    """Registers the resolver, and its settings with the S3 provider."""
    for variable in VARIABLES:
        variables.claim("minio", variable)
    registry.add_resolver(RolesAnywhereResolver())
