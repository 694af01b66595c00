"""WebDAV servers as a storage: ``STORAGE_PROVIDER=webdav``.

Buckets are the folders at ``STORAGE_ENDPOINT``, objects are files. This module is loaded at every
start of svstorage, so that it imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage import hookimpl
from svstorage.providers import BaseProvider
from svstorage.settings import Settings, Variable

if TYPE_CHECKING:
    from svstorage.credentials.base import CredentialSource
    from svstorage.plugins import Registry
    from svstorage_webdav.config import WebdavConfig
    from svstorage_webdav.credentials import WebdavCredentials
    from svstorage_webdav.store import WebdavStore

__all__ = ["WebdavProvider"]


class WebdavProvider(BaseProvider):
    """The files of a user on a WebDAV server."""

    name = "webdav"
    summary = "WebDAV (Nextcloud, ownCloud, Apache, rclone …): buckets are the folders there"
    variables: tuple[Variable | str, ...] = (
        Variable("STORAGE_ENDPOINT", "URL of the folder whose folders are the buckets"),
        "STORAGE_PORT",
        "STORAGE_USE_SSL",
        Variable("STORAGE_ACCESS_KEY", "name of the user"),
        Variable("STORAGE_SECRET_KEY", "password, or app password, of the user", secret=True),
        Variable("STORAGE_WEBDAV_TOKEN", "bearer token, in place of a password", secret=True),
        Variable(
            "STORAGE_WEBDAV_SET_TIMES",
            "whether the server takes modification times (X-OC-MTime)",
            "true where the URL has /remote.php/ (Nextcloud, ownCloud), else false",
        ),
        "STORAGE_CREDENTIALS",
        "STORAGE_CA_BUNDLE",
        "STORAGE_INSECURE",
        "STORAGE_PROXY",
    )
    credentials_mend = (
        "Set STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY to user and password, or "
        "STORAGE_WEBDAV_TOKEN to a bearer token; STORAGE_CREDENTIALS=anonymous sends none"
    )

    def parse_config(self, settings: Settings) -> WebdavConfig:
        from svstorage_webdav.config import parse

        return parse(settings)

    def connect(
        self, config: WebdavConfig, credentials: CredentialSource[WebdavCredentials] | None
    ) -> WebdavStore:
        from svstorage_webdav.store import WebdavStore

        return WebdavStore(config, credentials)


@hookimpl
def svstorage_register_providers(registry: Registry) -> None:
    """Registers `WebdavProvider`."""
    registry.add_provider(WebdavProvider())


@hookimpl
def svstorage_register_credential_resolvers(registry: Registry) -> None:
    """Registers the password, the token, and no credentials at all."""
    from svstorage_webdav.credentials import RESOLVERS

    for resolver in RESOLVERS:
        registry.add_resolver(resolver)
