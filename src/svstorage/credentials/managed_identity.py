"""Managed identity: the identity of an Azure machine, container or app.

"Managed identities for Azure resources". On App Service and the like the platform sets
variables; on a virtual machine only the metadata service can tell, so that there this resolver
is asked by name (or as a part of ``default``): a guess would cost seconds elsewhere.
"""

from __future__ import annotations

from typing import Any

from svstorage.credentials import azure_identity
from svstorage.credentials.azure_config import AzureAccess
from svstorage.credentials.azure_values import Bearer
from svstorage.credentials.base import Passed, RefreshingCredentials
from svstorage.credentials.machine import variable
from svstorage.credentials.resolve import is_named
from svstorage.settings import Settings

NAME = "managed-identity"
_SIGNS = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")


def resolve(config: AzureAccess, settings: Settings) -> RefreshingCredentials[Bearer] | Passed:
    """A source where the platform has set its variables, or where named; else `Passed`.

    ``AZURE_CLIENT_ID`` picks a user-assigned identity.
    """
    named = is_named(NAME, settings)
    if not named and not any(variable(sign, settings) for sign in _SIGNS):
        return Passed(f"{' and '.join(_SIGNS)} are not set")
    if azure_identity.library() is None and not named:
        return Passed(azure_identity.MISSING)
    library = azure_identity.required(NAME)
    client = settings.text("AZURE_CLIENT_ID")
    more = {"client_id": client} if client else {}

    def make() -> Any:
        return library.ManagedIdentityCredential(transport=azure_identity.direct(), **more)

    return azure_identity.source(NAME, make)
