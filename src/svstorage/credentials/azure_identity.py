"""Tokens of Microsoft Entra ID by azure-identity, as a source that renews.

Each fetch makes a new azure-identity credential: what it keeps in memory would else answer an
expired token's successor with the same token again, and a fetch comes about once an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from svstorage.credentials.azure_values import SCOPE, Bearer
from svstorage.credentials.base import RefreshingCredentials, utc
from svstorage.credentials.http import shown
from svstorage.errors import CredentialsError, SettingsError
from svstorage.settings import Secret

if TYPE_CHECKING:
    from types import ModuleType

MISSING = "azure-identity is not installed (pip install 'svstorage[azure]')"


def library() -> ModuleType | None:
    """azure-identity, or None where it is not installed."""
    try:
        import azure.identity
    except ImportError:
        return None
    return azure.identity


def required(name: str) -> ModuleType:
    """azure-identity, or `SettingsError` that says how to install it."""
    found = library()
    if found is None:
        raise SettingsError(
            f"the resolver {name} needs azure-identity, which is not installed",
            variable="STORAGE_CREDENTIALS",
            mend="Run: pip install 'svstorage[azure]'",
        )
    return found


def direct() -> Any:
    """A transport that heeds no proxy of the environment, for services beside this machine."""
    from azure.core.pipeline.transport import RequestsTransport

    return RequestsTransport(use_env_settings=False)


def source(name: str, make: Callable[[], Any]) -> RefreshingCredentials[Bearer]:
    """A source over what ``make`` makes: an azure-identity credential."""
    return RefreshingCredentials(name, lambda: _fetch(name, make))


def _fetch(name: str, make: Callable[[], Any]) -> Bearer:
    from azure.core.exceptions import AzureError

    problem = ""
    try:
        credential = make()
        try:
            token = credential.get_token(SCOPE)
        finally:
            credential.close()
    except (AzureError, ValueError, OSError) as error:
        # ValueError: a variable with an impossible value. The texts name variables and hosts.
        problem = shown(str(error), 600) or type(error).__name__
    if problem:
        raise CredentialsError(f"no token by {name}: {problem}")
    return Bearer(Secret(token.token), utc(token.expires_on))
