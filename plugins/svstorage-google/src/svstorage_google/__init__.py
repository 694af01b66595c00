"""Google Cloud Storage as a storage: ``STORAGE_PROVIDER=google``.

This module is loaded at every start of svstorage, so that it imports nothing heavy; the client and
google-auth come with the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage import hookimpl
from svstorage.providers import BaseProvider
from svstorage.settings import Settings, Variable

if TYPE_CHECKING:
    from svstorage.credentials.base import CredentialSource
    from svstorage.plugins import Registry
    from svstorage_google.config import GoogleConfig
    from svstorage_google.credentials import Token
    from svstorage_google.store import GoogleStore

__all__ = ["GoogleProvider"]


class GoogleProvider(BaseProvider):
    """The buckets of a Google Cloud project."""

    name = "google"
    summary = "Google Cloud Storage"
    schemes = ("google",)
    variables: tuple[Variable | str, ...] = (
        Variable(
            "STORAGE_CREDENTIALS_PATH",
            "JSON file with the key of a service account",
        ),
        "STORAGE_CREDENTIALS",
        Variable(
            "STORAGE_GOOGLE_PROJECT",
            "the project whose buckets are listed and made",
            "the one of the service account",
        ),
        Variable(
            "STORAGE_ENDPOINT",
            "host, host:port or URL of the service, for private endpoints and emulators",
            "storage.googleapis.com",
        ),
        "STORAGE_PORT",
        "STORAGE_USE_SSL",
        "STORAGE_CA_BUNDLE",
        "STORAGE_INSECURE",
    )
    credentials_mend = (
        "Set STORAGE_CREDENTIALS_PATH to the JSON file of a service account, or "
        "STORAGE_CREDENTIALS to application-default (this machine's own) or anonymous"
    )

    def parse_config(self, settings: Settings) -> GoogleConfig:
        from svstorage_google.config import parse

        return parse(settings)

    def connect(
        self, config: GoogleConfig, credentials: CredentialSource[Token] | None
    ) -> GoogleStore:
        from svstorage_google.store import GoogleStore

        return GoogleStore(config, credentials)


@hookimpl
def svstorage_register_providers(registry: Registry) -> None:
    """Registers `GoogleProvider`."""
    registry.add_provider(GoogleProvider())


@hookimpl
def svstorage_register_credential_resolvers(registry: Registry) -> None:
    """Registers the service account, the machine's default, and none at all."""
    from svstorage_google.credentials import RESOLVERS

    for resolver in RESOLVERS:
        registry.add_resolver(resolver)
