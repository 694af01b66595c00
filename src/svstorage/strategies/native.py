"""The fast lane for small and middling objects: our lean HTTP client, else obstore.

It carries a whole object in memory, so it takes only objects up to `LARGEST` and keeps all
bodies in flight below `BUDGET` together.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Any, Literal, cast

from svstorage import forks
from svstorage.addresses import display
from svstorage.errors import ChecksumMismatch, ObjectChanged
from svstorage.model import Attributes, Checksum, Entry, ObjectInfo, Stored
from svstorage.providers.base import NativeStore, ObjectStore, PipelinedStore, WholeStore
from svstorage.strategies.attributes import carried, tagged
from svstorage.strategies.base import Confirmed, Context, End, Job, Pair, PairMemo
from svstorage.strategies.crc import computable, crc_of
from svstorage.strategies.exact_keys import obstore_keeps

MIB = 1 << 20
LARGEST = 8 * MIB
BUDGET = 48 * MIB

_HEADERS = {
    "Content-Type": "content_type",
    "Content-Encoding": "content_encoding",
    "Content-Language": "content_language",
    "Content-Disposition": "content_disposition",
    "Cache-Control": "cache_control",
}


class MemoryBudget:
    """Bodies in flight, all threads together, stay below a number of bytes."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._condition = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until ``size`` bytes are free, and hold them."""
        with self._condition:
            while self._free < size:
                self._condition.wait()
            self._free -= size

    def give(self, size: int) -> None:
        with self._condition:
            self._free += size
            # All: the one that has waited longest may need more than is free, the next less.
            self._condition.notify_all()


@dataclass(frozen=True, slots=True)
class _Ways:
    """How objects can leave the source and enter the destination of one pair."""

    whole_reads: bool
    whole_writes: bool
    obstore_reads: bool
    obstore_writes: bool
    pipelined: Literal["get", "put"] | None
    """Which of both can have several requests under way; the other end is a local disk."""

    @classmethod
    def of(cls, pair: Pair) -> _Ways:
        source, destination = pair.source.store, pair.destination.store
        ends: tuple[tuple[Literal["get", "put"], ObjectStore, ObjectStore], ...] = (
            ("get", source, destination),
            ("put", destination, source),
        )
        pipelined: list[Literal["get", "put"]] = [
            way
            for way, store, other in ends
            if isinstance(store, PipelinedStore) and store.pipelines and other.capabilities.is_local
        ]
        whole_reads, whole_writes = (
            isinstance(store, WholeStore) and store.carries_whole for store in (source, destination)
        )
        return cls(
            whole_reads,
            whole_writes,
            not whole_reads and isinstance(source, NativeStore) and source.native_reads,
            not whole_writes and isinstance(destination, NativeStore) and destination.native_writes,
            pipelined[0] if pipelined else None,
        )


class NativeStrategy:
    name = "native"
    summary = "in memory, over our own lean HTTP client or obstore, for objects up to 8 MiB"

    def __init__(self) -> None:
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        # Other threads of the parent may hold bytes of it, and obstore is lost to the child.
        self._budget = MemoryBudget(BUDGET)
        self._ways = PairMemo(_Ways.of)

    def can_carry(self, job: Job) -> float | None:
        if job.entry.size > LARGEST:
            return None
        ways = self._ways(job.pair)
        able = (
            ways.whole_reads
            or ways.whole_writes
            or (ways.obstore_reads and obstore_keeps(job.entry.key))
            or (ways.obstore_writes and obstore_keeps(job.destination_key))
        )
        return 2.0 if able else None

    def carry(self, job: Job, context: Context) -> Confirmed:
        context.check_stop()
        size = job.entry.size
        self._budget.take(size)
        try:
            return self._carry(job, context)
        finally:
            self._budget.give(size)

    def _carry(self, job: Job, context: Context) -> Confirmed:
        source, entry = job.pair.source, job.entry
        ways = self._ways(job.pair)
        if ways.whole_reads:
            data, info = cast(WholeStore, source.store).read_whole(source.bucket, entry)
        elif ways.obstore_reads and obstore_keeps(entry.key):
            data, info = _get(source, entry)
        else:
            data, info = _read(source, entry)
        return self._place(job, data, info, context)

    def _place(self, job: Job, data: Any, info: ObjectInfo, context: Context) -> Confirmed:
        destination = job.pair.destination
        ways = self._ways(job.pair)
        digest, attributes, modified_ns = _checked(job, data, info, context)
        # obstore sends no tags.
        if ways.obstore_writes and obstore_keeps(job.destination_key) and not attributes.tags:
            stored = _put(destination, job.destination_key, data, attributes)
        else:
            stored = destination.store.put(
                destination.bucket,
                job.destination_key,
                data,
                size=len(data),
                attributes=attributes,
                modified_ns=modified_ns,
                # A local store would only hash the same memory once more.
                md5=None if destination.store.capabilities.is_local else digest,
            )
        return _confirmed(stored, data, digest, info, context)

    # Several under way at a time: see `PipelinedStrategy`.

    def pipelines(self, pair: Pair) -> bool:
        return self._ways(pair).pipelined is not None

    def begin(self, job: Job, context: Context) -> Any:
        source, destination = job.pair.source, job.pair.destination
        if self._ways(job.pair).pipelined == "get":
            return cast(PipelinedStore, source.store).send_get(source.bucket, job.entry)
        data, info = _read(source, job.entry)
        digest, attributes, _ = _checked(job, data, info, context)
        sent = cast(PipelinedStore, destination.store).send_put(
            destination.bucket, job.destination_key, data, attributes=attributes, md5=digest
        )
        return sent, data, digest, info

    def end(self, job: Job, begun: Any, context: Context) -> Confirmed:
        if self._ways(job.pair).pipelined == "get":
            data, info = cast(PipelinedStore, job.pair.source.store).receive_get(begun)
            return self._place(job, data, info, context)
        sent, data, digest, info = begun
        stored = cast(PipelinedStore, job.pair.destination.store).receive_put(sent)
        return _confirmed(stored, data, digest, info, context)


