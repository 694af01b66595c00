"""The steps of ``config check``, and what to advise when one fails."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from svstorage.cli.advice import advice, blames_credentials
from svstorage.cli.failure import exit_code, message_of
from svstorage.cli.retrying import retrying
from svstorage.cli.state import State
from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    ObjectError,
    SettingsError,
    StorageError,
)

if TYPE_CHECKING:
    from svstorage.settings import Settings
    from svstorage.storage import Storage


@dataclass(frozen=True, slots=True)
class Step:
    """One thing tried: ``advice`` is empty where it went well."""

    name: str
    ok: bool
    detail: str
    advice: tuple[str, ...] = ()
    kind: str | None = None


class Failed(Exception):
    """A step failed; those that build on it are not tried."""


class Checkup:
    """Tries one thing after the other and stops at what makes the rest senseless."""

    def __init__(self, state: State, bucket: str | None, *, read_only: bool) -> None:
        self.state = state
        self.bucket = bucket
        self.read_only = read_only
        self.steps: list[Step] = []
        self.exit_code = 0
        self._settings_found: Settings | None = None
        self._attempts: list[Any] = []
        self._tell: Callable[[Step], None] = lambda step: None

    def run(self, tell: Callable[[Step], None]) -> None:
        """Try everything; ``tell`` hears of each step as it ends."""
        self._tell = tell
        with suppress(Failed):
            self._settings()
            storage = self._storage()
            bucket = self._choose_bucket(storage)
            self._objects(storage, bucket)

    def _try(self, name: str, work: Callable[[], str]) -> None:
        try:
            detail = work()
        except (StorageError, OSError) as error:
            # To the first request, "not found" is said of the account or the service itself.
            code = 3 if name == "connect" else exit_code(error)
            self.exit_code = self.exit_code or code
            told = advice(name, error, self._settings_found, self.state.command)
            kind = type(error).__name__
            self._add(Step(name, False, message_of(error), tuple(told), kind))
            raise Failed from None
        self._add(Step(name, True, detail))

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self._tell(step)

    def _settings(self) -> None:
        def work() -> str:
            settings = self._settings_found = self.state.settings(self.state.env_file)
            file = settings.env_file
            return f"from {file}" if file else "no .env file found; environment and defaults"

        self._try("settings", work)
        settings = self._settings_found
        if settings is not None and settings.text("STORAGE_LINKS_FILE"):
            with suppress(Failed):  # the storage itself can be tried all the same
                self._try("links file", partial(self._links, settings))

    @staticmethod
    def _links(settings: Settings) -> str:
        from svstorage.links import Links

        names = list(Links.from_settings(settings).entries)
        return f"{len(names)} storage{'' if len(names) == 1 else 's'}: {', '.join(names)}"

    def _storage(self) -> Storage:
        from svstorage.credentials.resolve import find_credentials
        from svstorage.plugins import plugins

        registry = plugins().registry

        def resolve() -> str:
            settings = self.state.settings(self.state.env_file)
            provider = registry.provider(
                settings.provider_name, settings.source("STORAGE_PROVIDER")
            )
            config = provider.parse_config(settings)
            if provider.needs_credentials(config):
                find_credentials(provider.name, config, settings, registry, self._attempts)
            return f"{provider.name} at {config.location}"

        self._try("provider", resolve)

        def credentials() -> str:
            storage = self.state.storage
            if storage.credentials is not None:
                storage.credentials.get()
            if storage.resolver is None:
                return "none needed"
            answer = f"by resolver '{storage.resolver}'"
            if self.state.verbose:
                passed = [f"{a.resolver}: {a.outcome}" for a in self._attempts if not a.answered]
                answer = "\n".join([answer, *(f"before it, {one}" for one in passed)])
            return answer

        self._try("credentials", credentials)
        return self.state.storage

    def _choose_bucket(self, storage: Storage) -> str:
        named = self.bucket or self._configured(storage)
        names: list[str] = []

        def buckets() -> str:
            try:
                names.extend(retrying(storage.buckets))
            except AccessRefused as error:
                # Keys for one bucket often may not list them all; wrong keys end here, as the
                # request for one bucket would not say what is wrong with them.
                if named is None or blames_credentials(error):
                    raise
                return "may not be listed with these credentials; going on with the one named"
            if not names:
                return "no buckets yet"
            some = f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
            return f"{len(names)} bucket{'' if len(names) == 1 else 's'}: {some}"

        self._try("connect", buckets)

        def choose() -> str:
            if named is not None:
                if not retrying(lambda: storage.store.bucket_exists(named)):
                    raise BucketNotFound(f"there is no bucket '{named}'")
                return named
            if not names:
                raise BucketNotFound("there is no bucket yet")
            return self._found(storage, names)

        self._try("bucket", choose)
        return self.steps[-1].detail

    @staticmethod
    def _configured(storage: Storage) -> str | None:
        prefix = storage.settings.text("STORAGE_BUCKETS_PREFIX")
        return f"{prefix}-private" if prefix else None

    @staticmethod
    def _found(storage: Storage, names: list[str]) -> str:
        try:
            return storage.private
        except SettingsError:  # no pair of platform buckets: any bucket will do
            return names[0]

    def _objects(self, storage: Storage, bucket: str) -> None:
        store = storage.store

        def listed() -> str:
            retrying(lambda: next(iter(store.list_level(bucket)), None))
            return f"sv://{bucket}"

        self._try("list", listed)
        if self.read_only:
            return
        key = f"svstorage-check-{secrets.token_hex(8)}.txt"
        content = secrets.token_hex(32).encode()
        written = False
        try:

            def write() -> str:
                nonlocal written
                written = True  # also where the answer is lost
                retrying(lambda: store.put(bucket, key, content, size=len(content)))
                return f"sv://{bucket}/{key}"

            self._try("write", write)

            def read_back() -> str:
                with retrying(lambda: store.read(bucket, key)) as reader:
                    found = b""
                    while chunk := bytes(reader.read(1 << 16)):
                        found += chunk
                if found != content:
                    raise ObjectError("what was read back is not what was written")
                return f"{len(content)} bytes, the same"

            self._try("read back", read_back)
        finally:
            if written:
                self._delete(storage, bucket, key)

    def _delete(self, storage: Storage, bucket: str, key: str) -> None:
        def delete() -> str:
            retrying(lambda: storage.store.delete(bucket, key))
            return "nothing is left behind"

        if self.steps[-1].ok:
            self._try("delete", delete)
        else:
            with suppress(StorageError, OSError):
                delete()
