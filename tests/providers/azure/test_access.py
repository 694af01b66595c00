"""Every way to be let in, over real servers, and every way to be kept out; no secret is shown."""

from __future__ import annotations

import base64
import os
import time
from urllib.parse import parse_qs, quote

import pytest

from svstorage.errors import (
    AccessRefused,
    CredentialsError,
    CredentialsExpired,
    NotSupported,
    SettingsError,
    StorageError,
)
from tests.providers.azure.conftest import Connect, works
from tests.servers.azure import AzureServer

pytestmark = pytest.mark.usefixtures("everything_logged")

WRONG_KEY = base64.b64encode(b"a canary that is no key of anything").decode()


def test_account_key(azurite: AzureServer, bucket: str, storage_of: Connect, everything_logged):
    everything_logged.append(azurite.key)
    storage = storage_of(azurite)
    assert storage.resolver == "static"
    works(storage, bucket)
    assert bucket in storage.buckets()


@pytest.mark.parametrize("variable", ["sas_token", "secret_key"])
@pytest.mark.parametrize("mark", ["", "?"])
def test_signature(
    azurite: AzureServer, bucket: str, storage_of: Connect, variable, mark, everything_logged
):
    token = azurite.sas()
    assert token.startswith(("sv=", "se=", "st="))
    parts = sorted(token.split("&"), key=lambda part: not part.startswith("sv="))
    token = "&".join(parts)
    signature = parse_qs(token)["sig"][0]
    everything_logged += [signature, quote(signature, safe="")]
    storage = storage_of(azurite, **{"secret_key": None, variable: mark + token})
    assert storage.resolver == "sas"
    works(storage, bucket)
    with pytest.raises(NotSupported, match="not a shared access signature"):
        storage.store.presign(bucket, "o", expires=60)


def test_connection_string(azurite, bucket, storage_of, monkeypatch, everything_logged):
    everything_logged.append(azurite.key)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    with pytest.raises(SettingsError, match="not asked: the endpoint is not the vendor's own"):
        storage_of(azurite, secret_key=None)
    works(storage_of(azurite, secret_key=None, credentials="connection-string"), bucket)


@pytest.fixture
def identity(imds, azurite_tls, monkeypatch, everything_logged):
    """This machine is an Azure virtual machine whose identity Azurite takes."""
    pytest.importorskip("azure.identity")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.endpoint)
    issued: list[str] = []

    def issue() -> str:
        issued.append(azurite_tls.bearer_token())
        everything_logged.append(issued[-1])
        return issued[-1]

    imds.azure_token = issue
    return imds


def test_managed_identity(azurite_tls: AzureServer, tls_bucket, storage_of: Connect, identity):
    storage = storage_of(azurite_tls, secret_key=None, credentials="managed-identity")
    works(storage, tls_bucket)
    tokens = [asked for asked in identity.requests if asked.status == 200]
    assert len(tokens) <= 2, "store, obstore and adlfs share one token"


