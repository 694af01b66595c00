"""Parts of the command on their own, with stores that fail in ways no server here can be told to.

The stores are mocks for that reason: a listing that breaks off in the middle and comes back in
another order, a deletion that is refused for one key of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from svstorage.cli.deleting import Deleter
from svstorage.cli.listing import Lister
from svstorage.cli.state import State
from svstorage.cli.targets import Target
from svstorage.errors import AccessRefused, BucketNotFound, ObjectNotFound, ServiceError
from svstorage.model import Capabilities, Entry, Problem
from svstorage.transfer import retry


class Store:
    """Lists what it is given, one answer for each time it is asked; an error breaks off."""

    capabilities = Capabilities()
    identity = "mock"

    def __init__(self, *answers: list[Any], refuses: Iterable[str] = ()) -> None:
        self.answers = list(answers)
        self.refuses = set(refuses)
        self.deleted: list[str] = []
        self.asked: list[str] = []

    def list(self, bucket: str, prefix: str, *, start_after: str = "") -> Iterator[Any]:
        self.asked.append(start_after)
        for item in self.answers.pop(0):
            if isinstance(item, Exception):
                raise item
            yield item

    def head(self, bucket: str, key: str) -> Any:
        raise ObjectNotFound(key)

    def bucket_exists(self, bucket: str) -> bool:
        return True

    def delete_many(self, bucket: str, keys: list[str]) -> Iterator[Any]:
        for key in keys:
            if key in self.refuses:
                yield key, AccessRefused(f"403 for {key}")
            else:
                self.deleted.append(key)
                yield key, None


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.0)


def _target(store: Store) -> Target:
    return Target(store, "b", "", "sv://b", "sv://b/")  # type: ignore[arg-type]


def _entries(*keys: str) -> list[Any]:
    return [Entry(key, 1) for key in keys]


def _listed(store: Store) -> list[str]:
    return [entry.key for entry in Lister(State()).entries(_target(store))]


def test_a_listing_goes_on_where_it_broke_off() -> None:
    broken = [*_entries("a", "b"), ServiceError("500")]
    assert _listed(Store(broken, _entries("c"))) == ["a", "b", "c"]
    # A service without "start after" begins at the beginning again.
    assert _listed(Store(broken, _entries("a", "b", "c"))) == ["a", "b", "c"]
    store = Store([*_entries("a"), ServiceError("500")], [ServiceError("500")], _entries("b"))
    assert _listed(store) == ["a", "b"]
    assert store.asked == ["", "a", "a"]


def test_names_out_of_order_are_all_shown() -> None:
    assert _listed(Store(_entries("b", "a", "c"))) == ["b", "a", "c"]
    # But then nothing tells where to go on.
    with pytest.raises(ServiceError):
        _listed(Store([*_entries("b", "a"), ServiceError("500")], _entries("a", "b", "c")))


def test_a_service_that_stays_broken_ends_the_listing() -> None:
    with pytest.raises(ServiceError):
        _listed(Store(*[[ServiceError("500")] for _ in range(9)]))


def test_problems_of_a_listing_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    lister = Lister(State())
    store = Store([Problem("dark/", "permission denied"), *_entries("x"),
                   Problem("pipe", "a FIFO", "skipped")])  # fmt: skip
    assert [entry.key for entry in lister.entries(_target(store))] == ["x"]
    assert lister.exit_code == 1
    told = capsys.readouterr().err.splitlines()
    assert told == ["error: sv://b/dark/: permission denied", "skipped sv://b/pipe: a FIFO"]


def test_a_refused_deletion_is_named_and_stops_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Store(refuses=["k1", "k3"])
    deleter = Deleter(State())
    deleter.delete(_target(store), [f"k{number}" for number in range(5)])
    deleter.tell()
    assert store.deleted == ["k0", "k2", "k4"]
    assert (deleter.deleted, deleter.failures, deleter.exit_code) == (3, 2, 1)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "error: sv://b/k1: 403 for k1", "error: sv://b/k3: 403 for k3",
        "deleted 3 objects, 2 failed",
    ]  # fmt: skip


def test_a_dry_run_deletes_nothing() -> None:
    store = Store()
    deleter = Deleter(State(), dry_run=True)
    assert deleter.delete(_target(store), ["a", "b"]) == 2
    assert store.deleted == []


def test_a_missing_bucket_is_no_missing_object() -> None:
    class Gone(Store):
        def bucket_exists(self, bucket: str) -> bool:
            raise BucketNotFound(bucket)

    target = Target(Gone(), "b", "key", "sv://b/key", "sv://b/")  # type: ignore[arg-type]
    with pytest.raises(BucketNotFound):
        Lister(State()).own_entry(target)
