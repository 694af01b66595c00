"""Tokens of identities, by azure-identity, in the hands of the libraries that use them.

The identity services are played by servers of ours on loopback, since they exist inside of
Azure only: the metadata service of a virtual machine by the ``imds`` fixture, that of App
Service here ("How to use managed identities for App Service", section "REST endpoint
reference"), and Microsoft Entra ID's token endpoint ("OAuth 2.0 client credentials flow",
federated credential) here over TLS. Azurite judges the tokens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from svstorage.credentials.azure_values import SCOPE, AsyncTokenCredential, Bearer, TokenCredential
from svstorage.errors import CredentialsError, SettingsError
from tests.credentials.conftest import OTHER, reply
from tests.servers.certs import make_certificates

pytest.importorskip("azure.identity")

NAMED = {"STORAGE_ENDPOINT": OTHER, "STORAGE_CREDENTIALS": "managed-identity"}
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "99999999-8888-7777-6666-555555555555"
JWT = "federated.jwt.canary"


@pytest.fixture
def vm(imds, monkeypatch):
    """This machine is an Azure virtual machine, as far as azure-identity can tell."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.endpoint)
    return imds


def test_a_virtual_machines_identity(find_azure, vm, caplog):
    caplog.set_level(logging.DEBUG)
    found = find_azure(**NAMED)
    assert vm.requests == [], "nothing is asked before the first request"
    bearer = found.source.get()
    assert bearer.token.reveal() == "testazuretoken"
    assert bearer.expires_at.timestamp() > time.time() + 80000
    assert "testazuretoken" not in repr(bearer)
    assert "testazuretoken" not in caplog.text
    query = parse_qs(urlsplit(vm.requests[-1].path).query)
    assert query["resource"] == ["https://storage.azure.com"]
    assert "client_id" not in query


def test_a_user_assigned_identity(find_azure, vm, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    find_azure(**NAMED).source.get()
    assert parse_qs(urlsplit(vm.requests[-1].path).query)["client_id"] == [CLIENT]


def test_a_hundred_threads_get_one_token_and_an_expired_one_is_fetched_anew(find_azure, vm):
    numbers = iter(range(100))
    vm.azure_token = lambda: f"token{next(numbers)}"
    source = find_azure(**NAMED).source
    with ThreadPoolExecutor(100) as pool:
        first = set(pool.map(lambda _: source.get().token.reveal(), range(100)))
    assert len(first) == 1
    asked = len(vm.requests)
    assert asked <= 2  # azure-identity may probe before it asks
    source.expired(source.get())
    assert source.get().token.reveal() not in first


def test_no_identity(find_azure, vm):
    vm.status = 400
    with pytest.raises(CredentialsError, match="no token by managed-identity") as caught:
        find_azure(**NAMED).source.get()
    assert "\n" not in str(caught.value)


def test_proxies_of_the_environment_are_not_used(find_azure, vm, odd_server, monkeypatch):
    proxy = odd_server()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert find_azure(**NAMED).source.get().token.reveal() == "testazuretoken"
    assert proxy.seen == []


@pytest.fixture
def app_service(odd_server, monkeypatch):
    odd = odd_server()

    def answer(handler):
        if handler.headers.get("X-IDENTITY-HEADER") != "identity-canary":
            return reply(handler, 401)
        body = {
            "access_token": "app-token",
            "expires_on": str(int(time.time()) + 3600),
            "resource": "https://storage.azure.com",
            "token_type": "Bearer",
        }
        return reply(handler, 200, json.dumps(body).encode(), Content_Type="application/json")

    odd.answer = answer
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{odd.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "identity-canary")
    return odd


def test_app_service_is_noticed(find_azure, app_service, caplog):
    caplog.set_level(logging.DEBUG)
    found = find_azure()  # the vendor's endpoint: ambient identities may be used
    assert found.resolver == "managed-identity"
    assert found.source.get().token.reveal() == "app-token"
    assert "api-version=2019-08-01" in app_service.seen[-1][1]
    assert "identity-canary" not in caplog.text
    assert "app-token" not in caplog.text


def test_the_default_chain(find_azure, app_service):
    found = find_azure(STORAGE_CREDENTIALS="default")
    assert app_service.seen == []
    assert found.source.get().token.reveal() == "app-token"


class Entra:
    """The token endpoint of Microsoft Entra ID for one tenant."""

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.url = ""
        self.refuse = False

    def handler(self) -> type[BaseHTTPRequestHandler]:
        entra = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format, *args):
                return

            def do_GET(self):
                base = f"{entra.url}/{TENANT}"
                body = {
                    "issuer": f"{base}/v2.0",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{base}/oauth2/v2.0/token",
                }
                reply(self, 200, json.dumps(body).encode(), Content_Type="application/json")

            def do_POST(self):
                sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
                entra.forms.append(parse_qs(sent))
                if entra.refuse:
                    body = {"error": "invalid_client", "error_description": "AADSTS700213: no"}
                    return reply(
                        self, 401, json.dumps(body).encode(), Content_Type="application/json"
                    )
                body = {"token_type": "Bearer", "expires_in": 3600, "access_token": "pod-token"}
                return reply(self, 200, json.dumps(body).encode(), Content_Type="application/json")

        return Handler


