"""The account key that the settings hold."""

from __future__ import annotations

import base64
import binascii

from svstorage.credentials.azure_config import AzureAccess
from svstorage.credentials.azure_sas import looks_like_sas
from svstorage.credentials.azure_values import AccountKey
from svstorage.credentials.base import Passed, StaticCredentials
from svstorage.settings import Secret, Settings

NAME = "static"


def resolve(config: AzureAccess, settings: Settings) -> StaticCredentials[AccountKey] | Passed:
    """The key, or `Passed` where it is not set or is a shared access signature.

    Raises `SettingsError` for a key that no account has, or without the account's name.
    """
    key = config.account_key
    if not key:
        return Passed("STORAGE_SECRET_KEY is not set")
    if looks_like_sas(key):
        return Passed("STORAGE_SECRET_KEY is a shared access signature")
    if not config.account_name:
        raise settings.error(
            "STORAGE_ACCESS_KEY", "it is not set", "Set it to the name of the storage account"
        )
    check_key(key, "STORAGE_SECRET_KEY", settings)
    return StaticCredentials(
        NAME, AccountKey(config.account_name, key), mend="Set STORAGE_SECRET_KEY to the new key"
    )


def check_key(key: Secret, variable: str, settings: Settings) -> None:
    """Raise `SettingsError` unless the key is base64, as every account key is."""
    good = False
    try:
        good = bool(base64.b64decode(key.reveal(), validate=True))
    except (binascii.Error, ValueError):
        good = False
    if not good:
        mend = "Copy the whole key again"
        if "sig=" in key.reveal():
            mend = "A shared access signature belongs into STORAGE_SAS_TOKEN"
        raise settings.error(variable, "it is no account key: that would be base64", mend)
