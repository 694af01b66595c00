"""The kinds of Azure Storage credentials, and one token source in the shapes libraries want."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from svstorage.settings import Secret

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo

    from svstorage.credentials.base import CredentialSource

SCOPE = "https://storage.azure.com/.default"
"""What a token for Azure Storage is asked for ("Authorize with Microsoft Entra ID")."""


@dataclass(frozen=True, slots=True)
class AccountKey:
    """The shared key of an account, in base64 as the portal shows it."""

    account: str
    key: Secret

    @property
    def expires_at(self) -> None:
        """Never: a key holds until it is replaced."""
        return


@dataclass(frozen=True, slots=True)
class Sas:
    """A shared access signature without a leading ``?``; ``expires_at`` is its ``se``."""

    token: Secret
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token of Microsoft Entra ID for Azure Storage, good for ``Authorization: Bearer``."""

    token: Secret
    expires_at: datetime


AzureCredentials = AccountKey | Sas | Bearer


def is_account_key(key: Secret) -> bool:
    """Whether it has the form of one: base64, and not empty."""
    try:
        return bool(base64.b64decode(key.reveal(), validate=True))
    except (binascii.Error, ValueError):
        return False


class TokenCredential:
    """The ``credential`` that azure-storage-blob takes, over a source of `Bearer`.

    All clients share the one source, and so one renewal. Other scopes are refused: the token
    of a source is for storage.
    """

    def __init__(self, source: CredentialSource[Bearer]) -> None:
        self._source = source

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """See `azure.core.credentials.TokenCredential`."""
        from azure.core.credentials import AccessToken

        bearer = self._bearer(scopes)
        return AccessToken(bearer.token.reveal(), int(bearer.expires_at.timestamp()))

    def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """See `azure.core.credentials.SupportsTokenInfo`."""
        from azure.core.credentials import AccessTokenInfo

        bearer = self._bearer(scopes)
        return AccessTokenInfo(bearer.token.reveal(), int(bearer.expires_at.timestamp()))

    def close(self) -> None:
        """Nothing to close: the source is not this object's."""

    def __enter__(self) -> TokenCredential:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _bearer(self, scopes: tuple[str, ...]) -> Bearer:
        if scopes != (SCOPE,):
            raise ValueError(f"this credential is for {SCOPE} only")
        return self._source.get()


class AsyncTokenCredential:
    """The same for async libraries (adlfs): the source is asked in a thread."""

    def __init__(self, source: CredentialSource[Bearer]) -> None:
        self._sync = TokenCredential(source)

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """See `azure.core.credentials_async.AsyncTokenCredential`."""
        return await asyncio.to_thread(self._sync.get_token, *scopes)

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """See `azure.core.credentials_async.AsyncSupportsTokenInfo`."""
        return await asyncio.to_thread(self._sync.get_token_info, *scopes)

    async def close(self) -> None:
        """Nothing to close: the source is not this object's."""

    async def __aenter__(self) -> AsyncTokenCredential:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
