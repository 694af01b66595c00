"""How a user proves who they are to an SFTP server: a private key, a password, an agent."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from svstorage.credentials.base import Passed, StaticCredentials
from svstorage.settings import Secret, Settings

log = logging.getLogger(__name__)

_KEY_FILE = "STORAGE_CREDENTIALS_PATH"
_PASSWORD = "STORAGE_SECRET_KEY"  # noqa: S105 - a variable's name
_AGENT = "SSH_AUTH_SOCK"


@dataclass(frozen=True, slots=True)
class SftpCredentials:
    """What is offered to the server; of several, the key first."""

    key_file: Path | None = None
    passphrase: Secret | None = None
    password: Secret | None = None
    agent: str | None = None
    expires_at: datetime | None = None


class _Resolver:
    providers = ("sftp",)
    ambient = False

    def __init__(self, name: str, order: int, summary: str) -> None:
        self.name = name
        self.order = order
        self.summary = summary

    def resolve(self, config: Any, settings: Settings) -> StaticCredentials[Any] | Passed:
        raise NotImplementedError


class KeyResolver(_Resolver):
    """The file of ``STORAGE_CREDENTIALS_PATH``, with the password beside it where both are set."""

    def resolve(
        self, config: Any, settings: Settings
    ) -> StaticCredentials[SftpCredentials] | Passed:
        path = settings.path(_KEY_FILE)
        if path is None:
            return Passed(f"{_KEY_FILE} is not set")
        try:
            mode = path.stat().st_mode
            with path.open("rb") as file:
                is_key = stat.S_ISREG(mode) and b"PRIVATE KEY" in file.read(4096)
        except OSError as error:
            raise settings.error(_KEY_FILE, f"the file cannot be read: {error.strerror}") from None
        if not is_key:
            raise settings.error(
                _KEY_FILE,
                "the file holds no private key in OpenSSH or PEM form",
                "Name the private key, not the one that ends in .pub",
            )
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            log.warning(
                "the private key %s may be read by other users of this machine. Run: chmod 600 %s",
                path,
                path,
            )
        passphrase = settings.secret("STORAGE_SFTP_PASSPHRASE")
        value = SftpCredentials(path, passphrase, settings.secret(_PASSWORD))
        return StaticCredentials(self.name, value)


class PasswordResolver(_Resolver):
    """``STORAGE_SECRET_KEY``."""

    def resolve(
        self, config: Any, settings: Settings
    ) -> StaticCredentials[SftpCredentials] | Passed:
        password = settings.secret(_PASSWORD)
        if password is None:
            return Passed(f"{_PASSWORD} is not set")
        return StaticCredentials(self.name, SftpCredentials(password=password))


class AgentResolver(_Resolver):
    """The keys of the running ssh-agent, which are this machine's: only when named."""

    ambient = True
    by_name_only = True

    def resolve(
        self, config: Any, settings: Settings
    ) -> StaticCredentials[SftpCredentials] | Passed:
        agent = os.environ.get(_AGENT)
        if not agent:
            return Passed(f"no agent is running ({_AGENT} is not set)")
        return StaticCredentials(self.name, SftpCredentials(agent=agent))


RESOLVERS = (
    KeyResolver("key", 10, "the private key of STORAGE_CREDENTIALS_PATH"),
    PasswordResolver("password", 20, "the password in STORAGE_SECRET_KEY"),
    AgentResolver("agent", 30, "the keys of the running ssh-agent"),
)
