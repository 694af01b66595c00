"""The Azure provider: accounts of Azure Blob Storage, and Azurite.

This module is loaded at start-up, so that it imports nothing but names; the client itself is in
the modules beside it and is loaded with the first connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage.hookspecs import hookimpl
from svstorage.settings import Settings, Variable, variables

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from svstorage.credentials.azure_values import AzureCredentials
    from svstorage.credentials.base import CredentialSource
    from svstorage.plugins import Registry
    from svstorage.providers.azure.config import AzureConfig
    from svstorage.providers.azure.store import AzureStore

VARIABLES = (
    Variable(
        "STORAGE_INSECURE",
        "true allows plain http to hosts outside this machine and private networks",
        "false",
    ),
)


class AzureProvider:
    """Azure Blob Storage: buckets are containers, objects are block blobs."""

    name = "azure"
    other_names: tuple[str, ...] = ()
    summary = "Azure Blob Storage and Azurite"
    schemes = ("azure",)
    variables = VARIABLES

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
    """Registers `AzureProvider` and the variables that only it reads."""
    for variable in VARIABLES:
        if variables.lookup(variable.name) is None:  # another provider may share it
            variables.register(variable)
    registry.add_provider(AzureProvider())
