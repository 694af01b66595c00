"""Which storage an ``sv://`` filesystem talks to, and how to say so without a secret.

Filesystems are made often (fsspec makes one for every URL, Dask one for every task), so that
equal settings share one connection. Equal means: the same keywords and file, and the same
variables in the environment and the file now. What the settings are is compared by a digest
under a key of this process; neither it nor a secret ever leaves the process.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from svstorage.errors import SettingsError, StorageError
from svstorage.settings import Secret, Settings, variables

if TYPE_CHECKING:
    from svstorage.providers.base import ObjectStore
    from svstorage.storage import Storage

_SHARED_AT_MOST = 16
_shared: OrderedDict[bytes, Storage] = OrderedDict()
_lock = threading.Lock()
_digest_key = os.urandom(32)


def _after_fork() -> None:
    # Sockets and locks of the parent must not be used here; each filesystem connects anew.
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Connection:
    """The storage of one filesystem: connected when first needed, and again after a fork."""

    def __init__(
        self, storage: Storage | None, env_file: str | None, options: Mapping[str, Any]
    ) -> None:
        self._env_file = env_file
        self._options = hidden(options)
        self._given = storage
        self._storage = storage
        self._pid = os.getpid()
        if storage is None:
            # Also checks the settings now, where the caller sees whose mistake it is.
            self._storage = _connect(self._env_file, self._options)
        else:
            known = dict(storage.options)
            self._env_file = known.pop("env_file", None)
            self._options = hidden(known)

    @property
    def storage(self) -> Storage:
        if self._storage is None or self._pid != os.getpid():
            self._storage = _again(self._given) if self._given else None
            if self._storage is None:
                self._storage = _connect(self._env_file, self._options)
            self._pid = os.getpid()
        return self._storage

    @property
    def store(self) -> ObjectStore:
        return self.storage.store

    @property
    def options(self) -> dict[str, Any]:
        """The keywords that make an equal filesystem in this process; secrets are `Secret`."""
        if self._given is not None:
            return {"storage": self._given}
        return {**({"env_file": self._env_file} if self._env_file else {}), **self._options}

    @property
    def location(self) -> str:
        return f"{self.storage.provider.name} {self.storage.config.location}"

    def reference(self) -> dict[str, Any]:
        """Keywords with which another process of this user finds the same storage by itself.

        Raises `StorageError` where that would take a secret.
        """
        secrets = sorted(n for n, v in self._options.items() if isinstance(v, Secret))
        if secrets:
            raise StorageError(
                "this sv:// filesystem was made with secrets as arguments "
                f"({', '.join(secrets)}), which are not sent to other processes or written "
                "down. Put them into a .env file and pass env_file=, or set them in the "
                "environment of the workers"
            )
        file = self.storage.settings.env_file
        found = {"env_file": os.path.abspath(file)} if file else {}
        return {**found, **self._options}

    def digest(self) -> str:
        """Equal for filesystems that reach the same storage in the same way; no secret in it."""
        parts = [self.location, *(f"{k}={v}" for k, v in sorted(self._options.items()))]
        secrets = [v.reveal() for _, v in sorted(self._options.items()) if isinstance(v, Secret)]
        if secrets:
            parts.append(_keyed("\0".join(secrets)).hex())
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def hidden(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given, secrets as `Secret`."""
    return {
        name: Secret(value) if isinstance(value, str) and _is_secret(name) else value
        for name, value in options.items()
        if value is not None
    }


def check_same(connection: Connection, location: str) -> None:
    """Raises `SettingsError` where this process's settings lead elsewhere than the sender's."""
    if connection.location != location:
        raise SettingsError(
            f"the settings of this process select {connection.location}, and the filesystem that "
            f"was sent here is for {location}",
            mend="Give the workers the same .env file or environment as the program",
        )


def _connect(env_file: str | None, options: Mapping[str, Any]) -> Storage:
    from svstorage.plugins import plugins
    from svstorage.storage import connect

    plugins()  # which keywords there are is the providers' to say
    settings = Settings.load(env_file=env_file, overrides=variables.from_keywords(**options))
    text = [repr((env_file, str(settings.env_file)))]
    text += [f"{name}={settings[name].value}" for name in settings]
    # Resolvers also look at AWS_*, AZURE_* and more: any change there means to ask them again.
    text += [f"{name}={value}" for name, value in sorted(os.environ.items())]
    text += [f"{name}={_plain(value)}" for name, value in sorted(options.items())]
    token = _keyed("\0".join(text))
    with _lock:
        found = _shared.get(token)
        if found is not None:
            _shared.move_to_end(token)
            return found
        made = connect(env_file=env_file, **options)
        _shared[token] = made
        while len(_shared) > _SHARED_AT_MOST:
            _shared.popitem(last=False)  # not closed: a filesystem may use it still
    return made


def _again(storage: Storage) -> Storage:
    """The same storage with fresh sockets and locks, from the settings it was made of."""
    from svstorage.credentials.resolve import find_credentials
    from svstorage.plugins import plugins
    from svstorage.storage import Storage

    provider, config = storage.provider, storage.config
    credentials, resolver = (
        find_credentials(provider.name, config, storage.settings, plugins().registry)
        if storage.credentials is not None
        else (None, None)
    )
    return Storage(storage.settings, provider, config, credentials, resolver, storage.options)


def _keyed(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, key=_digest_key, digest_size=16).digest()


def _plain(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else value


def _is_secret(keyword: str) -> bool:
    variable = variables.by_keyword(keyword)
    return variables.is_secret(variable.name if variable else keyword)
