"""Azure Blob: Azurite over HTTP with keys, and over TLS with bearer tokens too."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.servers.certs import make_certificates
from tests.servers.process import clean_environment, free_port, listens, running
from tests.servers.s3 import needs

# The account that every emulator of this service has; its key is published by the vendor.
DEV_ACCOUNT = "devstoreaccount1"
DEV_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# One of our own, to have two accounts to copy between.
OTHER_ACCOUNT = "secondaccount"
OTHER_KEY = base64.b64encode(hashlib.sha512(b"svstorage tests: second account").digest()).decode()

_BIN = Path(__file__).parent / "node" / "node_modules" / ".bin"


@dataclass(frozen=True, slots=True)
class AzureServer:
    """One account of a running Azurite. ``endpoint`` includes the account, as its URLs do."""

    endpoint: str
    account: str = DEV_ACCOUNT
    key: str = DEV_KEY
    ca_bundle: Path | None = None
    """PEM file to trust, where the endpoint is https."""

    @property
    def access_key(self) -> str:
        return self.account

    @property
    def secret_key(self) -> str:
        return self.key

    @property
    def port(self) -> int:
        port = urlsplit(self.endpoint).port
        assert port is not None
        return port

    @property
    def connection_string(self) -> str:
        scheme = urlsplit(self.endpoint).scheme
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={self.account};"
            f"AccountKey={self.key};BlobEndpoint={self.endpoint};"
        )

    def env(self) -> dict[str, str]:
        """The variables of a .env file that selects this server by account key."""
        variables = {
            "STORAGE_PROVIDER": "azure",
            "STORAGE_ENDPOINT": self.endpoint,
            "STORAGE_ACCESS_KEY": self.account,
            "STORAGE_SECRET_KEY": self.key,
        }
        if self.ca_bundle:
            variables["STORAGE_CA_BUNDLE"] = str(self.ca_bundle)
        return variables

    def write_env(self, path: Path, **more: str) -> Path:
        """Writes a .env file of `env` and ``more`` and returns its path."""
        path.write_text("".join(f"{k}={v}\n" for k, v in {**self.env(), **more}.items()))
        path.chmod(0o600)
        return path

    def at(self, base: str) -> AzureServer:
        """The same account reached by another ``scheme://host:port``, such as a fault proxy's."""
        there, path = urlsplit(base), urlsplit(self.endpoint).path
        return replace(self, endpoint=urlunsplit((there.scheme, there.netloc, path, "", "")))

    def second_account(self) -> AzureServer:
        """The other account of the same server."""
        base = self.endpoint.removesuffix(f"/{self.account}")
        return replace(
            self, endpoint=f"{base}/{OTHER_ACCOUNT}", account=OTHER_ACCOUNT, key=OTHER_KEY
        )

    def client(self, **options: Any) -> Any:
        """A plain BlobServiceClient: the oracle that says what the service really holds."""
        from azure.storage.blob import BlobServiceClient

        if self.ca_bundle:
            options.setdefault("connection_verify", str(self.ca_bundle))
        options.setdefault("retry_total", 2)
        credential = {"account_name": self.account, "account_key": self.key}
        return BlobServiceClient(self.endpoint, credential=credential, **options)

    def new_bucket(self, suffix: str = "") -> str:
        """Makes a container with a name that no other test uses."""
        name = f"t-{uuid.uuid4().hex[:12]}{suffix}"
        self.client().create_container(name)
        return name

    def drop_bucket(self, name: str) -> None:
        """Removes a container with all it holds."""
        from azure.core.exceptions import AzureError

        try:
            self.client().delete_container(name)
        except AzureError:
            return  # the test removed it

    def keys(self, bucket: str) -> dict[str, int]:
        """All keys of a container with their sizes, as the service lists them."""
        container = self.client().get_container_client(bucket)
        return {blob.name: blob.size for blob in container.list_blobs()}

    def sas(self, *, hours: float = 1, permissions: str = "rwdlacup", **more: Any) -> str:
        """An account SAS for blobs, without a leading ``?``."""
        from azure.storage.blob import (
            AccountSasPermissions,
            ResourceTypes,
            generate_account_sas,
        )

        now = datetime.datetime.now(datetime.timezone.utc)
        return generate_account_sas(
            self.account,
            self.key,
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions.from_string(permissions),
            expiry=now + datetime.timedelta(hours=hours),
            start=now - datetime.timedelta(minutes=5),
            **more,
        )

    def bearer_token(self, *, seconds: float = 3600) -> str:
        """A JWT as the identity service would issue it.

        Azurite in ``--oauth basic`` mode checks audience, issuer, start and expiry of the token,
        and not its signature, so this one is signed with a throw-away key.
        """
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": int(now + seconds),
        }
        head, body = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        )
        signature = hmac.new(b"throw-away", head + b"." + body, hashlib.sha256).digest()
        tail = base64.urlsafe_b64encode(signature).rstrip(b"=")
        return b".".join((head, body, tail)).decode()


def _azurite(folder: Path, port: int, *more: str) -> Any:
    program = _BIN / "azurite-blob"
    if not program.exists():
        pytest.skip("Azurite is not installed (run tests/setup.sh or ./dev test)")
    command = [
        needs("node"), str(program.resolve()),
        "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--location", str(folder / "data"),
        "--skipApiVersionCheck", "--disableTelemetry", "--silent",
        *more,
    ]  # fmt: skip
    accounts = f"{DEV_ACCOUNT}:{DEV_KEY};{OTHER_ACCOUNT}:{OTHER_KEY}"
    (folder / "data").mkdir()
    return running(
        command,
        folder=folder,
        ready=lambda: listens(port),
        env=clean_environment(folder, AZURITE_ACCOUNTS=accounts),
    )


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """Azurite over HTTP: the vendor's development account and a second one."""
    port = free_port()
    with _azurite(tmp_path_factory.mktemp("azurite"), port):
        yield AzureServer(f"http://127.0.0.1:{port}/{DEV_ACCOUNT}")


@pytest.fixture(scope="session")
def azurite_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """Azurite over TLS with a certificate of our own authority; takes bearer tokens too."""
    folder = tmp_path_factory.mktemp("azurite-tls")
    certs = make_certificates(folder)
    port = free_port()
    tls = ("--cert", str(certs.certificate), "--key", str(certs.key), "--oauth", "basic")
    with _azurite(folder, port, *tls):
        yield AzureServer(f"https://127.0.0.1:{port}/{DEV_ACCOUNT}", ca_bundle=certs.authority)
