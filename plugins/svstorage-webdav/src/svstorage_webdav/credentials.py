"""How a user proves who they are to a WebDAV server: a password, a bearer token, or not at all."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from svstorage.credentials.base import Anonymous, Passed, StaticCredentials
from svstorage.settings import Secret, Settings

_USER = "STORAGE_ACCESS_KEY"
_PASSWORD = "STORAGE_SECRET_KEY"  # noqa: S105 - a variable's name
_TOKEN = "STORAGE_WEBDAV_TOKEN"  # noqa: S105 - a variable's name


@dataclass(frozen=True, slots=True)
class WebdavCredentials:
    """The value of the header ``Authorization``, sent with every request."""

    authorization: Secret
    expires_at: datetime | None = None


Answer = StaticCredentials[WebdavCredentials] | Anonymous | Passed


@dataclass(frozen=True, slots=True)
class Resolver:
    """One of the ways, as the registry wants it."""

    name: str
    order: int
    summary: str
    find: Callable[[Settings], Answer]
    by_name_only: bool = False
    ambient: bool = False
    providers: tuple[str, ...] = ("webdav",)

    def resolve(self, config: Any, settings: Settings) -> Answer:
        """The credentials, or why there are none."""
        return self.find(settings)


def _token(settings: Settings) -> Answer:
    secret = settings.secret(_TOKEN)
    if secret is None:
        return Passed(f"{_TOKEN} is not set")
    token = secret.reveal()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise settings.error(_TOKEN, "it has characters that no token has")
    return StaticCredentials("token", WebdavCredentials(Secret(f"Bearer {token}")))


def _password(settings: Settings) -> Answer:
    secret = settings.secret(_PASSWORD)
    if secret is None:
        return Passed(f"{_PASSWORD} is not set")
    user = settings.required_text(_USER, "Set it to the name of the user")
    if ":" in user or any(c < " " for c in user):  # RFC 7617, section 2
        raise settings.error(_USER, "the name of a user can hold no : and no control characters")
    pair = base64.b64encode(f"{user}:{secret.reveal()}".encode()).decode()
    return StaticCredentials("password", WebdavCredentials(Secret(f"Basic {pair}")))


def _anonymous(settings: Settings) -> Answer:
    return Anonymous()


RESOLVERS = (
    Resolver("token", 10, "the bearer token in STORAGE_WEBDAV_TOKEN", _token),
    Resolver("password", 20, "the password in STORAGE_SECRET_KEY", _password),
    Resolver("anonymous", 90, "no credentials at all", _anonymous, by_name_only=True),
)
