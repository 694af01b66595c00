"""The way to the service: TLS, proxies, redirects, and nobody there."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from svstorage.errors import (
    ConnectionFailed,
    ServiceError,
    SettingsError,
    StorageError,
)
from svstorage.providers.azure import filesystem
from tests.providers.azure.conftest import works
from tests.servers.certs import make_certificates
from tests.servers.faultproxy import redirect

pytestmark = pytest.mark.usefixtures("everything_logged")


def test_a_private_authority(azurite_tls, tls_bucket, storage_of, monkeypatch):
    monkeypatch.setattr(filesystem, "RETRIES", 0)
    works(storage_of(azurite_tls), tls_bucket)
    storage = storage_of(azurite_tls, ca_bundle=None)
    with pytest.raises(ConnectionFailed, match="STORAGE_CA_BUNDLE"):
        storage.store.list_buckets()
    with pytest.raises(Exception, match=r"(?i)certificate"):
        storage.provider_fs().ls("")


def test_the_certificate_of_another_authority(azurite_tls, storage_of, tmp_path: Path):
    other = make_certificates(tmp_path)
    storage = storage_of(azurite_tls, ca_bundle=str(other.authority))
    with pytest.raises(ConnectionFailed, match="TLS failed"):
        storage.store.list_buckets()


def test_the_certificate_of_another_host(azurite_tls, storage_of):
    """The certificate is for 127.0.0.1 and localhost."""
    endpoint = azurite_tls.endpoint.replace("127.0.0.1", "127.0.0.2")
    storage = storage_of(azurite_tls, endpoint=endpoint)
    with pytest.raises(ConnectionFailed, match=r"TLS failed|refused"):
        storage.store.list_buckets()
    endpoint = azurite_tls.endpoint.replace("127.0.0.1", "ip6-localhost.localhost")
    storage = storage_of(azurite_tls, endpoint=endpoint)
    with pytest.raises(ConnectionFailed):
        storage.store.list_buckets()


def test_a_bundle_that_is_no_bundle(azurite_tls, storage_of, tmp_path: Path):
    with pytest.raises(SettingsError, match="STORAGE_CA_BUNDLE: there is no such file"):
        storage_of(azurite_tls, ca_bundle=str(tmp_path / "missing.pem"))
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    with pytest.raises(SettingsError, match="STORAGE_CA_BUNDLE: the file holds no certificate"):
        storage_of(azurite_tls, ca_bundle=str(bad))
    bad.write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingsError, match="STORAGE_CA_BUNDLE: its certificates cannot be read"):
        storage_of(azurite_tls, ca_bundle=str(bad)).store.list_buckets()


class Tunnel(socketserver.BaseRequestHandler):
    """An HTTP proxy for CONNECT, with a password."""

    def handle(self) -> None:
        file = self.request.makefile("rb")
        line = file.readline().decode()
        headers = [h.decode().strip() for h in iter(file.readline, b"\r\n")]
        self.server.seen.append((line.split()[:2], headers))  # type: ignore[attr-defined]
        host, port = line.split()[1].split(":")
        with socket.create_connection((host, int(port))) as there:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self.pump, args=(there, self.request), daemon=True)
            back.start()
            self.pump(self.request, there)

    @staticmethod
    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)


@pytest.fixture
def tunnel() -> Iterator[socketserver.ThreadingTCPServer]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
    server.daemon_threads = True
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_the_proxy_that_the_settings_name(
    azurite_tls, tls_bucket, storage_of, tunnel, everything_logged
):
    secret = "canary-proxy-password"
    everything_logged.append(secret)
    url = f"http://user:{secret}@127.0.0.1:{tunnel.server_address[1]}"
    storage = storage_of(azurite_tls, proxy=url)
    assert secret not in repr(storage.config)
    works(storage, tls_bucket)
    hosts = {tuple(line) for line, _ in tunnel.seen}
    assert hosts == {("CONNECT", f"127.0.0.1:{azurite_tls.port}")}
    assert len(tunnel.seen) >= 3, "of the store, of obstore and of adlfs"
    assert all(any("proxy-authorization" in h.lower() for h in heads) for _, heads in tunnel.seen)


def test_no_proxy_for_plain_http(azurite, storage_of):
    with pytest.raises(SettingsError, match="STORAGE_PROXY: only TLS connections"):
        storage_of(azurite, proxy="http://127.0.0.1:3128")


def test_http_on_a_tls_port_and_the_reverse(azurite, azurite_tls, storage_of):
    storage = storage_of(azurite_tls, endpoint=azurite_tls.endpoint.replace("https", "http"))
    with pytest.raises((ServiceError, ConnectionFailed), match="STORAGE_USE_SSL=true"):
        storage.store.list_buckets()
    storage = storage_of(azurite, endpoint=azurite.endpoint.replace("http", "https"))
    with pytest.raises(ConnectionFailed, match="STORAGE_USE_SSL=false"):
        storage.store.list_buckets()


def test_nobody_there(azurite, storage_of):
    base = urlsplit(azurite.endpoint)
    for host in ("127.0.0.1:9", f"no-such-host.localhost.invalid:{base.port}"):
        storage = storage_of(azurite, endpoint=f"https://{host}{base.path}")
        with pytest.raises(ConnectionFailed) as told:
            storage.store.list_buckets()
        assert told.value.exit_code == 3


@pytest.mark.faults
@pytest.mark.parametrize("code", [301, 307, 308])
def test_redirects_are_not_followed(azurite, bucket, storage_of, fault_proxy, code):
    other = fault_proxy(azurite.endpoint.removesuffix(f"/{azurite.account}"))
    proxy = fault_proxy(azurite.endpoint.removesuffix(f"/{azurite.account}"))
    proxy.rules.append(redirect(other.endpoint + "{target}", code=code))
    storage = storage_of(azurite.at(proxy.endpoint), secret_key=None, sas_token=azurite.sas())
    for attempt in (
        lambda: storage.store.put(bucket, "o", b"x", size=1),
        lambda: storage.store.read(bucket, "o"),
        storage.store.list_buckets,
    ):
        with pytest.raises(StorageError, match=str(code)):
            attempt()
    fs = storage.provider_fs()
    with pytest.raises(Exception, match="Injected"):
        fs.cat(f"{bucket}/o")
    assert other.requests == []
