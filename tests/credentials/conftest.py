"""What the tests of credentials share: registry, configs, and a server that misbehaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from svstorage.credentials import azure, s3
from svstorage.credentials.resolve import Attempt, find_credentials
from svstorage.plugins import Registry
from svstorage.providers import azure as azure_provider
from svstorage.providers import s3 as s3_provider
from svstorage.settings import Settings

FAKE_KEY = "AKIDEXAMPLE"
CANARY = "canary+Secret/0123456789=="
AWS = "s3.eu-central-1.amazonaws.com"
OTHER = "http://127.0.0.1:9"


@pytest.fixture
def registry() -> Registry:
    found = Registry()
    for provider in (s3_provider, azure_provider):
        provider.svstorage_register_providers(registry=found)
    s3.svstorage_register_credential_resolvers(registry=found)
    azure.svstorage_register_credential_resolvers(registry=found)
    return found


@dataclass
class Found:
    """What `find_credentials` answered."""

    source: Any
    resolver: str | None
    trace: list[Attempt]

    def outcome(self, resolver: str) -> str:
        return next(a.outcome for a in self.trace if a.resolver == resolver)


@pytest.fixture
def find_s3(registry: Registry) -> Callable[..., Found]:
    """``find_s3(STORAGE_...=...)``: the resolvers over the S3 provider's own config parser."""
    from svstorage.providers.s3.config import parse

    def find(**values: str) -> Found:
        settings = Settings.load(overrides={"STORAGE_PROVIDER": "minio", **values})
        trace: list[Attempt] = []
        source, name = find_credentials("minio", parse(settings), settings, registry, trace)
        return Found(source, name, trace)

    return find


@pytest.fixture
def find_azure(registry: Registry) -> Callable[..., Found]:
    """``find_azure(STORAGE_...=...)``: the same for Azure; the account is ``acct``."""
    from svstorage.providers.azure.config import parse

    def find(**values: str) -> Found:
        values = {"STORAGE_ACCESS_KEY": "acct", **values}
        settings = Settings.load(overrides={"STORAGE_PROVIDER": "azure", **values})
        trace: list[Attempt] = []
        source, name = find_credentials("azure", parse(settings), settings, registry, trace)
        return Found(source, name, trace)

    return find


@dataclass
class Odd:
    """A server that answers what the test says: no real one can be made to misbehave so."""

    url: str = ""
    answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: None
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def odd_server() -> Iterator[Callable[[], Odd]]:
    """``odd_server()`` starts one more server of canned answers."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start() -> Odd:
        odd = Odd()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                return

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                odd.seen.append((self.command, self.path, dict(self.headers.items()), body))
                try:
                    odd.answer(self)
                except OSError:
                    self.close_connection = True

            do_PUT = do_POST = do_GET

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        odd.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        running.append((server, thread))
        return odd

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(5)
