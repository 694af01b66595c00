"""SFTP servers as a storage: ``STORAGE_PROVIDER=sftp``.

Buckets are the folders of ``STORAGE_SFTP_ROOT``, objects are files. This module is loaded at
every start of svstorage, so that it imports nothing heavy; asyncssh comes with the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage import hookimpl
from svstorage.providers import BaseProvider
from svstorage.settings import Settings, Variable

if TYPE_CHECKING:
    from svstorage.credentials.base import CredentialSource
    from svstorage.plugins import Registry
    from svstorage_sftp.config import SftpConfig
    from svstorage_sftp.credentials import SftpCredentials
    from svstorage_sftp.store import SftpStore

__all__ = ["SftpProvider"]


class SftpProvider(BaseProvider):
    """The files of a user on an SFTP server."""

    name = "sftp"
    summary = "SFTP servers: buckets are the folders of STORAGE_SFTP_ROOT"
    schemes = ("sftp",)
    variables: tuple[Variable | str, ...] = (
        Variable("STORAGE_ENDPOINT", "host, host:port or sftp://host:port of the server"),
        Variable("STORAGE_PORT", "port of the server", "22"),
        Variable("STORAGE_ACCESS_KEY", "name of the user"),
        Variable("STORAGE_SECRET_KEY", "password of the user", secret=True),
        Variable("STORAGE_CREDENTIALS_PATH", "private key of the user, in OpenSSH or PEM form"),
        "STORAGE_CREDENTIALS",
        Variable("STORAGE_SFTP_PASSPHRASE", "what opens the private key, if any", secret=True),
        Variable(
            "STORAGE_SFTP_KNOWN_HOSTS",
            "file with the server's host key, as OpenSSH writes it",
            "~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts",
        ),
        Variable(
            "STORAGE_SFTP_ROOT",
            "folder on the server whose folders are the buckets",
            "the folder in which the user arrives",
        ),
    )
    credentials_mend = (
        "Set STORAGE_CREDENTIALS_PATH to a private key, or STORAGE_SECRET_KEY to the password; "
        "STORAGE_CREDENTIALS=agent takes the keys of the running ssh-agent"
    )

    def parse_config(self, settings: Settings) -> SftpConfig:
        from svstorage_sftp.config import parse

        return parse(settings)

    def connect(
        self, config: SftpConfig, credentials: CredentialSource[SftpCredentials] | None
    ) -> SftpStore:
        from svstorage_sftp.store import SftpStore

        return SftpStore(config, credentials)


@hookimpl
def svstorage_register_providers(registry: Registry) -> None:
    """Registers `SftpProvider`."""
    registry.add_provider(SftpProvider())


@hookimpl
def svstorage_register_credential_resolvers(registry: Registry) -> None:
    """Registers the key file, the password and the agent."""
    from svstorage_sftp.credentials import RESOLVERS

    for resolver in RESOLVERS:
        registry.add_resolver(resolver)