def _checked(
    job: Job, data: Any, info: ObjectInfo, context: Context
) -> tuple[bytes | None, Attributes, int | None]:
    """Digest, attributes and modification time of what was read, once it is known to be whole.

    Raises `ObjectChanged` for another number of bytes than listed, `ChecksumMismatch` where they
    are not those that the source announces.
    """
    entry, pair = job.entry, job.pair
    length = len(data)
    if length != entry.size:
        raise ObjectChanged(
            f"{display(entry.key)}: {length} bytes were read of {entry.size}; "
            "it changed while it was copied"
        )
    digest = None
    if context.verify == "checksum":
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        announced = info.entry.checksum
        if announced and announced.algorithm == "md5" and announced.value != digest.hex():
            raise ChecksumMismatch(
                f"{display(entry.key)}: the bytes that arrived are not those announced (MD5)"
            )
        told = info.crc if announced is None else None
        if told and computable(told) and crc_of(told.algorithm, data) != told:
            raise ChecksumMismatch(
                f"{display(entry.key)}: the bytes that arrived are not those announced (CRC)"
            )
    attributes, modified_ns = carried(
        tagged(pair.source, info, wanted=context.tags),
        pair.source.store.capabilities,
        pair.destination.store.capabilities,
        tags=context.tags,
    )
    return digest, attributes, modified_ns


def _confirmed(
    stored: Stored, data: Any, digest: bytes | None, info: ObjectInfo, context: Context
) -> Confirmed:
    size = info.entry.size
    context.progress(size)
    sent = Checksum("md5", digest.hex()) if digest else None
    crc = None
    # Where the ETag is no digest (encrypted buckets), the CRC tells.
    if digest and stored.checksum is None and stored.crc is not None and computable(stored.crc):
        crc = crc_of(stored.crc.algorithm, data)
    return Confirmed(stored, sent=sent, source=info.entry, crc=crc, bytes_sent=size)


def _read(end: End, entry: Entry) -> tuple[Any, ObjectInfo]:
    with end.store.read(end.bucket, entry.key, if_match=entry.etag) as reader:
        # One byte more than announced, so that a file that has grown is noticed.
        return reader.read(entry.size + 1), reader.info


def _get(end: End, entry: Entry) -> tuple[Any, ObjectInfo]:
    import obstore

    from svstorage.strategies.native_errors import translated

    native = cast(NativeStore, end.store).native(end.bucket)
    with translated("GET", entry.key):
        options: Any = {"if_match": f'"{entry.etag}"'} if entry.etag is not None else None
        answer = obstore.get(native, entry.key, options=options)
        data = answer.bytes()
        attributes = answer.attributes
        etag = answer.meta["e_tag"]
    if entry.etag is not None and etag is not None and etag.strip('"') != entry.etag:
        raise ObjectChanged(f"{display(entry.key)}: it changed while it was copied")
    known: dict[str, Any] = {
        ours: attributes[header] for header, ours in _HEADERS.items() if header in attributes
    }
    metadata = {
        str(name).lower(): value for name, value in attributes.items() if name not in _HEADERS
    }
    return data, ObjectInfo(entry, Attributes(metadata=metadata, **known))


def _put(end: End, key: str, data: Any, attributes: Attributes) -> Stored:
    import obstore

    from svstorage.strategies.native_errors import translated

    native = cast(NativeStore, end.store).native(end.bucket)
    headers: dict[str, str] = dict(attributes.metadata)
    for header, ours in _HEADERS.items():
        value = getattr(attributes, ours)
        if value is not None:
            headers[header] = value
    with translated("PUT", key):
        answer = obstore.put(
            native, key, data, attributes=cast(Any, headers) or None, use_multipart=False
        )
    etag = answer["e_tag"]
    etag = etag.strip('"') if etag else None
    return Stored(len(data), etag, md5_of_etag(etag))


def md5_of_etag(etag: str | None) -> Checksum | None:
    """S3's ETag of an object stored by one PUT is its MD5, unless the bucket is encrypted with
    KMS or customer keys; then it only looks like one, and `verify` asks further."""
    if etag is None or len(etag) != 32:
        return None
    try:
        bytes.fromhex(etag)
    except ValueError:
        return None
    return Checksum("md5", etag.lower())
