"""What every credential resolver must pass: it answers, passes on, keeps its secrets, and waits."""

from __future__ import annotations

import contextlib
import pickle
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NoReturn

import pytest

from svstorage.credentials.base import Anonymous, Passed
from svstorage.errors import CredentialsError, SettingsError
from svstorage.plugins import Registry
from svstorage.settings import Settings


@dataclass(frozen=True, slots=True)
class ResolverCase:
    """A resolver and the settings under which it answers.

    ``settings`` are variables and values as a ``.env`` file holds them; ``needs`` are those of
    them without which the resolver has nothing to say. ``provider`` is an instance of the
    provider it serves; its config is parsed anew for each set of settings. ``secrets`` are
    strings that no message and no ``repr`` may hold.
    """

    resolver: Any
    provider: Any
    settings: Mapping[str, str]
    needs: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def ask(self, **changes: str) -> Any:
        """What the resolver answers; a variable given as "" is not set."""
        settings = Settings.load(overrides={**self.settings, **changes}, environ={})
        return self.resolver.resolve(self.provider.parse_config(settings), settings)

    def source(self) -> Any:
        found = self.ask()
        assert found is not None, "with all its settings it must answer"
        assert not isinstance(found, Passed), found.reason
        return found


class ResolverContract:
    """Subclass, give a fixture ``case`` that returns a `ResolverCase`, and run pytest."""

    def test_it_registers(self, case: ResolverCase) -> None:
        registry = Registry(plugin="contract")
        registry.add_resolver(case.resolver)
        assert registry.warnings == []
        served = [registry.resolvers_for(name) for name in case.resolver.providers]
        assert served
        assert all(found == [case.resolver] for found in served)
        assert case.provider.name in case.resolver.providers
        assert case.resolver.summary
        assert isinstance(case.resolver.order, int)
        assert isinstance(case.resolver.ambient, bool)

    def test_it_answers(self, case: ResolverCase) -> None:
        source = case.source()
        if isinstance(source, Anonymous):
            return
        assert source.name == case.resolver.name
        ends = source.get().expires_at
        if ends is not None:
            assert ends.tzinfo is not None, "times without a zone mean something else elsewhere"
            assert ends > datetime.now(timezone.utc)

    def test_it_passes_on_without_its_settings(self, case: ResolverCase) -> None:
        for name in case.needs:
            try:
                answer = case.ask(**{name: ""})
            except SettingsError as error:
                # Half of what it needs is a mistake worth telling, if it tells what is missing.
                assert error.variable is not None  # noqa: PT017
                continue
            assert answer is None or isinstance(answer, Passed), f"{name} is not set"
            if isinstance(answer, Passed):
                assert answer.reason
        if case.needs:
            answer = case.ask(**dict.fromkeys(case.needs, ""))
            assert answer is None or isinstance(answer, Passed)

    def test_resolving_asks_no_service(
        self, case: ResolverCase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That is for the first ``get``: ``config show`` resolves, too."""

        def refuse(*_: object, **__: object) -> NoReturn:
            raise AssertionError("resolve() opened a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        case.source()

    def test_secrets_stay_secret(self, case: ResolverCase) -> None:
        source = case.source()
        shown = [repr(source), str(source)]
        if not isinstance(source, Anonymous):
            value = source.get()
            shown += [repr(value), str(value), f"{value}"]
            # What cannot be pickled cannot leak that way.
            with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
                shown.append(repr(pickle.dumps(value)))
        for secret in case.secrets:
            assert not any(secret in text for text in shown)

    def test_many_threads_at_once(self, case: ResolverCase) -> None:
        source = case.source()
        if isinstance(source, Anonymous):
            pytest.skip("no credentials are sent at all")
        with ThreadPoolExecutor(16) as pool:
            values = list(pool.map(lambda _: source.get(), range(64)))
        now = datetime.now(timezone.utc)
        assert all(value.expires_at is None or value.expires_at > now for value in values)

    def test_told_that_they_have_expired(self, case: ResolverCase) -> None:
        """The next ``get`` brings new ones, or the caller learns that there are none."""
        source = case.source()
        if isinstance(source, Anonymous):
            pytest.skip("no credentials are sent at all")
        used = source.get()
        try:
            source.expired(used)
            fresh = source.get()
        except CredentialsError as error:
            assert case.resolver.name in str(error)  # noqa: PT017
            return
        assert fresh is not used, "the refused ones were given out again"