def test_an_identity_is_not_asked_for_an_endpoint_that_is_not_the_vendors(
    azurite_tls: AzureServer, storage_of: Connect, identity, monkeypatch
):
    monkeypatch.setenv("IDENTITY_ENDPOINT", identity.endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    monkeypatch.setenv("AZURE_STORAGE_KEY", azurite_tls.key)
    with pytest.raises(SettingsError, match="no credentials were found"):
        storage_of(azurite_tls, secret_key=None)
    assert identity.requests == []


def test_a_token_that_has_ended_is_renewed_once(
    azurite_tls: AzureServer, tls_bucket, storage_of: Connect, identity
):
    """The first token ends before its time was up: the request is sent again with a new one."""
    tokens = iter([azurite_tls.bearer_token(seconds=-5), azurite_tls.bearer_token()])
    identity.azure_token = tokens.__next__
    storage = storage_of(azurite_tls, secret_key=None, credentials="managed-identity")
    storage.store.put(tls_bucket, "o", b"bytes", size=5)
    identity.azure_token = lambda: azurite_tls.bearer_token(seconds=-5)
    storage = storage_of(azurite_tls, secret_key=None, credentials="managed-identity")
    with pytest.raises(CredentialsExpired, match="have expired"):
        storage.store.put(tls_bucket, "o", b"bytes", size=5)


def test_a_bearer_token_never_crosses_a_network_in_clear(azurite, storage_of, identity):
    storage = storage_of(azurite, secret_key=None, credentials="managed-identity")
    with pytest.raises(AccessRefused, match="over TLS only"):
        storage.store.list_buckets()


def test_presigned_with_an_identity(azurite_tls, tls_bucket, storage_of, identity):
    """Azurite has no delegation keys: what it says is passed on, and no token with it."""
    storage = storage_of(azurite_tls, secret_key=None, credentials="managed-identity")
    with pytest.raises(StorageError, match="get a user delegation key"):
        storage.store.presign(tls_bucket, "o", expires=60)


# Kept out


def refused(attempt, kind: type[Exception], secret: str) -> str:
    with pytest.raises(kind) as told:
        attempt()
    error: BaseException | None = told.value
    while error is not None:  # what a traceback would show
        for form in (secret, quote(secret, safe="")):
            assert form not in str(error)
            assert form not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return str(told.value)


def test_a_wrong_key(azurite, bucket, storage_of, everything_logged):
    everything_logged.append(WRONG_KEY)
    storage = storage_of(azurite, secret_key=WRONG_KEY)
    told = refused(storage.store.list_buckets, AccessRefused, WRONG_KEY)
    assert "403 AuthorizationFailure" in told or "403 AuthenticationFailed" in told
    for attempt in (
        lambda: storage.store.put(bucket, "o", b"x", size=1),
        lambda: storage.store.head(bucket, "o"),
        lambda: list(storage.store.list(bucket)),
    ):
        refused(attempt, AccessRefused, WRONG_KEY)


def test_what_is_no_key(azurite, storage_of):
    with pytest.raises(SettingsError, match="neither an account key") as told:
        storage_of(azurite, secret_key="canary, no base64")
    assert "canary" not in str(told.value)


def test_a_signature_that_may_only_read(azurite, bucket, storage_of):
    token = azurite.sas(permissions="rl")
    storage = storage_of(azurite, secret_key=None, sas_token=token)
    azurite.client().get_blob_client(bucket, "o").upload_blob(b"bytes")
    assert [row.key for row in storage.store.list(bucket)] == ["o"]
    signature = parse_qs(token)["sig"][0]
    for attempt in (
        lambda: storage.store.put(bucket, "o", b"x", size=1),
        lambda: storage.store.delete(bucket, "o"),
        lambda: storage.store.create_bucket("new"),
    ):
        refused(attempt, AccessRefused, signature)
    (outcome,) = dict(storage.store.delete_many(bucket, ["o"])).values()
    assert isinstance(outcome, AccessRefused)
    with storage.store.read(bucket, "o") as reader:
        assert reader.read() == b"bytes"


def test_tags_that_may_not_be_read_do_not_hide_the_object(azurite, bucket, storage_of):
    """A signature to read and list has no permission for tags ("t")."""
    azurite.client().get_blob_client(bucket, "o").upload_blob(b"bytes", tags={"a": "b"})
    may = storage_of(azurite, secret_key=None, sas_token=azurite.sas(permissions="rlt"))
    assert may.store.head(bucket, "o").attributes.tags == {"a": "b"}
    store = storage_of(azurite, secret_key=None, sas_token=azurite.sas(permissions="rl")).store
    info = store.head(bucket, "o")
    assert (info.entry.size, info.attributes.tags) == (5, None)


def test_a_forged_signature(azurite, bucket, storage_of, everything_logged):
    token = azurite.sas()
    bad = base64.b64encode(b"a canary in place of a signature").decode()
    parts = [part for part in token.split("&") if not part.startswith("sig=")]
    forged = "&".join([*parts, f"sig={quote(bad, safe='')}"])
    storage = storage_of(azurite, secret_key=None, sas_token=forged)
    everything_logged.append(quote(bad, safe=""))
    refused(lambda: storage.store.put(bucket, "o", b"x", size=1), AccessRefused, bad)


def test_a_signature_that_ends_while_it_is_used(azurite, bucket, storage_of):
    storage = storage_of(azurite, secret_key=None, sas_token=azurite.sas(hours=1.5 / 3600))
    storage.store.put(bucket, "o", b"x", size=1)
    time.sleep(2.1)  # SAS times are in whole seconds
    with pytest.raises((CredentialsError, CredentialsExpired), match=r"Make a new|have expired"):
        storage.store.put(bucket, "o", b"x", size=1)


def test_without_credentials(azurite, bucket, storage_of):
    storage = storage_of(azurite, secret_key=None, credentials="anonymous")
    with pytest.raises(StorageError):
        list(storage.store.list(bucket))
    azurite.client().get_container_client(bucket).set_container_access_policy(
        signed_identifiers={}, public_access="container"
    )
    azurite.client().get_blob_client(bucket, "o").upload_blob(b"for all")
    assert [row.key for row in storage.store.list(bucket)] == ["o"]
    with storage.store.read(bucket, "o") as reader:
        assert reader.read() == b"for all"


def test_the_other_account_is_another_storage(azurite, bucket, storage_of):
    one, two = storage_of(azurite), storage_of(azurite.second_account())
    assert one.store.identity != two.store.identity
    assert bucket not in two.buckets()
    with pytest.raises(SettingsError, match="is not the one that STORAGE_ENDPOINT names"):
        storage_of(azurite, access_key="secondaccount")


def test_the_environments_own_variables_are_not_used(azurite, storage_of, monkeypatch):
    other = azurite.second_account()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", other.account)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", other.key)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", other.sas())
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", other.connection_string)
    fs = storage_of(azurite, secret_key=WRONG_KEY).provider_fs()
    with pytest.raises(Exception, match=r"(?i)auth|permission|refused") as told:
        fs.ls("")
    assert WRONG_KEY not in str(told.value)
    assert (fs.account_name, fs.sas_token, fs.connection_string) == (azurite.account, None, None)


