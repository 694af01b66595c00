"""The Azure provider: accounts of Azure Blob Storage, and Azurite.

This module is loaded at start-up, so that it imports nothing but names; the client itself is in
the modules beside it and is loaded with the first connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage.hookspecs import hookimpl
from svstorage.settings import Settings, Variable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from svstorage.credentials.azure_values import AzureCredentials
    from svstorage.credentials.base import CredentialSource
    from svstorage.plugins import Registry
    from svstorage.providers.azure.config import AzureConfig
    from svstorage.providers.azure.store import AzureStore

VARIABLES: tuple[Variable | str, ...] = (
    Variable(
        "STORAGE_ENDPOINT",
        "host, host:port or URL of the service",
        "https://<account>.blob.core.windows.net",
    ),
    "STORAGE_PORT",
    "STORAGE_USE_SSL",
    Variable("STORAGE_ACCESS_KEY", "name of the account"),
    Variable("STORAGE_SECRET_KEY", "key of the account", secret=True),
    Variable(
        "STORAGE_SAS_TOKEN",
        "shared access signature in place of the account key",
        secret=True,
    ),
    "STORAGE_CREDENTIALS",
    "STORAGE_CA_BUNDLE",
    Variable(
        "STORAGE_PROXY",
        "none, env (the HTTPS_PROXY and NO_PROXY variables) or the URL of an HTTP proxy",
        "none",
    ),
    "STORAGE_INSECURE",
)


class AzureProvider:
    """Azure Blob Storage: buckets are containers, objects are block blobs."""

    name = "azure"
    other_names: tuple[str, ...] = ()
    summary = "Azure Blob Storage and Azurite"
    schemes = ("azure",)
    variables = VARIABLES
    credentials_mend = (
        "Set STORAGE_ACCESS_KEY to the account name and STORAGE_SECRET_KEY to its key, or set "
        "STORAGE_SAS_TOKEN; on an Azure machine set STORAGE_CREDENTIALS=managed-identity"
    )

    def parse_config(self, settings: Settings) -> AzureConfig:
        from svstorage.providers.azure.config import parse

        return parse(settings)

    def connect(
        self, config: AzureConfig, credentials: CredentialSource[AzureCredentials] | None
    ) -> AzureStore:
        from svstorage.providers.azure.store import AzureStore

        return AzureStore(config, credentials)

    def filesystem(
        self, config: AzureConfig, credentials: CredentialSource[AzureCredentials] | None
    ) -> AbstractFileSystem:
        from svstorage.providers.azure.filesystem import AzureFileSystem

        return AzureFileSystem(config, credentials)

    def needs_credentials(self, config: AzureConfig) -> bool:
        return True


@hookimpl
def svstorage_register_providers(registry: Registry) -> None:
    """Registers `AzureProvider`."""
    registry.add_provider(AzureProvider())
