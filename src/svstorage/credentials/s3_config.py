"""What the resolvers for S3 ask of the provider's config."""

from __future__ import annotations

from typing import Protocol

from svstorage.settings import Secret


class S3Access(Protocol):
    """The part of the S3 provider's config that concerns credentials."""

    @property
    def access_key(self) -> str | None: ...

    @property
    def secret_key(self) -> Secret | None: ...

    @property
    def session_token(self) -> Secret | None: ...

    @property
    def iam_role(self) -> str | None: ...

    @property
    def region(self) -> str | None: ...

    @property
    def endpoint_is_vendors(self) -> bool: ...

    @property
    def proxy(self) -> Secret | None:
        """URL of the HTTP proxy for TLS connections, where one is set."""
        ...
