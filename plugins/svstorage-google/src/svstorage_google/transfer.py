"""The bytes of an object on their way up and down."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import HTTPError

from svstorage.errors import (
    ChecksumMismatch,
    ObjectChanged,
    ObjectError,
    ServiceError,
    StorageError,
)
from svstorage.model import ObjectInfo

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

_BLOCK = 256 * 1024


class Upload:
    """The body of one ``uploadType=multipart`` request: the fields, then the content.

    Only a content of exactly ``size`` bytes, with the MD5 where it is given, is ever completed:
    the closing boundary is sent after both are known. ``error`` is why it was not; urllib3 would
    take those of our errors that are an `OSError` for broken connections.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        body: Buffer | Body,
        size: int,
        name: str,
        md5: bytes | None,
    ) -> None:
        self.error: BaseException | None = None
        self._body = body
        self._size = size
        self._name = name
        self._md5 = md5
        boundary = secrets.token_hex(16)
        if md5 is not None:
            fields = {**fields, "md5Hash": base64.b64encode(md5).decode()}
        kind = fields.get("contentType") or "application/octet-stream"
        self._head = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps(fields)}\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {
            "Content-Type": f"multipart/related; boundary={boundary}",
            "Content-Length": str(len(self._head) + size + len(self._tail)),
        }

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield self._head
            digest = hashlib.md5(usedforsecurity=False)
            for data in self._content():
                if self._md5 is not None:
                    digest.update(data)
                yield data
            if self._md5 is not None and digest.digest() != self._md5:
                raise ChecksumMismatch(f"{self._name}: the bytes do not have the MD5 that was told")
            yield self._tail
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise

    def _content(self) -> Iterator[bytes]:
        read: Any = getattr(self._body, "read", None)
        if read is None:
            view = memoryview(self._body).cast("B")  # type: ignore[arg-type]
            if len(view) != self._size:
                raise self._wrong_size(len(view))
            for start in range(0, self._size, _BLOCK):
                yield bytes(view[start : start + _BLOCK])
            return
        given = 0
        while True:
            # At the end one more byte is asked for: a longer source must not pass as complete.
            left = self._size - given
            try:
                data = bytes(read(min(left, _BLOCK) if left else 1))
            except StorageError:
                raise
            except OSError as error:
                raise ObjectError(f"{self._name}: the source cannot be read: {error}") from error
            if not data and not left:
                return
            given += len(data)
            if not data or given > self._size:
                raise self._wrong_size(given)
            yield data

    def _wrong_size(self, given: int) -> ObjectChanged:
        what = "more" if given > self._size else f"only {given}"
        return ObjectChanged(
            f"{self._name}: the source should have {self._size} bytes but gave {what}"
        )


class Reader:
    """An open download of ``length`` bytes; None for ``response`` where there are none."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse | None, info: ObjectInfo, length: int
    ) -> None:
        self.info = info
        self._response = response
        self._left = length

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK), b""))
        response = self._response
        if not size or not self._left or response is None:
            return b""
        name = repr(self.info.entry.key)
        try:
            data = response.read(min(size, self._left), decode_content=False)
        except (HTTPError, OSError) as error:
            raise ServiceError(f"{name}: the download broke off: {error}") from error
        if not data:
            raise ServiceError(f"{name}: the download ended {self._left} bytes early")
        self._left -= len(data)
        return data

    def close(self) -> None:
        response, self._response = self._response, None
        if response is None:
            return
        if self._left:
            response.close()  # what is left of it must not be read as the next answer
        else:
            response.drain_conn()
            response.release_conn()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
