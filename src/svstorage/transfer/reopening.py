"""How another process opens the same two sides: by reference, never by secret.

A reference names the settings file, the variables that came from the environment (by name: the
other process has its own) and what was said as arguments, if that holds no secret. Whoever opens
it compares where it arrives with where the sender was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from svstorage.addresses import Kind, parse
from svstorage.ends import Opener
from svstorage.errors import SettingsError, UsageError
from svstorage.plugins import plugins
from svstorage.settings import Settings, Source, variables
from svstorage.storage import Storage, connect
from svstorage.strategies.base import End, Pair
from svstorage.transfer.options import Links


@dataclass(frozen=True, slots=True)
class StorageReference:
    """Which settings make one storage. ``arguments`` are variables and their values."""

    env_file: str | None
    environment: tuple[str, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()

    def connect(self) -> Storage:
        """The storage, from the settings as this process has them.

        Raises:
            SettingsError: this process lacks the file or a variable.
        """
        plugins()  # which variables there are is the providers' to say
        missing = [name for name in self.environment if not os.environ.get(name)]
        if missing:
            raise SettingsError(
                "it is set where the command runs, and not in the environment of this worker",
                variable=missing[0],
                mend="Set it there too, or put the settings into a file that both can read",
            )
        environ = {name: os.environ[name] for name in self.environment}
        arguments = dict(self.arguments)
        if self.env_file is not None:
            settings = Settings.load(self.env_file, arguments, environ)
        else:
            # Not `load`: it would look for a .env file near this process.
            settings = Settings.from_mapping({**environ, **arguments}, Source("environment"))
        return connect(settings=settings)


@dataclass(frozen=True, slots=True)
class EndReference:
    """One side of a transfer. ``address`` opens its store, ``identity`` is that store's."""

    address: str
    bucket: str
    prefix: str
    location: str
    base: str
    identity: str
    links: Links
    storage: StorageReference | None

    def open(self) -> End:
        """The side, opened by this process.

        Raises:
            SettingsError: the settings of this process lead elsewhere, or nowhere.
        """
        opener = Opener(self._connect, link_policy=self.links)
        store = opener.open(self.address).store
        if store.identity != self.identity:
            raise SettingsError(
                f"{self.location}: the settings of this worker lead to another storage than "
                "those of the command",
                mend="Give the workers the same settings file or environment",
            )
        return End(store, self.bucket, self.prefix, self.location, self.base)

    def _connect(self) -> Storage:
        if self.storage is None:
            raise UsageError(f"{self.address}: no storage is set")
        return self.storage.connect()


def why_not(end: End) -> str | None:
    """Why another process cannot take ranges of this side, or None where it can."""
    if end.store.capabilities.listing_order != "bytes":
        return f"{end.location} does not list in order, so that it cannot be cut into ranges"
    if parse(end.base).kind not in (Kind.LOCAL, Kind.STORAGE, Kind.LINKED):
        return f"{end.location} is opened by fsspec, whose settings cannot be referred to"
    return None


def refer(end: End, storage: Callable[[], Storage], links: Links) -> EndReference:
    """The reference of a side; ``storage`` is what ``sv://`` means there.

    Raises:
        UsageError: a secret was given as an argument.
    """
    reference = None
    if parse(end.base).kind is not Kind.LOCAL:
        connected: Storage | None = None
        # A links file may say all of it; then there need be no storage of the settings.
        with suppress(UsageError):
            connected = storage()
        if connected is not None:
            reference = _settings_of(connected)
    return EndReference(
        end.base, end.bucket, end.prefix, end.location, end.base, end.store.identity, links,
        reference,
    )  # fmt: skip


def referrer(source: Opener, destination: Opener) -> Callable[[Pair], tuple[EndReference, ...]]:
    """A function that refers to both sides of a pair."""

    def references(pair: Pair) -> tuple[EndReference, ...]:
        return tuple(
            refer(end, opener.storage, opener.link_policy)
            for end, opener in ((pair.source, source), (pair.destination, destination))
        )

    return references


def _settings_of(storage: Storage) -> StorageReference:
    settings = storage.settings
    environment: list[str] = []
    arguments: list[tuple[str, str]] = []
    for name in settings:
        setting = settings[name]
        if setting.source.kind == "environment":
            environment.append(name)
        elif setting.source.kind == "argument":
            if variables.is_secret(name):
                raise UsageError(
                    f"{name} was given as an argument, and secrets are not sent to other "
                    "processes. Put it into a settings file, or set it in the environment"
                )
            arguments.append((name, setting.value))
    file = settings.env_file
    return StorageReference(
        os.path.abspath(file) if file else None, tuple(environment), tuple(arguments)
    )
