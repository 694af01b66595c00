"""Stores over the real servers, and a server of our own for answers that no real one gives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from svstorage.credentials.base import AwsCredentials, StaticCredentials
from svstorage.providers.s3 import S3Provider
from svstorage.providers.s3.config import S3Config
from svstorage.providers.s3.store import S3Store
from svstorage.settings import Secret, Settings
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY


def config_of(**variables: str) -> S3Config:
    """The config that these variables, without ``STORAGE_``, make."""
    named = {f"STORAGE_{name.upper()}": value for name, value in variables.items()}
    settings = Settings.load(overrides={"STORAGE_PROVIDER": "minio", **named}, environ={})
    return S3Provider().parse_config(settings)


def static(access_key: str = ACCESS_KEY, secret: str = SECRET_KEY, token: str | None = None):
    return StaticCredentials(
        "static", AwsCredentials(access_key, Secret(secret), Secret(token) if token else None)
    )


@pytest.fixture
def connect() -> Iterator[Callable[..., S3Store]]:
    """``connect(server)``: a store over a server of tests.servers.s3, or over an endpoint."""
    made: list[S3Store] = []

    def make(server: Any, credentials: Any = "of server", **variables: str) -> S3Store:
        endpoint = server if isinstance(server, str) else server.endpoint
        if credentials == "of server":
            plain = isinstance(server, str)
            credentials = static() if plain else static(server.access_key, server.secret_key)
        store = S3Store(config_of(endpoint=endpoint, **variables), credentials)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture(params=["rclone_s3", "seaweed_s3", "moto_server"])
def server(request: pytest.FixtureRequest) -> Any:
    """Each of the real S3 servers in turn."""
    return request.getfixturevalue(request.param)


@dataclass(slots=True)
class Got:
    """A request that the scripted service got; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


@dataclass(slots=True)
class Scripted:
    """A service that answers what ``answer`` says. ``close_after`` ends the connection.

    An answer whose headers have no content-length gets the right one.
    """

    answer: Callable[[Got], Answer] = lambda got: (200, {}, b"")
    got: list[Got] = field(default_factory=list)
    endpoint: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Scripted

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        got = Got(self.command, self.path, headers, body)
        self.service.got.append(got)
        status, answer_headers, answer_body = self.service.answer(got)
        self.send_response_only(status)  # no Date and Server but the test's
        if "content-length" not in answer_headers and "transfer-encoding" not in answer_headers:
            self.send_header("content-length", str(len(answer_body)))
        for name, value in answer_headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer_body)
        self.close_connection = answer_headers.get("connection") == "close"

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """``scripted(answer)``: a service of our own that answers so."""
    servers: list[ThreadingHTTPServer] = []

    def make(answer: Callable[[Got], Answer] | None = None) -> Scripted:
        service = Scripted() if answer is None else Scripted(answer)
        handler = type("_BoundHandler", (_Handler,), {"service": service})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        service.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        return service

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()
