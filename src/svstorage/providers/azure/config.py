"""The settings of the Azure provider, typed and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from svstorage.credentials.azure_values import is_account_key
from svstorage.providers.endpoint import Endpoint, ca_bundle, parse_endpoint, proxy
from svstorage.settings import Secret, Settings

ACCOUNT = "STORAGE_ACCESS_KEY"
KEY = "STORAGE_SECRET_KEY"
SAS = "STORAGE_SAS_TOKEN"

# Public cloud, China, US Government, the former Germany; and the endpoints of accounts with DNS
# zones ("Storage account endpoints" and "Azure Government/China developer guides").
_VENDOR = re.compile(
    r"(?P<account>[a-z0-9]{3,24})(?:-secondary)?"
    r"\.(?:blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de)"
    r"|z\d\d\.blob\.storage\.azure\.net)\Z"
)
# 3 to 24 lower-case letters and digits ("Storage account overview"); other servers are less
# strict, so that only what would break a URL or a header is refused.
_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class AzureConfig:
    """One storage account. ``endpoint`` includes the account's path where there is one."""

    account_name: str
    endpoint: Endpoint
    account_key: Secret | None = None
    sas_token: Secret | None = None
    ca_bundle: Path | None = None
    proxy: Secret | None = None

    @property
    def endpoint_is_vendors(self) -> bool:
        return self.endpoint.tls and _VENDOR.match(self.endpoint.host) is not None

    @property
    def location(self) -> str:
        return self.endpoint.url


def parse(settings: Settings) -> AzureConfig:
    """Settings to config. Raises `SettingsError`."""
    account = settings.text(ACCOUNT)
    if account is not None:
        account = account.strip()
        if not _ACCOUNT_NAME.match(account):
            raise settings.error(
                ACCOUNT,
                "it is not the name of a storage account",
                "For Azure this variable holds the account's name, STORAGE_SECRET_KEY its key",
            )
        account = account.lower()
    default = f"https://{account}.blob.core.windows.net" if account else None
    if default is None and "STORAGE_ENDPOINT" not in settings:
        raise settings.error(ACCOUNT, "it is not set", "Set it to the name of the storage account")
    endpoint = parse_endpoint(settings, default)
    account, endpoint = _with_account(settings, account, endpoint)
    key, sas = _secrets(settings)
    return AzureConfig(account, endpoint, key, sas, ca_bundle(settings), proxy(settings, endpoint))


def _with_account(
    settings: Settings, account: str | None, endpoint: Endpoint
) -> tuple[str, Endpoint]:
    """The account's name, and the endpoint with it: in the host name, or in the path.

    Addresses and names without a dot (Azurite, on this machine or in a compose network) have it
    in the path.
    """
    vendor = _VENDOR.match(endpoint.host)
    in_path = endpoint.path.strip("/") or None
    if in_path and "/" in in_path:
        raise settings.error(
            "STORAGE_ENDPOINT",
            "the path holds more than the account's name",
            "Leave container and folders out",
        )
    if vendor and in_path:
        raise settings.error("STORAGE_ENDPOINT", "it has a path", "Leave container and folders out")
    named = vendor["account"] if vendor else in_path
    if account is None:
        if named is None:
            raise settings.error(
                ACCOUNT, "it is not set", "Set it to the name of the storage account"
            )
        account = named
    elif named is not None and named.lower() != account:
        raise settings.error(
            ACCOUNT,
            f"the account {account} is not the one that STORAGE_ENDPOINT names ({named})",
            "Correct one of the two",
        )
    host = endpoint.host
    if in_path is None and (
        endpoint.is_address or "." not in host or host == "host.docker.internal"
    ):
        endpoint = Endpoint(endpoint.scheme, host, endpoint.port, f"/{account}")
    return account, endpoint


def _secrets(settings: Settings) -> tuple[Secret | None, Secret | None]:
    """Account key and signature. A key that is a signature is one (contract section 1)."""
    key, sas = settings.secret(KEY), settings.secret(SAS)
    if key is not None and _is_signature(key.reveal().strip()):
        if sas is not None and _bare(sas) != _bare(key):
            raise settings.error(
                KEY, f"it is a shared access signature, and {SAS} is another one",
                "Remove one of the two",
            )  # fmt: skip
        key, sas = None, key
    if key is not None:
        key = Secret(key.reveal().strip())
        if not is_account_key(key):
            raise settings.error(
                KEY,
                "it is neither an account key, which is base64, nor a shared access signature",
                "Copy the key again from the account's page",
            )
    return key, None if sas is None else _bare(sas)


def _is_signature(value: str) -> bool:
    """Begins with ``sv=``, as the portal writes it; the SDKs' own begin with another field."""
    return value.startswith(("?sv=", "sv=")) or ("&" in value and "sig=" in value)


def _bare(sas: Secret) -> Secret:
    return Secret(sas.reveal().strip().removeprefix("?"))
