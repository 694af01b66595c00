"""Writing an object as a file: published when it is closed well, and only then.

Up to one part is kept in memory and stored in one request; more goes up in parts while it is
written (`MultipartStore`), or by way of a temporary file where the store has no parts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import sys
import tempfile
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from svstorage.errors import KeyNotSupported, ObjectExists, ObjectNotFound
from svstorage.filesystem.retry import retrying
from svstorage.model import Attributes, Part, PartLimits
from svstorage.providers.base import MultipartStore, ObjectStore

if TYPE_CHECKING:
    from typing_extensions import Buffer

log = logging.getLogger(__name__)

MIB = 1 << 20
FIRST_PART = 8 * MIB
PARTS_AT_ONCE = 3


def next_part_size(offset: int, limits: PartLimits, first: int = FIRST_PART) -> int:
    """Bytes of the part that begins at ``offset`` of an object whose size is not known.

    Parts grow with what is written, to a tenth of the allowed count's share: the first tenth of
    the parts are alike, then each is ``10 / max_parts`` of all before it. So 8 MiB at first
    come to 63 TiB in S3's 10,000 parts, and memory stays at a thousandth of the object.
    """
    even = first * max(1, limits.max_parts // 10)
    grown = first if offset < even else math.ceil(offset * 10 / limits.max_parts / MIB) * MIB
    return min(max(grown, limits.min_part), limits.max_part)


class ObjectWriter(io.RawIOBase):
    """A binary file for writing.

    The object appears, whole, when the file is closed; a reader sees the old one until then.
    Leaving a ``with`` block by an exception, or closing the file while an exception that was not
    there when it was opened is on its way, discards what was written. So does forgetting to
    close it. ``commit`` and ``discard`` say it outright.
    """

    def __init__(
        self,
        store: ObjectStore,
        bucket: str,
        key: str,
        *,
        part_size: int | None = None,
        exclusive: bool = False,
        autocommit: bool = True,
        attributes: Attributes | None = None,
    ) -> None:
        super().__init__()
        self.path = f"{bucket}/{key}"
        self.autocommit = autocommit
        self.exclusive = exclusive
        self._store = store
        self._bucket = bucket
        self._key = key
        self._attributes = attributes
        self._first_part = part_size or FIRST_PART
        self._buffer = bytearray()
        self._written = 0
        self._parts: _Parts | None = None
        self._spool: IO[bytes] | None = None
        self._state = "open"
        self._error_at_open = sys.exc_info()[1]

    mode = "wb"

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    @property
    def loc(self) -> int:
        """As fsspec's own files have it."""
        return self._written

    def write(self, data: Buffer) -> int:
        if self.closed or self._state != "open":
            raise ValueError(f"sv://{self.path}: writing to a closed file")
        view = memoryview(data).cast("B")
        self._buffer += view
        self._written += len(view)
        try:
            self._drain()
        except BaseException:
            self.discard()
            raise
        return len(view)

    def flush(self) -> None:
        """Nothing to do: half an object cannot be published."""

    def commit(self) -> None:
        """Publish what was written. Raises `ObjectExists` where an exclusive name is taken."""
        if self._state != "open":
            return
        try:
            self._publish()
        except BaseException:
            self.discard()
            raise
        self._state = "committed"
        self._release()

    def discard(self) -> None:
        """Forget what was written; the service keeps no part of it."""
        if self._state != "open":
            return
        self._state = "discarded"
        parts = self._parts
        self._release()
        if parts is not None:
            parts.abort()

    def close(self) -> None:
        if self.closed:
            return
        error = sys.exc_info()[1]
        try:
            if error is not None and error is not self._error_at_open:
                if self._state == "open":
                    log.warning("sv://%s: not written, because of %r", self.path, error)
                self.discard()
            elif self.autocommit:
                self.commit()
        finally:
            super().close()

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Here it is known, not inferred, whether the block went well.
        if kind is not None:
            self.discard()
        elif self.autocommit:
            self.commit()
        super().close()

    def __del__(self) -> None:
        if getattr(self, "_state", "") == "open" and not self.closed:
            if self.autocommit:
                warnings.warn(
                    f"sv://{self.path} was never closed: nothing is written",
                    ResourceWarning,
                    stacklevel=2,
                )
            self.discard()
            super().close()

    def __reduce__(self) -> str:
        raise TypeError("a file that is being written cannot be pickled")

    def __repr__(self) -> str:
        return f"<sv://{self.path}, {self._state}, {self._written} bytes>"

    def _drain(self) -> None:
        store = self._store
        limits = store.capabilities.parts
        if limits is None or not isinstance(store, MultipartStore):
            if self._spool is None and len(self._buffer) > self._first_part:
                self._spool = tempfile.TemporaryFile(prefix="svstorage-")  # noqa: SIM115
            if self._spool is not None:
                self._spool.write(self._buffer)
                self._buffer.clear()
            return
        while True:
            sent = self._written - len(self._buffer)
            size = next_part_size(sent, limits, self._first_part)
            # One byte more must be there: the last part may be small, but not empty.
            if len(self._buffer) <= size:
                return
            if self._parts is None:
                self._parts = _Parts(store, self._bucket, self._key, self._attributes)
            with memoryview(self._buffer) as view:
                part = bytes(view[:size])
            del self._buffer[:size]
            self._parts.send(part)
            if self._written > limits.max_object:
                raise KeyNotSupported(
                    f"sv://{self.path}: larger than the service holds ({limits.max_object} bytes)"
                )

    def _publish(self) -> None:
        if self._parts is not None:
            self._parts.send(bytes(self._buffer))
            self._buffer.clear()
            if self.exclusive and _is_there(self._store, self._bucket, self._key):
                raise ObjectExists(f"sv://{self.path}: it is there already")
            self._parts.complete()
            return
        body: Any = self._spool if self._spool is not None else bytes(self._buffer)

        def put() -> object:
            if self._spool is not None:
                self._spool.seek(0)
            return self._store.put(
                self._bucket,
                self._key,
                body,
                size=self._written,
                attributes=self._attributes,
                if_none_match=self.exclusive,
            )

        # A second try of an exclusive put could meet the object of the first.
        retrying(put, attempts=1 if self.exclusive else 5)

    def _release(self) -> None:
        self._buffer = bytearray()
        self._parts = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None


