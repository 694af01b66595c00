"""The account key that the settings hold."""

from __future__ import annotations

from svstorage.credentials.azure_config import AzureAccess
from svstorage.credentials.azure_values import AccountKey
from svstorage.credentials.base import Passed, StaticCredentials
from svstorage.settings import Settings

NAME = "static"


def resolve(config: AzureAccess, settings: Settings) -> StaticCredentials[AccountKey] | Passed:
    """The key, or `Passed` where ``STORAGE_SECRET_KEY`` is not set or is a signature."""
    if not config.account_key:
        return Passed("STORAGE_SECRET_KEY holds no account key")
    return StaticCredentials(
        NAME,
        AccountKey(config.account_name, config.account_key),
        mend="Set STORAGE_SECRET_KEY to the account's new key",
    )