@pytest.fixture
def pod(tmp_path, monkeypatch):
    entra = Entra()
    certs = make_certificates(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), entra.handler())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.certificate, certs.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    entra.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    token = tmp_path / "federated"
    token.write_text(JWT)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certs.authority))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", entra.url)
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    yield entra, token
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_workload_identity(find_azure, pod, caplog):
    caplog.set_level(logging.DEBUG)
    entra, token = pod
    found = find_azure()
    assert found.resolver == "workload-identity"
    bearer = found.source.get()
    assert bearer.token.reveal() == "pod-token"
    token.write_text("second.jwt")
    found.source.expired(bearer)
    found.source.get()
    assert [form["client_assertion"] for form in entra.forms] == [[JWT], ["second.jwt"]]
    assert entra.forms[0]["scope"] == [SCOPE]
    assert entra.forms[0]["client_id"] == [CLIENT]
    assert JWT not in caplog.text
    assert "pod-token" not in caplog.text


def test_workload_identity_refused(find_azure, pod):
    pod[0].refuse = True
    with pytest.raises(CredentialsError, match="AADSTS700213") as caught:
        find_azure().source.get()
    assert JWT not in str(caught.value)


def test_workload_identity_in_half(find_azure, pod, monkeypatch):
    monkeypatch.delenv("AZURE_TENANT_ID")
    with pytest.raises(SettingsError, match="AZURE_TENANT_ID: it is not set"):
        find_azure()


def test_the_sync_and_the_async_library_share_one_source(find_azure, vm, azurite_tls):
    vm.azure_token = azurite_tls.bearer_token
    source = find_azure(**NAMED).source
    name = azurite_tls.new_bucket()

    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(
        azurite_tls.endpoint,
        credential=TokenCredential(source),
        connection_verify=str(azurite_tls.ca_bundle),
    ) as client:
        client.get_blob_client(name, "key").upload_blob(b"bytes")

    from azure.storage.blob.aio import BlobServiceClient as AsyncClient

    async def read() -> bytes:
        async with AsyncClient(
            azurite_tls.endpoint,
            credential=AsyncTokenCredential(source),
            connection_verify=str(azurite_tls.ca_bundle),
        ) as client:
            return await (await client.get_blob_client(name, "key").download_blob()).readall()

    assert asyncio.run(read()) == b"bytes"
    tokens = {a.path for a in vm.requests if "resource=" in a.path}
    assert len([a for a in vm.requests if a.status == 200]) <= 2, tokens
    azurite_tls.drop_bucket(name)


def test_azurite_refuses_a_token_that_has_ended(find_azure, vm, azurite_tls):
    """The counter-test: the pass above is because of the token."""
    from azure.core.exceptions import ClientAuthenticationError
    from azure.storage.blob import BlobServiceClient

    vm.azure_token = lambda: azurite_tls.bearer_token(seconds=-100)
    client = BlobServiceClient(
        azurite_tls.endpoint,
        credential=TokenCredential(find_azure(**NAMED).source),
        connection_verify=str(azurite_tls.ca_bundle),
        retry_total=0,
    )
    with client, pytest.raises(ClientAuthenticationError):
        list(client.list_containers())


def test_a_token_is_for_storage_only():
    class Source:
        name = "x"

        def get(self) -> Bearer:
            raise AssertionError("not asked")

        def expired(self, used: object) -> None:
            return

    with pytest.raises(ValueError, match=r"for https://storage\.azure\.com"):
        TokenCredential(Source()).get_token("https://management.azure.com/.default")


def test_both_forms_of_a_token():
    from svstorage.credentials.base import StaticCredentials
    from svstorage.settings import Secret

    ends = datetime(2099, 1, 1, tzinfo=timezone.utc)
    credential = TokenCredential(StaticCredentials("x", Bearer(Secret("t"), ends)))
    assert credential.get_token(SCOPE) == ("t", int(ends.timestamp()))
    info = credential.get_token_info(SCOPE)
    assert (info.token, info.expires_on) == ("t", int(ends.timestamp()))
