"""What a provider is, and what a connected store can be asked.

A plugin author derives from `svstorage.providers.BaseProvider` and gives a ``name`` and
``filesystem`` (any fsspec filesystem). With that alone the provider gets every command, through
`FsspecStore`. A provider whose ``connect`` returns an `ObjectStore` of its own adds exact keys,
ordered listings and checksums; one that adds `MultipartStore` gets resumable transfers; one that
adds `NativeStore` gets the fast lane.

All methods are synchronous and safe to call from many threads at once. Errors are those of
`svstorage.errors`: `ObjectNotFound`, `AccessRefused`, `Throttled`, `ServiceError`,
`ConnectionFailed`, `ObjectChanged` (an ``if_match`` that failed), `KeyNotSupported`.
A store makes no retries of its own beyond one refresh of expired credentials: the engine above
retries, so that attempts are counted and slowed down in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, TypeVar, runtime_checkable

from svstorage.model import (
    Attributes,
    BucketInfo,
    Capabilities,
    CommonPrefix,
    Entry,
    ObjectInfo,
    Part,
    Problem,
    Stored,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from typing_extensions import Buffer

    from svstorage.credentials.base import CredentialSource
    from svstorage.settings import Settings, Variable


Chunk = bytes | bytearray | memoryview


@runtime_checkable
class ProviderConfig(Protocol):
    """The typed settings of one provider: a frozen dataclass whose repr shows no secret."""

    @property
    def endpoint_is_vendors(self) -> bool:
        """True where the endpoint is the vendor's own service.

        Ambient credentials (environment, profiles, metadata services) are offered to no other
        endpoint unless ``STORAGE_CREDENTIALS`` names their resolver.
        """
        ...

    @property
    def location(self) -> str:
        """Where the data lives, for people and for telling two storages apart; no secrets."""
        ...


class ObjectReader(Protocol):
    """An open download. Use as a context manager; closing early drops the connection."""

    info: ObjectInfo

    def read(self, size: int = -1, /) -> Chunk:
        """Up to ``size`` bytes; empty at the end. A body cut short raises `ServiceError`."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> ObjectReader: ...

    def __exit__(self, *exc: object) -> None: ...


class Body(Protocol):
    """What ``put`` sends: bytes-like, or a file-like object read once from where it stands."""

    def read(self, size: int = -1, /) -> Chunk: ...


class ObjectStore(Protocol):
    """A connected storage over all its buckets, speaking exact keys."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def identity(self) -> str:
        """Equal for two stores that share buckets and may copy server-side (no secrets)."""
        ...

    def list_buckets(self) -> list[BucketInfo]: ...

    def bucket_exists(self, bucket: str) -> bool: ...

    def create_bucket(self, bucket: str) -> None:
        """Raises `ObjectExists` where it is there already."""
        ...

    def delete_bucket(self, bucket: str) -> None:
        """Raises `ObjectError` where it is not empty."""
        ...

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        """Every object whose key begins with ``prefix`` and sorts after ``start_after``.

        Lazily paged, in byte order of the keys where ``capabilities.listing_order`` says so.
        Never cached. Raises `BucketNotFound`; raises `ListingError` on a page that does not
        parse or a token that loops.
        """
        ...

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        """Like ``list`` but one level down: deeper keys appear once, as a `CommonPrefix`."""
        ...

    def head(self, bucket: str, key: str) -> ObjectInfo: ...

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> ObjectReader:
        """Open a download of ``length`` bytes from ``start`` (to the end where None).

        With ``if_match``, another version of the object raises `ObjectChanged`. An answer that
        is not exactly the range asked for raises `ServiceError`.
        """
        ...

    def put(
        self,
        bucket: str,
        key: str,
        body: Buffer | Body,
        *,
        size: int,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
        md5: bytes | None = None,
        if_none_match: bool = False,
    ) -> Stored:
        """Store one object of ``size`` bytes; readers see the old one or the new, never a part.

        ``md5`` is sent along for the service to check. ``modified_ns`` is set where the store
        can (`Capabilities.sets_modified`). A body of another size raises `ObjectChanged` and
        stores nothing. ``if_none_match`` raises `ObjectExists` where the key is taken.
        """
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Remove the object; no error where it is not there (as S3 does)."""
        ...

    def delete_many(
        self, bucket: str, keys: Sequence[str]
    ) -> Iterable[tuple[str, Exception | None]]:
        """Remove many; one outcome for each key, in any order."""
        ...

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        """Copy inside the service, the version of ``source.etag`` or `ObjectChanged`.

        None ``attributes`` keeps those of the source. Any size the service allows.
        """
        ...

    def presign(
        self,
        bucket: str,
        key: str,
        *,
        expires: int,
        method: Literal["GET", "PUT"] = "GET",
    ) -> str:
        """A URL that works without credentials for ``expires`` seconds. It is a secret."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class MultipartStore(Protocol):
    """A store whose big uploads are made of parts that survive a crash."""

    def start_upload(
        self,
        bucket: str,
        key: str,
        *,
        size: int | None,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
    ) -> str:
        """Begin; the answer names the upload in later calls, also of a later process.

        ``size`` is None where it is not known before the end (a stream).
        """
        ...

    def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        *,
        number: int,
        offset: int,
        size: int,
        body: Buffer | Body,
    ) -> Part:
        """Store one part, read from ``body`` once; parts of a big object need not fit in memory.

        ``offset`` is where the part lies in the object. A body that is shorter or longer than
        ``size`` raises `ObjectChanged`.
        """
        ...

    def list_parts(self, bucket: str, key: str, upload_id: str) -> list[Part]:
        """The parts that the service holds. Raises `ObjectNotFound` where it has forgotten."""
        ...

    def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: Sequence[Part]
    ) -> Stored:
        """Publish the object made of ``parts`` (all of them, in order)."""
        ...

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None: ...

    def list_uploads(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, str]]:
        """(key, upload id) of every unfinished upload."""
        ...


@runtime_checkable
class TellsTags(Protocol):
    """A store that tells an object's tags by a request of their own."""

    def tags(self, bucket: str, key: str) -> Mapping[str, str]: ...


