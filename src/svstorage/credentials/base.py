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

from svstorage import forks
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


@dataclass(frozen=True, slots=True)
class Passed:
    """A resolver's answer "not mine", with the reason in words (never a secret)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """A resolver's answer "send no credentials at all"."""


class CredentialResolver(Protocol):
    """One way to find credentials, as a plugin registers it.

    ``providers`` are the provider names it serves; ``name`` is unique for each of them.
    Resolvers are asked in rising ``order``. ``ambient`` ones look at the machine (environment,
    profiles, metadata services) and are asked only for the vendor's own endpoint, or when
    ``STORAGE_CREDENTIALS`` names them. ``by_name_only`` (optional, default False) ones are
    asked only when named.
    """

    name: str
    providers: tuple[str, ...]
    order: int
    ambient: bool
    summary: str

    def resolve(
        self, config: Any, settings: Settings
    ) -> CredentialSource[Any] | Anonymous | Passed | None:
        """A source of credentials, or `Passed` (or None) to let the next resolver be asked.

        Raises `SettingsError` or `CredentialsError` where this resolver is clearly meant but
        cannot answer. ``settings`` is for what ``config`` does not carry. Should not talk to
        any service yet: that is for the source's first ``get``.
        """
        ...


class StaticCredentials(Generic[T]):
    """Credentials given once, as they are; ``mend`` is what to do when they have ended."""

    def __init__(
        self, name: str, value: T, *, mend: str = "Set fresh ones, or use a resolver that renews"
    ) -> None:
        self.name = name
        self._value = value
        self._mend = mend

    def get(self) -> T:
        ends = self._value.expires_at
        if ends is not None and ends <= datetime.now(timezone.utc):
            raise CredentialsError(
                f"the credentials from '{self.name}' ended at {ends:%Y-%m-%d %H:%M:%S} UTC. "
                f"{self._mend}"
            )
        return self._value

    def expired(self, used: Any) -> None:
        raise CredentialsError(
            f"the credentials from '{self.name}' have expired and cannot be renewed by "
            f"themselves. {self._mend}"
        )


class RefreshingCredentials(Generic[T]):
    """Credentials that are fetched anew before they end, by one thread for all.

    ``refresh_before`` is how many seconds before the end a renewal is tried. While one thread
    renews and the old ones still hold, the others go on with the old ones; otherwise they wait
    and share the answer, also where it is a failure. A renewal that fails while the old ones
    still hold is logged, and the next try waits a little, with jitter. Once they have ended,
    the failure is raised.
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
        self.after_fork()
        forks.renew_in_child(self)
        self._current: _Current[T] | None = None
        self._failures = 0
        self._failure = ""

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def get(self) -> T:
        current = self._current
        now = self._clock()
        if current is not None and now < current.due:
            return current.value
        failures = self._failures
        if current is None or now >= current.ends:
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            return current.value
        try:
            current = self._current
            now = self._clock()
            if current is not None and now < current.due:
                return current.value
            if self._failures != failures and (current is None or now >= current.ends):
                # The thread that was waited for has just failed: a hundred waiting threads
                # must not ask a broken service one after the other.
                raise CredentialsError(self._failure)
            return self._renew(current)
        finally:
            self._lock.release()

    def expired(self, used: Any) -> None:
        with self._lock:
            current = self._current
            if current is not None and (used is current.value or used == current.value):
                self._current = _Current(current.value, due=0.0, ends=0.0)

    def _renew(self, current: _Current[T] | None) -> T:
        try:
            value = self._fetch()
            renewed = self._timed(value)
        except CredentialsError as error:
            now = self._clock()  # the old ones may have ended while the service was asked
            if current is not None and now < current.ends:
                wait = self.RETRY_SECONDS * (0.5 + random.random() / 2)  # noqa: S311 - jitter
                # At least thrice more before the end, however near that is.
                due = now + min(wait, (current.ends - now) / 4)
                self._current = _Current(current.value, due, current.ends)
                log.warning(
                    "renewal of credentials from '%s' failed, the present ones hold for another "
                    "%.0f s: %s",
                    self.name,
                    current.ends - now,
                    error,
                )
                return current.value
            self._failure = str(error)
            self._failures += 1
            raise
        self._current = renewed
        return value

    def _timed(self, value: T) -> _Current[T]:
        if value.expires_at is None:
            return _Current(value, float("inf"), float("inf"))
        now = self._clock()  # again: the fetch may have taken seconds
        ends = value.expires_at.timestamp()
        lifetime = ends - now
        if lifetime <= 0:
            raise CredentialsError(
                f"'{self.name}' answered credentials that ended at "
                f"{value.expires_at:%Y-%m-%d %H:%M:%S} UTC already; "
                "is the clock of this machine right?"
            )
        # Short-lived credentials (tests, strict roles) are renewed in their last quarter. A
        # service that has no newer ones yet is so asked at ever shorter distances from the end.
        early = min(self._refresh_before, lifetime / 4)
        due = max(ends - early, now + min(self.MIN_SECONDS_BETWEEN, lifetime / 2))
        return _Current(value, due, ends)


@dataclass(frozen=True, slots=True)
class _Current(Generic[T]):
    """A value with the clock times from which a renewal is due and at which it ends.

    One object, so that threads that read it without the lock see fitting times.
    """

    value: T
    due: float
    ends: float


def utc(timestamp: float) -> datetime:
    """Seconds since 1970 as a time of UTC."""
    return datetime.fromtimestamp(timestamp, tz=timezone.utc)
