"""What every copy strategy must pass: exact bytes or an error, whole objects, honest counts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from svstorage.errors import Interrupted, KeyNotSupported, ObjectChanged, ObjectNotFound
from svstorage.model import Attributes, Entry
from svstorage.plugins import Registry
from svstorage.strategies.base import Confirmed, Context, End, Job, Pair
from svstorage.testing.keys import KEYS
from svstorage.testing.objects import SIZES
from svstorage.testing.subject import Subject, content


@dataclass(frozen=True, slots=True)
class Carriage:
    """A strategy with a source and a destination that it is made for.

    ``size`` is one that it carries, for tests that need just one object.
    """

    strategy: Any
    source: Subject
    destination: Subject
    size: int = 100_000
    moved: list[int] = field(default_factory=list)

    def job(self, key: str, entry: Entry | None = None) -> Job:
        """The job of carrying ``key``, as listed unless ``entry`` is given."""
        if entry is None:
            (entry,) = (row for row in self.source.entries(key) if row.key == key)
        pair = Pair(
            End(self.source.store, self.source.bucket),
            End(self.destination.store, self.destination.bucket),
        )
        return Job(pair, entry, key)

    def carry(self, key: str, **context: Any) -> Confirmed:
        """Carry it; skips the test where the strategy says that it cannot."""
        return self.do(self.job(key), **context)

    def do(self, job: Job, **context: Any) -> Confirmed:
        if self.strategy.can_carry(job) is None:
            pytest.skip("the strategy leaves this object to others")
        lent = Context(**{"progress": self.moved.append, **context})
        confirmed: Confirmed = self.strategy.carry(job, lent)
        return confirmed


class StrategyContract:
    """Subclass, give a fixture ``carriage`` that returns a `Carriage`, and run pytest."""

    def test_it_registers(self, carriage: Carriage) -> None:
        registry = Registry(plugin="contract")
        registry.add_strategy(carriage.strategy)
        assert registry.warnings == []
        assert registry.strategies == {carriage.strategy.name: carriage.strategy}
        assert carriage.strategy.summary

    def test_it_carries_something(self, carriage: Carriage) -> None:
        carriage.source.put("o", content("o", carriage.size))
        cost = carriage.strategy.can_carry(carriage.job("o"))
        assert cost is not None, "between these two it must carry an object of Carriage.size"
        assert cost >= 0

    @pytest.mark.parametrize("size", SIZES)
    def test_bytes_arrive(self, carriage: Carriage, size: int) -> None:
        data = content(size, size)
        carriage.source.put("folder/o", data)
        confirmed = carriage.carry("folder/o")
        assert carriage.destination.get("folder/o") == data
        assert confirmed.stored.size == size
        assert confirmed.bytes_sent in (0, size)
        assert sum(carriage.moved) in (0, size), "progress counts each byte once"
        self._is_told_right(carriage, confirmed, "folder/o", data)

    @staticmethod
    def _is_told_right(carriage: Carriage, confirmed: Confirmed, key: str, data: bytes) -> None:
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        for checksum in (confirmed.sent, confirmed.stored.checksum):
            if checksum is not None and checksum.algorithm == "md5":
                assert checksum.value == digest
        head = carriage.destination.store.head(carriage.destination.bucket, key).entry
        if confirmed.stored.etag is not None:
            assert confirmed.stored.etag == head.etag

    def test_it_replaces_the_whole(self, carriage: Carriage) -> None:
        data = content("new", carriage.size)
        carriage.source.put("o", data)
        carriage.destination.put("o", content("old", carriage.size + 5000))
        carriage.carry("o")
        assert carriage.destination.get("o") == data
        assert carriage.destination.keys() == ["o"]

    @pytest.mark.parametrize("name", KEYS)
    def test_keys_are_exact_or_left_to_others(self, carriage: Carriage, name: str) -> None:
        key, data = KEYS[name], content(name, 64)
        for side in (carriage.source, carriage.destination):
            side.require_key(key)
        if not carriage.source.may_put(key, data):
            pytest.skip("the source cannot hold this key")
        try:
            carriage.carry(key)
        except KeyNotSupported:
            assert carriage.destination.keys() == []
            return
        assert carriage.destination.keys() == [key]
        assert carriage.destination.get(key) == data

    def test_another_version_than_listed(self, carriage: Carriage) -> None:
        """Noticed, and the destination is as it was."""
        source, destination = carriage.source, carriage.destination
        source.put("o", content("listed", carriage.size))
        job = carriage.job("o")
        source.put("o", content("later", carriage.size + 1))
        destination.put("o", b"as it was")
        with pytest.raises(ObjectChanged):
            carriage.do(job)
        assert destination.get("o") == b"as it was"

    def test_what_is_gone(self, carriage: Carriage) -> None:
        carriage.source.put("o", content("o", carriage.size))
        job = carriage.job("o")
        carriage.source.store.delete(carriage.source.bucket, "o")
        with pytest.raises((ObjectNotFound, ObjectChanged)):
            carriage.do(job)
        assert carriage.destination.keys() == []

    def test_stopped(self, carriage: Carriage) -> None:
        """Where it looks (`Context.check_stop`), nothing half is left."""

        def stop() -> None:
            raise Interrupted("stopped")

        carriage.source.put("o", content("o", carriage.size))
        carriage.destination.put("o", b"as it was")
        try:
            carriage.carry("o", check_stop=stop)
        except Interrupted:
            assert carriage.destination.get("o") == b"as it was"
        else:  # too quick to look, or nothing passes through it
            assert carriage.destination.get("o") == content("o", carriage.size)

    def test_attributes_travel(self, carriage: Carriage) -> None:
        ends = (carriage.source, carriage.destination)
        if not all(end.store.capabilities.holds_metadata for end in ends):
            pytest.skip("one of the two holds no metadata")
        given = Attributes(content_type="text/x-contract", metadata={"name": "Z\u00fcrich"})
        carriage.source.put("o", content("o", carriage.size), given)
        carriage.carry("o")
        kept = carriage.destination.store.head(carriage.destination.bucket, "o").attributes
        kept = replace(kept, metadata={k: v for k, v in kept.metadata.items() if k != "mtime"})
        assert (kept.content_type, dict(kept.metadata)) == (given.content_type, given.metadata)

    def test_choosing_changes_nothing(self, carriage: Carriage) -> None:
        """``can_carry`` is asked once for every object of a run."""
        carriage.source.put("o", content("o", carriage.size))
        job = carriage.job("o")
        costs = {carriage.strategy.can_carry(job) for _ in range(100)}
        assert len(costs) == 1
        assert carriage.destination.keys() == []
