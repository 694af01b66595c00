"""Tokens for Google Cloud Storage: of a service account, of the machine, or none.

google-auth asks for them; `RefreshingCredentials` keeps them and renews them in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from svstorage.credentials.base import Anonymous, Passed, RefreshingCredentials
from svstorage.errors import CredentialsError
from svstorage.settings import Secret, Settings
from svstorage_google.config import CREDENTIALS_PATH, GoogleConfig, service_account

SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Token:
    """An OAuth 2.0 bearer token."""

    value: Secret
    expires_at: datetime | None


class ServiceAccount:
    """The key in the file of ``STORAGE_CREDENTIALS_PATH``."""

    name = "service-account"
    providers = ("google",)
    order = 10
    ambient = False
    summary = f"the service account of {CREDENTIALS_PATH}"

    def resolve(
        self, config: GoogleConfig, settings: Settings
    ) -> RefreshingCredentials[Token] | Passed:
        account = service_account(settings)
        if account is None:
            return Passed(f"{CREDENTIALS_PATH} is not set")
        found: Any = None
        try:
            from google.oauth2 import service_account as library

            make: Any = library.Credentials  # untyped
            found = make.from_service_account_info(account, scopes=[SCOPE])
        except ValueError:
            pass
        # Outside of the handler: the error's frames hold the key.
        if found is None:
            raise settings.error(CREDENTIALS_PATH, "the private key in it cannot be read")
        return RefreshingCredentials(self.name, lambda: _renewed(found, config))


class ApplicationDefault:
    """What Google's own tools find on this machine: variables, gcloud, the metadata server."""

    name = "application-default"
    providers = ("google",)
    order = 20
    ambient = True
    by_name_only = True
    summary = "this machine's own (Application Default Credentials)"

    def resolve(self, config: GoogleConfig, settings: Settings) -> RefreshingCredentials[Token]:
        held: list[Any] = []

        def fetch() -> Token:
            if not held:
                import google.auth
                from google.auth.exceptions import DefaultCredentialsError

                try:
                    held.append(google.auth.default(scopes=[SCOPE])[0])
                except DefaultCredentialsError as error:
                    raise CredentialsError(f"this machine has no credentials: {error}") from None
            return _renewed(held[0], config)

        return RefreshingCredentials(self.name, fetch)


class NoCredentials:
    """Public buckets, without a token."""

    name = "anonymous"
    providers = ("google",)
    order = 90
    ambient = False
    by_name_only = True
    summary = "no credentials, for public buckets"

    def resolve(self, config: GoogleConfig, settings: Settings) -> Anonymous:
        return Anonymous()


def _renewed(credentials: Any, config: GoogleConfig) -> Token:
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport import urllib3 as transport
    from urllib3 import PoolManager, Retry, Timeout

    with PoolManager(
        # The token's server is not the endpoint: the system's certificates and the bundle hold.
        ca_certs=str(config.ca_bundle) if config.ca_bundle else None,
        timeout=Timeout(_SECONDS),
        retries=Retry(0, redirect=0, raise_on_redirect=True),
    ) as http:
        try:
            ask: Any = transport.Request  # untyped
            credentials.refresh(ask(http))
        except GoogleAuthError as error:
            said = error.args[0] if error.args else type(error).__name__
            raise CredentialsError(f"Google gives no token: {said}") from None
    ends = credentials.expiry  # UTC without saying so
    return Token(
        Secret(credentials.token), ends.replace(tzinfo=timezone.utc) if ends is not None else None
    )


RESOLVERS = (ServiceAccount(), ApplicationDefault(), NoCredentials())
