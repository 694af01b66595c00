"""The shared refresh: one thread renews for all, early, and a failure is not the end."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from svstorage.credentials.base import (
    AwsCredentials,
    RefreshingCredentials,
    StaticCredentials,
    utc,
)
from svstorage.errors import CredentialsError
from svstorage.settings import Secret
from tests.credentials.conftest import CANARY


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Service:
    """Hands out numbered credentials of a given life; counts, waits and fails as told."""

    def __init__(self, clock: Clock, life: float = 3600.0) -> None:
        self.clock = clock
        self.life = life
        self.calls = 0
        self.wait = 0.0
        self.down = False
        self.lock = threading.Lock()

    def fetch(self) -> AwsCredentials:
        with self.lock:
            self.calls += 1
            number = self.calls
        time.sleep(self.wait)
        if self.down:
            raise CredentialsError("the service is down")
        return AwsCredentials(
            f"key{number}", Secret(CANARY), Secret(CANARY), utc(self.clock.now + self.life)
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Service:
    return Service(clock)


@pytest.fixture
def source(service: Service, clock: Clock) -> RefreshingCredentials[AwsCredentials]:
    return RefreshingCredentials("test", service.fetch, clock=clock)


def together(source: RefreshingCredentials[AwsCredentials], threads: int = 100) -> list[object]:
    """``get`` in so many threads at one moment; keys or errors."""
    barrier = threading.Barrier(threads)

    def one(_: int) -> object:
        barrier.wait()
        try:
            return source.get().access_key
        except CredentialsError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(threads)))


def test_a_hundred_threads_at_the_start_make_one_fetch(source, service):
    service.wait = 0.2
    assert together(source) == ["key1"] * 100
    assert service.calls == 1


def test_a_hundred_threads_at_the_expiry_make_one_fetch(source, service, clock):
    source.get()
    clock.now += 3600
    service.wait = 0.2
    assert together(source) == ["key2"] * 100
    assert service.calls == 2


def test_while_one_thread_renews_early_the_others_do_not_wait(source, service, clock):
    source.get()
    clock.now += 3600 - 800  # the last quarter hour: still good
    service.wait = 1.0
    began = time.monotonic()
    quick = []

    def one(_: int) -> str:
        key = source.get().access_key
        quick.append(time.monotonic() - began)
        return key

    with ThreadPoolExecutor(20) as pool:
        keys = list(pool.map(one, range(20)))
    assert sorted(keys) == ["key1"] * 19 + ["key2"]
    assert sum(seconds < 0.5 for seconds in quick) == 19
    assert service.calls == 2


def test_nothing_is_fetched_before_it_is_due(source, service, clock):
    source.get()
    clock.now += 3600 - 901
    source.get()
    assert service.calls == 1
    clock.now += 2
    assert source.get().access_key == "key2"


def test_a_failed_early_renewal_goes_on_with_the_old_ones_until_their_end(
    source, service, clock, caplog
):
    caplog.set_level(logging.DEBUG)
    source.get()
    service.down = True
    clock.now += 3600 - 600
    assert source.get().access_key == "key1"
    assert service.calls == 2
    assert source.get().access_key == "key1"
    assert service.calls == 2, "the next try waits"
    assert "the service is down" in caplog.text
    assert CANARY not in caplog.text
    clock.now += 16
    assert source.get().access_key == "key1"
    assert service.calls == 3
    clock.now += 600
    with pytest.raises(CredentialsError, match="the service is down"):
        source.get()


def test_it_recovers_after_a_failed_renewal(source, service, clock):
    source.get()
    service.down = True
    clock.now += 3000
    source.get()
    service.down = False
    clock.now += 16
    assert source.get().access_key == "key3"


def test_threads_that_waited_share_the_failure(source, service, clock):
    service.down = True
    service.wait = 0.3
    began = time.monotonic()
    answers = together(source)
    assert all(isinstance(answer, CredentialsError) for answer in answers)
    # Latecomers may begin a second one; a hundred in a row would take 30 s.
    assert service.calls <= 3
    assert time.monotonic() - began < 5


def test_expired_renews_once_however_many_say_so(source, service):
    used = source.get()
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda _: source.expired(used), range(50)))
    assert together(source, 50) == ["key2"] * 50
    source.expired(used)  # a straggler with the old ones
    assert source.get().access_key == "key2"
    assert service.calls == 2


def test_credentials_that_have_ended_are_not_taken(source, service):
    service.life = -1
    with pytest.raises(CredentialsError, match="ended at"):
        source.get()


def test_a_renewal_that_answers_ended_ones_does_not_replace_good_ones(source, service, clock):
    source.get()
    clock.now += 3000
    service.life = -1
    assert source.get().access_key == "key1"


def test_short_lives_are_renewed_in_their_last_quarter(clock):
    service = Service(clock, life=60)
    source = RefreshingCredentials("test", service.fetch, clock=clock)
    for _ in range(300):  # five minutes, a request each second
        credentials = source.get()
        assert credentials.expires_at is not None
        assert credentials.expires_at.timestamp() > clock.now + 10
        clock.now += 1
    assert service.calls == 300 // 45 + 1


def test_a_service_without_newer_ones_is_not_hammered(clock):
    """Instance metadata shows new credentials only some minutes before the end."""
    calls = []

    def fetch() -> AwsCredentials:
        calls.append(clock.now)
        return AwsCredentials("key", Secret(CANARY), None, utc(1_800_000_000 + 3600))

    source = RefreshingCredentials("test", fetch, clock=clock)
    while clock.now < 1_800_000_000 + 3590:
        source.get()
        clock.now += 0.5
    assert 3 <= len(calls) <= 10


def test_static_ones_tell_their_end():
    now = datetime.now(timezone.utc)
    good = AwsCredentials("key", Secret(CANARY), None, now + timedelta(hours=1))
    assert StaticCredentials("static", good).get() is good
    ended = AwsCredentials("key", Secret(CANARY), None, now - timedelta(seconds=1))
    source = StaticCredentials("static", ended, mend="Buy new ones")
    with pytest.raises(CredentialsError, match=r"ended at .* Buy new ones"):
        source.get()
    with pytest.raises(CredentialsError, match="Buy new ones"):
        source.expired(ended)
    assert CANARY not in repr(ended) + repr(source) + repr(vars(source))
