"""The contracts for resolvers and strategies: ours pass, and broken ones do not."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from svstorage.credentials.base import AwsCredentials, Passed, StaticCredentials
from svstorage.plugins import plugins
from svstorage.providers.local.store import LocalStore
from svstorage.settings import Secret
from svstorage.strategies.base import Confirmed
from svstorage.strategies.server_side import ServerSideStrategy
from svstorage.strategies.stream import StreamStrategy
from svstorage.testing import (
    Carriage,
    ResolverCase,
    ResolverContract,
    StrategyContract,
    Subject,
    read_all,
)

SETTINGS = {
    "STORAGE_ENDPOINT": "http://127.0.0.1:9",
    "STORAGE_ACCESS_KEY": "name",
    "STORAGE_SECRET_KEY": "open-barley",
}
NEEDS = ("STORAGE_ACCESS_KEY", "STORAGE_SECRET_KEY")


def _case(resolver: Any) -> ResolverCase:
    provider = plugins().registry.providers["minio"]
    return ResolverCase(resolver, provider, SETTINGS, NEEDS, ("open-barley",))


class TestStatic(ResolverContract):
    @pytest.fixture
    def case(self) -> ResolverCase:
        return _case(plugins().registry.resolvers["minio", "static"])


class _Careless:
    """A resolver with every slip that the contract knows."""

    name = "careless"
    providers = ("minio",)
    order = 1
    ambient = False
    summary = "careless"

    def resolve(self, config: Any, settings: Any) -> Any:
        class Value(str):
            expires_at = None

        class Source:
            name = "somebody else"

            def get(self) -> Any:
                return Value(settings.text("STORAGE_SECRET_KEY"))

            def expired(self, used: Any) -> None:
                return None

        import socket

        with socket.socket() as probe:
            probe.settimeout(1)
            with contextlib.suppress(OSError):
                probe.connect(("127.0.0.1", 9))
        return Source()


@pytest.mark.parametrize(
    "test",
    [
        "test_it_answers",
        "test_it_passes_on_without_its_settings",
        "test_secrets_stay_secret",
    ],
)
def test_a_careless_resolver_is_found_out(test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(ResolverContract(), test)(_case(_Careless()))


def test_a_hasty_resolver_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="opened a connection"):
        ResolverContract().test_resolving_asks_no_service(_case(_Careless()), monkeypatch)


def test_one_that_gives_out_what_was_refused_is_found_out() -> None:
    class Stubborn(_Careless):
        def resolve(self, config: Any, settings: Any) -> Any:
            class Source(StaticCredentials[AwsCredentials]):
                def expired(self, used: Any) -> None:
                    return None

            return Source(self.name, AwsCredentials("a", Secret("b")))

    with pytest.raises(AssertionError, match="given out again"):
        ResolverContract().test_told_that_they_have_expired(_case(Stubborn()))
    assert isinstance(Passed("x").reason, str)


@pytest.fixture
def ends(tmp_path: Path) -> tuple[Subject, Subject]:
    store = LocalStore(tmp_path / "root")
    for name in ("source", "destination"):
        store.create_bucket(name)
    return Subject(store, "source"), Subject(store, "destination")


class TestStream(StrategyContract):
    @pytest.fixture
    def carriage(self, ends: tuple[Subject, Subject]) -> Carriage:
        return Carriage(StreamStrategy(), *ends)


class TestServerSide(StrategyContract):
    @pytest.fixture
    def carriage(self, ends: tuple[Subject, Subject]) -> Carriage:
        return Carriage(ServerSideStrategy(), *ends)


class _Short(StreamStrategy):
    """Loses the last byte, looks at no version, and renames odd keys."""

    def carry(self, job: Any, context: Any) -> Confirmed:
        source, destination = job.pair.source, job.pair.destination
        data = read_all(source.store, source.bucket, job.entry.key)[:-1]
        key = job.destination_key.replace(" ", "_")
        stored = destination.store.put(destination.bucket, key, data, size=len(data))
        return Confirmed(stored, bytes_sent=len(data))


@pytest.mark.parametrize(
    ("test", "arguments"),
    [
        ("test_bytes_arrive", {"size": 255}),
        ("test_it_replaces_the_whole", {}),
        ("test_keys_are_exact_or_left_to_others", {"name": "space"}),
    ],
    ids=str,
)
def test_a_careless_strategy_is_found_out(
    ends: tuple[Subject, Subject], test: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(AssertionError):
        getattr(StrategyContract(), test)(Carriage(_Short(), *ends), **arguments)


def test_one_that_looks_at_no_version_is_found_out(ends: tuple[Subject, Subject]) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        StrategyContract().test_another_version_than_listed(Carriage(_Short(), *ends))
