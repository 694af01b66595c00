"""The settings of the Azure provider: account, endpoint, key or signature."""

from __future__ import annotations

import pytest

from svstorage.errors import SettingsError
from svstorage.providers.azure.config import AzureConfig, parse
from svstorage.settings import Settings

KEY = "Y2FuYXJ5LWtleQ=="
SAS = "sv=2024-11-04&ss=b&srt=sco&sp=rl&se=2099-01-01T00:00:00Z&sig=canary%3D"


def config(**variables: str) -> AzureConfig:
    named = {f"STORAGE_{name.upper()}": value for name, value in variables.items()}
    return parse(Settings.load(overrides={"STORAGE_PROVIDER": "azure", **named}, environ={}))


@pytest.mark.parametrize(
    ("variables", "account", "url", "vendors"),
    [
        ({"access_key": "acct"}, "acct", "https://acct.blob.core.windows.net", True),
        ({"access_key": " Acct "}, "acct", "https://acct.blob.core.windows.net", True),
        ({"endpoint": "acct.blob.core.windows.net"}, "acct", "https://acct.blob.core.windows.net",
         True),
        ({"endpoint": "https://acct.blob.core.chinacloudapi.cn/"}, "acct",
         "https://acct.blob.core.chinacloudapi.cn", True),
        ({"endpoint": "https://acct.z13.blob.storage.azure.net"}, "acct",
         "https://acct.z13.blob.storage.azure.net", True),
        ({"endpoint": "https://acct-secondary.blob.core.windows.net"}, "acct",
         "https://acct-secondary.blob.core.windows.net", True),
        ({"endpoint": "http://127.0.0.1:10000/acct"}, "acct", "http://127.0.0.1:10000/acct", False),
        ({"endpoint": "127.0.0.1:10000", "access_key": "acct"}, "acct",
         "http://127.0.0.1:10000/acct", False),
        ({"endpoint": "azurite:10000", "access_key": "acct"}, "acct", "http://azurite:10000/acct",
         False),
        ({"endpoint": "https://blobs.example", "access_key": "acct"}, "acct",
         "https://blobs.example", False),
        ({"endpoint": "https://acct.blob.core.windows.net.evil.example", "access_key": "acct"},
         "acct", "https://acct.blob.core.windows.net.evil.example", False),
        ({"endpoint": "https://evil.example/acct.blob.core.windows.net",
          "access_key": "acct.blob.core.windows.net"}, "acct.blob.core.windows.net",
         "https://evil.example/acct.blob.core.windows.net", False),
    ],
)  # fmt: skip
def test_accounts_and_endpoints(variables, account, url, vendors):
    found = config(**variables)
    assert (found.account_name, found.endpoint.url) == (account, url)
    assert found.endpoint_is_vendors is vendors
    assert found.location == url


@pytest.mark.parametrize(
    ("variables", "named", "why"),
    [
        ({}, "ACCESS_KEY", "it is not set"),
        ({"endpoint": "https://blobs.example"}, "ACCESS_KEY", "it is not set"),
        ({"access_key": "a/b"}, "ACCESS_KEY", "not the name of a storage account"),
        ({"access_key": "a b"}, "ACCESS_KEY", "not the name of a storage account"),
        ({"access_key": "other", "endpoint": "https://acct.blob.core.windows.net"}, "ACCESS_KEY",
         "is not the one that STORAGE_ENDPOINT names (acct)"),
        ({"access_key": "other", "endpoint": "http://127.0.0.1:1/acct"}, "ACCESS_KEY",
         "is not the one"),
        ({"endpoint": "http://127.0.0.1:1/acct/container"}, "ENDPOINT", "more than the account"),
        ({"endpoint": "https://acct.blob.core.windows.net/container"}, "ENDPOINT", "has a path"),
        ({"access_key": "acct", "secret_key": "canary no base64"}, "SECRET_KEY", "neither"),
        ({"access_key": "acct", "secret_key": SAS, "sas_token": SAS + "x"}, "SECRET_KEY",
         "is another one"),
    ],
)  # fmt: skip
def test_refusals(variables, named, why):
    with pytest.raises(SettingsError) as told:
        config(**variables)
    assert told.value.variable == f"STORAGE_{named}"
    assert why in str(told.value)
    assert "canary" not in str(told.value)


@pytest.mark.parametrize("variable", ["secret_key", "sas_token"])
@pytest.mark.parametrize("mark", ["", "?", " ?"])
def test_a_signature_in_either_variable(variable, mark):
    found = config(access_key="acct", **{variable: mark + SAS})
    assert found.account_key is None
    assert found.sas_token is not None
    assert found.sas_token.reveal() == SAS
    assert "canary" not in repr(found)


def test_a_signature_and_its_copy():
    found = config(access_key="acct", secret_key="?" + SAS, sas_token=SAS)
    assert found.sas_token is not None


def test_a_key_and_a_signature():
    found = config(access_key="acct", secret_key=f" {KEY}\n", sas_token=SAS)
    assert found.account_key is not None
    assert found.account_key.reveal() == KEY
    assert found.sas_token is not None