@runtime_checkable
class CopiesAcross(Protocol):
    """A store that can copy out of another one without the bytes passing through the engine."""

    def copies_from(self, other: Any) -> bool: ...

    def copy_from(
        self,
        other: Any,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        """As `ObjectStore.copy`, where the source is a bucket of ``other``."""
        ...


@runtime_checkable
class ShowsUploads(Protocol):
    """A store that can show what it holds of an unfinished upload (local disk)."""

    def open_upload(self, bucket: str, key: str, upload_id: str) -> BinaryIO:
        """The bytes so far, each part at its offset. Raises `ObjectNotFound`."""
        ...


@runtime_checkable
class NativeStore(Protocol):
    """A store that obstore can carry objects of, for the keys that obstore keeps exact."""

    native_reads: bool
    """False where obstore must not read (see the provider for why)."""
    native_writes: bool
    """True where the answer to obstore's put confirms the content (S3: the ETag is its MD5)."""

    def native(self, bucket: str) -> Any:
        """The obstore store of one bucket (obstore has no common public base type)."""
        ...


@runtime_checkable
class WholeStore(Protocol):
    """A store that carries small objects whole, cheaply: `read_whole` and a ``put`` of bytes."""

    carries_whole: bool
    """False where these calls are no cheaper than others (behind a proxy, say)."""

    def read_whole(self, bucket: str, entry: Entry) -> tuple[Chunk, ObjectInfo]:
        """All bytes of a listed object, and what the answer told of it.

        Raises `ObjectChanged` where it is another version than ``entry``. The caller compares
        the number of bytes.
        """
        ...


@runtime_checkable
class TellsCrc(Protocol):
    """A store whose ``head``, ``put`` and ``complete_upload`` may tell a CRC of the whole."""

    tells_crc: bool
    """False where the service is not known to: then nobody need compute one."""


@runtime_checkable
class Sequential(Protocol):
    """A store that does better when it knows that a thread deals with many objects in a row: the
    thread enters ``in_sequence`` around them."""

    def in_sequence(self) -> AbstractContextManager[None]: ...


@runtime_checkable
class PipelinedStore(Protocol):
    """A store whose small objects can be under way several at a time in one thread.

    What ``send_…`` gives is handed to its ``receive_…``, by the same thread and in any order.
    Both raise what `ObjectStore.put` and `WholeStore.read_whole` do; nothing is tried again.
    """

    pipelines: bool
    """False where these calls are not to be used (behind a proxy, say)."""

    def send_put(
        self,
        bucket: str,
        key: str,
        body: bytes | memoryview,
        *,
        attributes: Attributes | None,
        md5: bytes | None,
    ) -> Any: ...

    def receive_put(self, sent: Any) -> Stored: ...

    def send_get(self, bucket: str, entry: Entry) -> Any: ...

    def receive_get(self, sent: Any) -> tuple[Chunk, ObjectInfo]: ...


ConfigT = TypeVar("ConfigT", bound=ProviderConfig)


class Provider(Protocol[ConfigT]):
    """One kind of storage, as a plugin registers it.

    ``name`` and ``other_names`` are what ``STORAGE_PROVIDER`` accepts.
    """

    name: str
    other_names: tuple[str, ...]
    summary: str
    schemes: tuple[str, ...]
    """URL schemes of link addresses that mean this provider (``s3`` for ``s3://bucket/key``)."""
    variables: tuple[Variable | str, ...]
    """The settings it reads: common ones by name or in its own words, and those that only it
    has (for typo warnings, ``config show`` and ``config init``)."""
    credentials_mend: str
    """What to set where no credentials were found, in one sentence."""

    def parse_config(self, settings: Settings) -> ConfigT:
        """Settings to config, or `SettingsError`. No I/O to any service."""
        ...

    def connect(self, config: ConfigT, credentials: CredentialSource[Any] | None) -> ObjectStore:
        """A store. May check nothing yet: the first call to the service tells."""
        ...

    def filesystem(
        self, config: ConfigT, credentials: CredentialSource[Any] | None
    ) -> AbstractFileSystem:
        """The vendor's own fsspec filesystem (s3fs, adlfs …) with the same credentials."""
        ...

    def needs_credentials(self, config: ConfigT) -> bool: ...
