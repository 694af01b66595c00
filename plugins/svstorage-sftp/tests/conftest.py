"""Stores over the OpenSSH server of the project's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svstorage_sftp import SftpProvider
from svstorage_sftp.store import SftpStore
from svstorage.settings import Settings
from svstorage.credentials.resolve import find_credentials
from svstorage.plugins import plugins
from tests.servers.ssh import SshServer


@pytest.fixture
def root(sshd: SshServer, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A fresh folder on the server."""
    folder = tmp_path / "remote"
    folder.mkdir()
    return folder


@pytest.fixture
def env(sshd: SshServer, root: Path) -> dict[str, str]:
    """All that a user sets."""
    return {
        "STORAGE_PROVIDER": "sftp",
        "STORAGE_ENDPOINT": sshd.endpoint,
        "STORAGE_ACCESS_KEY": sshd.user,
        "STORAGE_CREDENTIALS_PATH": str(sshd.key_file),
        "STORAGE_SFTP_KNOWN_HOSTS": str(sshd.known_hosts),
        "STORAGE_SFTP_ROOT": str(root),
    }


@pytest.fixture
def connect(env: dict[str, str]) -> Iterator[Callable[..., SftpStore]]:
    """Opens stores, with other settings where given, and closes them at the end."""
    opened: list[SftpStore] = []

    def open_store(**changes: str) -> SftpStore:
        settings = Settings.load(overrides={**env, **changes}, environ={})
        provider = SftpProvider()
        config = provider.parse_config(settings)
        credentials, _ = find_credentials("sftp", config, settings, plugins().registry)
        opened.append(provider.connect(config, credentials))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()
