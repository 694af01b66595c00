"""The protocols of credentials, and the one shared, thread-safe refresh."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Generic, Protocol, TypeVar

from svstorage.errors import CredentialsError
from svstorage.settings import Secret, Settings

log = logging.getLogger(__name__)

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T", bound="Expiring")


class Expiring(Protocol):
    """A credential value that may know when it ends (UTC); None means that it does not."""

    @property
    def expires_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """A key pair for AWS Signature Version 4, temporary where ``session_token`` is set."""

    access_key: str
    secret_key: Secret
    session_token: Secret | None = None
    expires_at: datetime | None = None


class CredentialSource(Protocol[T_co]):
    """Something that always has credentials fresh enough for the next request."""

    name: str
    """The resolver that answered, for ``config check``; never a secret."""

    def get(self) -> T_co:
        """Current credentials, renewed first where due. Raises `CredentialsError`."""
        ...

    def expired(self, used: Any) -> None:
        """Told that the service refused ``used`` as expired: the next ``get`` renews."""
        ...


class CredentialResolver(Protocol):
    """One way to find credentials, as a plugin registers it.

    ``providers`` are the provider names it serves. Resolvers are asked in rising ``order``.
    ``ambient`` ones look at the machine (environment, profiles, metadata services) and are
    asked only for the vendor's own endpoint, or when ``STORAGE_CREDENTIALS`` names them.
    """

    name: str
    providers: tuple[str, ...]
    order: int
    ambient: bool
    summary: str

    def resolve(self, config: Any, settings: Settings) -> CredentialSource[Any] | None:
        """A source of credentials, or None to pass to the next resolver.

        Raises `SettingsError` or `CredentialsError` where this resolver is clearly meant but
        cannot answer. ``settings`` is for what ``config`` does not carry.
        """
        ...


class StaticCredentials(Generic[T]):
    """Credentials given once, as they are."""

    def __init__(self, name: str, value: T) -> None:
        self.name = name
        self._value = value

    def get(self) -> T:
        return self._value

    def expired(self, used: Any) -> None:
        raise CredentialsError(
            f"the credentials from '{self.name}' have expired and cannot be renewed by themselves. "
            "Set fresh ones, or use a resolver that renews (plugins lists them)"
        )


class RefreshingCredentials(Generic[T]):
    """Credentials that are fetched anew before they end, by one thread for all.

    ``refresh_before`` is how many seconds before the end a renewal is tried; while that fails
    and the old ones still hold, they go on being used and the next try waits a little, with
    jitter. Once they have ended, the failure is raised.
    """

    RETRY_SECONDS = 15.0
    # A source that keeps handing out nearly-expired values is not asked on every request.
    MIN_SECONDS_BETWEEN = 1.0

    def __init__(
        self,
        name: str,
        fetch: Callable[[], T],
        *,
        refresh_before: float = 900.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._fetch = fetch
        self._refresh_before = refresh_before
        self._clock = clock
        self._lock = threading.Lock()
        self._value: T | None = None
        self._due = 0.0
        self._ends = float("inf")

    def get(self) -> T:
        value = self._value
        if value is not None and self._clock() < self._due:
            return value
        with self._lock:
            now = self._clock()
            if self._value is not None and now < self._due:
                return self._value
            return self._renew(now)

    def expired(self, used: Any) -> None:
        with self._lock:
            if used is self._value:
                self._due = 0.0
                self._ends = 0.0

    def _renew(self, now: float) -> T:
        try:
            value = self._fetch()
        except CredentialsError as error:
            if self._value is not None and now < self._ends:
                wait = self.RETRY_SECONDS * (0.5 + random.random() / 2)  # noqa: S311 - jitter
                self._due = min(now + wait, self._ends)
                log.warning("renewal of credentials from %s failed: %s", self.name, error)
                return self._value
            raise
        if value.expires_at is None:
            self._ends = self._due = float("inf")
        else:
            self._ends = value.expires_at.timestamp()
            if self._ends <= now:
                raise CredentialsError(
                    f"'{self.name}' answered credentials that have already expired; "
                    "is the clock of this machine right?"
                )
            lifetime = self._ends - now
            # Short-lived credentials (tests, strict roles) are renewed in their last quarter.
            early = min(self._refresh_before, lifetime / 4)
            self._due = max(self._ends - early, now + min(self.MIN_SECONDS_BETWEEN, lifetime / 2))
        self._value = value
        return value


def utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, tz=timezone.utc)