def test_a_proxy_of_the_environment_is_not_used(azurite, bucket, storage_of, monkeypatch):
    with monkeypatch.context() as environment:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            environment.setenv(name, "http://127.0.0.1:9")
        works(storage_of(azurite), bucket)


def test_nothing_public_shows_a_secret(azurite, bucket, storage_of):
    for changes in ({}, {"secret_key": None, "sas_token": azurite.sas()}):
        storage = storage_of(azurite, **changes)
        storage.store.native(bucket)
        fs = storage.provider_fs()
        secret = parse_qs(changes["sas_token"])["sig"][0] if changes else azurite.key
        objects = (
            storage, storage.store, storage.config, storage.credentials, storage.store.client,
            storage.credentials.get(), fs, storage.store.native(bucket),
        )  # fmt: skip
        for shown in objects:
            assert secret not in repr(shown)
            assert quote(secret, safe="") not in repr(shown)
        for leak in (fs.to_json, fs.to_dict):
            with pytest.raises(TypeError, match="holds credentials"):
                leak()
        import pickle

        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(fs)


def test_after_a_fork(azurite, bucket, storage_of):
    """A child has connections of its own: two processes never talk over one socket."""
    store = storage_of(azurite).store
    for key in ("a", "b"):
        store.put(bucket, key, key.encode() * 1000, size=1000)

    def reads(key: str) -> bool:
        for _ in range(60):
            with store.read(bucket, key) as reader:
                if reader.read() != key.encode() * 1000:
                    return False
        return True

    child = os.fork()
    if not child:
        ok = False
        try:
            ok = reads("a")
        finally:
            os._exit(0 if ok else 1)
    assert reads("b")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
