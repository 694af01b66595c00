"""The default chain of azure-identity: environment, identities of the machine, developer tools.

"DefaultAzureCredential overview". It reads the process environment itself.
"""

from __future__ import annotations

from typing import Any

from svstorage.credentials import azure_identity
from svstorage.credentials.azure_config import AzureAccess
from svstorage.credentials.azure_values import Bearer
from svstorage.credentials.base import Passed, RefreshingCredentials
from svstorage.credentials.resolve import is_named
from svstorage.settings import Settings

NAME = "default"


def resolve(config: AzureAccess, settings: Settings) -> RefreshingCredentials[Bearer] | Passed:
    """A source wherever azure-identity is installed: what answers shows at the first request."""
    if azure_identity.library() is None and not is_named(NAME, settings):
        return Passed(azure_identity.MISSING)
    library = azure_identity.required(NAME)

    def make() -> Any:
        return library.DefaultAzureCredential()

    return azure_identity.source(NAME, make)
