"""What the resolvers for Azure ask of the provider's config."""

from __future__ import annotations

from typing import Protocol

from svstorage.settings import Secret


class AzureAccess(Protocol):
    """The part of the Azure provider's config that concerns credentials."""

    @property
    def account_name(self) -> str: ...

    @property
    def account_key(self) -> Secret | None:
        """``STORAGE_SECRET_KEY``, where it is an account key."""
        ...

    @property
    def sas_token(self) -> Secret | None:
        """``STORAGE_SAS_TOKEN``, or a ``STORAGE_SECRET_KEY`` that is a signature."""
        ...

    @property
    def endpoint_is_vendors(self) -> bool: ...
