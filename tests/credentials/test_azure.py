"""Azure: keys, signatures and connection strings, and who is asked for them."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

import pytest

from svstorage.credentials.azure_values import AccountKey, Sas
from svstorage.errors import CredentialsError, SettingsError
from tests.credentials.conftest import OTHER

KEY = "Y2FuYXJ5LWFjY291bnQta2V5LTAxMjM0NTY3ODk="
SIG = "canarysignature%2B%3D"
SAS = f"sv=2024-11-04&ss=b&srt=sco&sp=rl&se=2099-01-01T00:00:00Z&sig={SIG}"
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"


def test_account_key(find_azure):
    found = find_azure(STORAGE_SECRET_KEY=KEY)
    assert found.resolver == "static"
    value = found.source.get()
    assert isinstance(value, AccountKey)
    assert (value.account, value.key.reveal(), value.expires_at) == ("acct", KEY, None)
    assert KEY not in repr(value)


@pytest.mark.parametrize("variable", ["STORAGE_SAS_TOKEN", "STORAGE_SECRET_KEY"])
@pytest.mark.parametrize("mark", ["", "?"])
def test_a_signature_in_either_variable(find_azure, variable, mark):
    found = find_azure(**{variable: mark + SAS})
    assert found.resolver == "sas"
    value = found.source.get()
    assert isinstance(value, Sas)
    assert value.token.reveal() == SAS
    assert value.expires_at == datetime(2099, 1, 1, tzinfo=timezone.utc)
    assert SIG not in repr(value) + repr(found.source)


@pytest.mark.parametrize("variable", ["STORAGE_SAS_TOKEN", "STORAGE_SECRET_KEY"])
def test_an_ended_signature_is_told_at_once(find_azure, variable):
    with pytest.raises(CredentialsError) as caught:
        find_azure(**{variable: SAS.replace("2099-01-01T00:00:00Z", "2024-05-06")})
    text = str(caught.value)
    assert f"{variable} (argument)" in text
    assert "ended at 2024-05-06 00:00:00 UTC" in text
    assert SIG not in text


def test_a_signature_that_ends_meanwhile(find_azure):
    import time

    ends = datetime.now(timezone.utc) + timedelta(seconds=1.5)
    written = ends.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    source = find_azure(STORAGE_SAS_TOKEN=SAS.replace("2099-01-01T00:00:00Z", written)).source
    source.get()
    time.sleep(1.6)
    with pytest.raises(CredentialsError, match="Make a new shared access signature"):
        source.get()


def test_a_signature_under_a_stored_policy_knows_no_end(find_azure):
    token = f"sv=2024-11-04&si=policy&sr=c&sig={SIG}"
    assert find_azure(STORAGE_SAS_TOKEN=token).source.get().expires_at is None


@pytest.mark.parametrize(
    "token",
    [
        "sv=2024-11-04&se=2099-01-01",
        f"se=2099-01-01&sig={SIG}",
        f"sv=2024-11-04&se=soon&sig={SIG}",
        f"sv=2024-11-04&sig={SIG} x",
        f"sv=2024-11-04&sig={SIG}#x",
        f"https://acct.blob.core.windows.net/?{SAS} ",
    ],
)
def test_what_is_no_signature(find_azure, token):
    if token.startswith("https"):
        token = token.replace("sv=", "v=")
    with pytest.raises(SettingsError, match="STORAGE_SAS_TOKEN") as caught:
        find_azure(STORAGE_SAS_TOKEN=token)
    assert SIG not in str(caught.value)


def test_signature_and_key(find_azure, caplog):
    values = {"STORAGE_SAS_TOKEN": SAS, "STORAGE_SECRET_KEY": KEY}
    assert find_azure(**values).resolver == "sas"
    assert "the signature is used" in caplog.text
    assert KEY not in caplog.text
    assert find_azure(**values, STORAGE_CREDENTIALS="static").resolver == "static"


def test_connection_string(find_azure, monkeypatch):
    monkeypatch.setenv(
        CONNECTION,
        f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={KEY};"
        "EndpointSuffix=core.windows.net",
    )
    found = find_azure()
    assert found.resolver == "connection-string"
    value = found.source.get()
    assert (value.account, value.key.reveal()) == ("acct", KEY)
    monkeypatch.setenv(
        CONNECTION,
        f"BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature={SAS}",
    )
    assert find_azure().source.get().token.reveal() == SAS


def test_connection_string_of_another_account(find_azure, monkeypatch):
    monkeypatch.setenv(CONNECTION, f"AccountName=other;AccountKey={KEY}")
    with pytest.raises(SettingsError, match="is for another account, 'other'") as caught:
        find_azure(STORAGE_CREDENTIALS="connection-string")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["nonsense", "AccountName=acct", "AccountName=acct;AccountKey=no base64"]
)
def test_what_is_no_connection_string(find_azure, monkeypatch, text):
    monkeypatch.setenv(CONNECTION, text)
    with pytest.raises(SettingsError, match=CONNECTION):
        find_azure()


def test_ambient_credentials_stay_at_home_for_another_endpoint(find_azure, monkeypatch):
    monkeypatch.setenv(CONNECTION, f"AccountName=acct;AccountKey={KEY}")
    monkeypatch.setenv("IDENTITY_ENDPOINT", OTHER)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "/nonexistent")
    with pytest.raises(SettingsError) as caught:
        find_azure(STORAGE_ENDPOINT=OTHER)
    for resolver in ("connection-string", "workload-identity", "managed-identity", "default"):
        assert f"\n  {resolver}: not asked: the endpoint is not the vendor's own" in str(
            caught.value
        )
    assert KEY not in str(caught.value)
    named = find_azure(STORAGE_ENDPOINT=OTHER, STORAGE_CREDENTIALS="connection-string")
    assert named.source.get().key.reveal() == KEY


def test_anonymous_only_by_name(find_azure):
    found = find_azure(STORAGE_CREDENTIALS="anonymous")
    assert (found.source, found.resolver) == (None, "anonymous")


def test_without_azure_identity(find_azure, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    monkeypatch.setenv("IDENTITY_ENDPOINT", OTHER)
    with pytest.raises(SettingsError) as caught:
        find_azure()
    text = str(caught.value)
    assert "\n  managed-identity: azure-identity is not installed" in text
    assert "\n  default: azure-identity is not installed (pip install 'svstorage[azure]')" in text
    with pytest.raises(SettingsError, match=r"pip install 'svstorage\[azure\]'"):
        find_azure(STORAGE_CREDENTIALS="default")
