"""The store under test, and the few helpers that the contract's tests share."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from svstorage.errors import KeyNotSupported
from svstorage.model import Attributes, CommonPrefix, Entry, PartLimits, Problem, Stored
from svstorage.providers.base import MultipartStore, ObjectStore


def _keeps_all(key: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Subject:
    """A connected store and a bucket of it that is there and empty.

    ``server_loses_key`` tells why the server of this test run (not the provider) cannot hold a
    key, or None; such keys are skipped. ``page`` is how many keys one listing request of the
    store fetches: the paging test stores a few more. ``part`` is the size in bytes of the parts
    that are uploaded, the store's smallest part unless given. ``absent_bucket`` is a valid name
    of a bucket that is not there. ``reconnect`` opens a second store over the same service, as
    a later process would; ``store`` itself is used again where it is missing. ``grain`` is how
    many seconds must lie between two versions of one size for the store to tell them apart, and
    how exact the times are that it sets: 0 but for protocols that know no finer times.
    """

    store: ObjectStore
    bucket: str
    server_loses_key: Callable[[str], str | None] = _keeps_all
    page: int = 1000
    part: int | None = None
    absent_bucket: str = "svstorage-contract-absent"
    reconnect: Callable[[], ObjectStore] | None = field(default=None)
    grain: float = 0.0

    def put(
        self, key: str, data: bytes = b"x", attributes: Attributes | None = None, **more: object
    ) -> Stored:
        """Store ``data`` from a file-like object, as the engine does."""
        return self.store.put(
            self.bucket, key, io.BytesIO(data), size=len(data), attributes=attributes,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def put_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.put(key)

    def get(self, key: str) -> bytes:
        return read_all(self.store, self.bucket, key)

    def keys(self, prefix: str = "", start_after: str = "") -> list[str]:
        """Keys as listed. Fails on a `Problem`."""
        return [e.key for e in self.entries(prefix, start_after)]

    def entries(self, prefix: str = "", start_after: str = "") -> list[Entry]:
        found: list[Entry] = []
        for row in self.store.list(self.bucket, prefix, start_after=start_after):
            assert isinstance(row, Entry), f"met while listing: {row}"
            found.append(row)
        return found

    def level(self, prefix: str = "") -> list[str]:
        """Names one level down: keys and common prefixes, as listed."""
        found: list[str] = []
        for row in self.store.list_level(self.bucket, prefix):
            assert not isinstance(row, Problem), f"met while listing: {row}"
            found.append(row.prefix if isinstance(row, CommonPrefix) else row.key)
        return found

    def has(self, key: str) -> bool:
        return key in self.keys(key)

    def require_key(self, key: str) -> None:
        """Skip the test where this run's server loses the key."""
        reason = self.server_loses_key(key)
        if reason:
            pytest.skip(f"the test server cannot hold {key!r}: {reason}")

    def may_put(self, key: str, data: bytes) -> bool:
        """Store, or False where the provider refuses the key by name as it should."""
        try:
            self.put(key, data)
        except KeyNotSupported:
            return False
        return True

    def multipart(self) -> tuple[MultipartStore, int]:
        """The store's uploads and the part size to use; skips where it has none."""
        store = self.store
        limits: PartLimits | None = store.capabilities.parts
        if limits is None or not isinstance(store, MultipartStore):
            pytest.skip("this store has no uploads in parts")
        return store, self.part or max(limits.min_part, 64 * 1024)


def content(seed: object, size: int) -> bytes:
    """``size`` bytes that look random, always the same for one seed."""
    if size == 0:
        return b""
    block = hashlib.shake_256(repr(seed).encode()).digest(min(size, 65_537))
    return (block * (size // len(block) + 1))[:size]


def read_all(
    store: ObjectStore,
    bucket: str,
    key: str,
    *,
    start: int = 0,
    length: int | None = None,
    if_match: str | None = None,
    chunk: int = 100_000,
) -> bytes:
    """The bytes of an object or of a range, read in blocks of ``chunk``."""
    blocks: list[bytes] = []
    with store.read(bucket, key, start=start, length=length, if_match=if_match) as reader:
        while block := reader.read(chunk):
            assert len(block) <= chunk, "read() gave more than it was asked for"
            blocks.append(bytes(block))
    return b"".join(blocks)
