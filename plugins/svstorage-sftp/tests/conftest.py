"""Stores over the OpenSSH server of the project's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svstorage.credentials.resolve import find_credentials
from svstorage.plugins import plugins
from svstorage.settings import Settings
from svstorage_sftp import SftpProvider
from svstorage_sftp.store import SftpStore
from tests.servers.ssh import SshServer

Connect = Callable[..., SftpStore]


def open_store(env: dict[str, str]) -> SftpStore:
    """A store as the settings select it, the resolvers asked as for any command."""
    settings = Settings.load(overrides=env, environ={})
    provider = SftpProvider()
    config = provider.parse_config(settings)
    credentials, _ = find_credentials("sftp", config, settings, plugins().registry)
    return provider.connect(config, credentials)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh folder on the server's disk."""
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def connect(env: dict[str, str]) -> Iterator[Connect]:
    """Opens stores, with other settings where given; all are closed at the end."""
    opened: list[SftpStore] = []

    def one(**changes: str) -> SftpStore:
        opened.append(open_store({**env, **changes}))
        return opened[-1]

    yield one
    for store in opened:
        store.close()


@pytest.fixture(scope="module")
def store(connect: Connect) -> SftpStore:
    """One connection for all tests of a module."""
    return connect()
