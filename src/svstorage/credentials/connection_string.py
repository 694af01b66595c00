"""The account key or signature in a connection string of Azure Storage.

"Configure Azure Storage connection strings" (Azure documentation). The string's own endpoint is
not used: where requests go is for the settings to say.
"""

from __future__ import annotations

from typing import Any

from svstorage.credentials import azure_sas
from svstorage.credentials.azure_config import AzureAccess
from svstorage.credentials.azure_values import AccountKey, is_account_key
from svstorage.credentials.base import Passed, StaticCredentials
from svstorage.settings import Secret, Settings

NAME = "connection-string"
VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"


def resolve(config: AzureAccess, settings: Settings) -> StaticCredentials[Any] | Passed:
    """What the string holds, or `Passed` where there is none or it is another account's."""
    secret = settings.secret(VARIABLE)
    if not secret:
        return Passed(f"{VARIABLE} is not set")
    fields = _fields(secret, settings)
    account = fields.get("accountname", "").lower()
    if account and account != config.account_name:
        return Passed(f"{VARIABLE} is for another account, '{account}'")
    signature = fields.get("sharedaccesssignature")
    if signature:
        return azure_sas.source(Secret(signature), VARIABLE, settings, NAME)
    key = Secret(fields.get("accountkey", ""))
    if not is_account_key(key):
        raise settings.error(
            VARIABLE,
            "it has neither an AccountKey, which is base64, nor a SharedAccessSignature",
            "Copy the whole connection string",
        )
    return StaticCredentials(
        NAME,
        AccountKey(config.account_name, key),
        mend=f"Set {VARIABLE} to the account's new one",
    )


def _fields(secret: Secret, settings: Settings) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in secret.reveal().split(";"):
        name, equals, value = part.strip().partition("=")
        if not part.strip():
            continue
        if not equals or not name.isalpha():
            raise settings.error(
                VARIABLE, "it is no connection string", "Write Name=value;Name=value"
            )
        fields[name.lower()] = value
    return fields
