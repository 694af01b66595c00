"""Workload identity: the service account of a pod in Azure Kubernetes Service.

"Use Microsoft Entra Workload ID": the webhook sets these variables in the pod.
"""

from __future__ import annotations

from typing import Any

from svstorage.credentials import azure_identity
from svstorage.credentials.azure_config import AzureAccess
from svstorage.credentials.azure_values import Bearer
from svstorage.credentials.base import Passed, RefreshingCredentials
from svstorage.credentials.resolve import is_named
from svstorage.settings import Settings

NAME = "workload-identity"
_FILE = "AZURE_FEDERATED_TOKEN_FILE"
_CLIENT, _TENANT = "AZURE_CLIENT_ID", "AZURE_TENANT_ID"


def resolve(config: AzureAccess, settings: Settings) -> RefreshingCredentials[Bearer] | Passed:
    """A source, or `Passed` outside of such a pod. Raises `SettingsError` for half of it."""
    path = settings.path(_FILE)
    if path is None:
        return Passed(f"{_FILE} is not set")
    client, tenant = settings.text(_CLIENT), settings.text(_TENANT)
    if not client or not tenant:
        raise settings.error(
            _TENANT if client else _CLIENT, "it is not set", f"{_FILE} is, which needs it"
        )
    if azure_identity.library() is None and not is_named(NAME, settings):
        return Passed(azure_identity.MISSING)
    library = azure_identity.required(NAME)
    authority = settings.text("AZURE_AUTHORITY_HOST")
    # An authority that was named is not to be asked about at the public cloud's first.
    more = {"authority": authority, "disable_instance_discovery": True} if authority else {}

    def make() -> Any:
        # Reads the file when a token is asked for, so at each renewal: Kubernetes replaces it.
        return library.WorkloadIdentityCredential(
            tenant_id=tenant, client_id=client, token_file_path=str(path), **more
        )

    return azure_identity.source(NAME, make)