class _Parts:
    """An upload in parts, a few of them on their way at once."""

    def __init__(
        self, store: MultipartStore, bucket: str, key: str, attributes: Attributes | None
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._key = key
        self._upload = retrying(
            lambda: store.start_upload(bucket, key, size=None, attributes=attributes)
        )
        self._pool = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="svstorage-part")
        self._waiting: deque[Future[Part]] = deque()
        self._done: list[Part] = []
        self._offset = 0
        self._count = 0

    def send(self, data: bytes) -> None:
        if len(self._waiting) >= PARTS_AT_ONCE:
            self._done.append(self._waiting.popleft().result())
        self._count += 1
        self._waiting.append(self._pool.submit(self._put, self._count, self._offset, data))
        self._offset += len(data)

    def _put(self, number: int, offset: int, data: bytes) -> Part:
        return retrying(
            lambda: self._store.put_part(
                self._bucket,
                self._key,
                self._upload,
                number=number,
                offset=offset,
                size=len(data),
                body=data,
            )
        )

    def complete(self) -> None:
        while self._waiting:
            self._done.append(self._waiting.popleft().result())
        self._pool.shutdown()
        # Not tried again: after a lost answer the upload is gone, and perhaps published.
        self._store.complete_upload(self._bucket, self._key, self._upload, self._done)

    def abort(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()
        try:
            retrying(lambda: self._store.abort_upload(self._bucket, self._key, self._upload))
        except ObjectNotFound:
            return
        except Exception as error:  # the caller's own error matters more than this leftover
            log.warning("an unfinished upload to %s/%s is left: %s", self._bucket, self._key, error)


class TextWriter(io.TextIOWrapper):
    """Text mode, with the same rule: an exception in the ``with`` block discards."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        self._discard()
        with contextlib.suppress(ValueError):  # what is left of the text has nowhere to go
            self.close()

    def __del__(self) -> None:
        if not self.closed:
            self._discard()
            with contextlib.suppress(ValueError):
                self.close()

    def _discard(self) -> None:
        raw: Any = self.buffer
        if hasattr(raw, "discard"):
            raw.discard()


class Compressed(io.RawIOBase):
    """A compressor over an `ObjectWriter`: closes both, in that order, or discards."""

    def __init__(self, compressor: Any, target: ObjectWriter) -> None:
        super().__init__()
        self._compressor = compressor
        self._target = target

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        position: int = self._compressor.tell()
        return position

    def write(self, data: Buffer) -> int:
        self._compressor.write(data)
        return memoryview(data).nbytes

    def commit(self) -> None:
        self._compressor.close()
        self._target.commit()

    def discard(self) -> None:
        self._target.discard()

    def close(self) -> None:
        if self.closed:
            return
        try:
            if not self._target.closed and self._target._state == "open":
                self._compressor.close()
            self._target.close()
        finally:
            super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if not self.closed:
            self.discard()
            super().close()


def _is_there(store: ObjectStore, bucket: str, key: str) -> bool:
    try:
        retrying(lambda: store.head(bucket, key))
    except FileNotFoundError:
        return False
    return True
