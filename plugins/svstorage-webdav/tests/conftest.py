"""Stores over two real servers: rclone's (Go) and WsgiDAV (Python), on 127.0.0.1."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from svstorage.credentials.resolve import find_credentials
from svstorage.plugins import plugins
from svstorage.settings import Settings
from svstorage_webdav import WebdavProvider
from svstorage_webdav.store import WebdavStore
from tests.servers.process import free_port, listens, running
from tests.servers.s3 import needs

USER, PASSWORD = "alice", "p$ss wörd: #1"
Connect = Callable[..., WebdavStore]


@dataclass(frozen=True)
class DavServer:
    """``root`` is the folder on disk that ``endpoint`` shows."""

    name: str
    endpoint: str
    root: Path

    def env(self) -> dict[str, str]:
        return {
            "STORAGE_PROVIDER": "webdav",
            "STORAGE_ENDPOINT": self.endpoint,
            "STORAGE_ACCESS_KEY": USER,
            "STORAGE_SECRET_KEY": PASSWORD,
            # WsgiDAV does not know X-OC-Mtime.
            "STORAGE_WEBDAV_SET_TIMES": str(self.name == "rclone").lower(),
        }


@contextmanager
def rclone(folder: Path, *options: str) -> Iterator[DavServer]:
    """``rclone serve webdav``, which tells MD5 checksums and takes times."""
    root = folder / "data"
    root.mkdir()
    port = free_port()
    command = [
        needs("rclone"), "serve", "webdav", str(root), "--addr", f"127.0.0.1:{port}",
        "--user", USER, "--pass", PASSWORD, "--config", str(folder / "none.conf"),
        "--no-unicode-normalization", "--etag-hash", "MD5", *options,
    ]  # fmt: skip
    scheme = "https" if "--cert" in options else "http"
    with running(command, folder=folder, ready=lambda: listens(port)):
        yield DavServer("rclone", f"{scheme}://127.0.0.1:{port}", root)


@contextmanager
def wsgidav(folder: Path) -> Iterator[DavServer]:
    """WsgiDAV, the storage in a folder whose name has to be encoded."""
    root = folder / "data" / "my files%"
    root.mkdir(parents=True)
    port = free_port()
    config = {
        "host": "127.0.0.1",
        "port": port,
        "server_args": {"numthreads": 40, "timeout": 120},
        "provider_mapping": {"/": str(root.parent)},
        "http_authenticator": {"accept_basic": True, "accept_digest": False},
        "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
    }
    file = folder / "wsgidav.json"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", "wsgidav.server.server_cli", "-q", "-c", str(file)]
    with running(command, folder=folder, ready=lambda: listens(port)):
        yield DavServer("wsgidav", f"http://127.0.0.1:{port}/my%20files%25", root)


SERVERS = {"rclone": rclone, "wsgidav": wsgidav}


@pytest.fixture(scope="module", params=SERVERS)
def dav(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DavServer]:
    """Each of the servers in turn."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


def open_store(env: dict[str, str]) -> WebdavStore:
    """A store as the settings select it, the resolvers asked as for any command."""
    settings = Settings.load(overrides=env, environ={})
    provider = WebdavProvider()
    config = provider.parse_config(settings)
    credentials, _ = find_credentials("webdav", config, settings, plugins().registry)
    return provider.connect(config, credentials)


@pytest.fixture(scope="module")
def connect(dav: DavServer) -> Iterator[Connect]:
    """Opens stores, with other settings where given; all are closed at the end."""
    opened: list[WebdavStore] = []

    def one(**changes: str) -> WebdavStore:
        opened.append(open_store({**dav.env(), **changes}))
        return opened[-1]

    yield one
    for store in opened:
        store.close()


@pytest.fixture(scope="module")
def store(connect: Connect) -> WebdavStore:
    return connect()
