"""An open download, held to what was asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from svstorage.addresses import display
from svstorage.errors import ObjectChanged, ServiceError
from svstorage.model import ObjectInfo
from svstorage.providers.s3 import attributes
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from svstorage.providers.s3.wire import Response

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


class S3Reader:
    """The body of one GET. Ends after exactly the bytes that the answer announced."""

    def __init__(self, target: Target, response: Response | None, info: ObjectInfo, size: int):
        self.info = info
        self._target = target
        self._response = response
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, and fewer only at the end, which is empty."""
        if self._response is None or self._left == 0:
            self._finish()
            return b""
        wanted = self._left if size < 0 else min(size, self._left)
        if wanted == 0:
            return b""
        try:
            block: bytes = self._response.read(wanted, decode_content=False)
        except (HTTPError, OSError) as error:
            reason = type(error).__name__
            self.close()
            raise self._broken_off(reason) from None
        if not block:
            self.close()
            raise self._broken_off("end of data")
        self._left -= len(block)
        if self._left == 0:
            self._finish()
        return block

    def close(self) -> None:
        """Drops the connection where the body was not read to its end."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def __enter__(self) -> S3Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _finish(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.drain_conn()  # lets the library see the end of an empty body, too
            response.release_conn()

    def _broken_off(self, reason: str) -> ServiceError:
        return ServiceError(
            f"{self._target}: the body broke off, {self._left} bytes are missing ({reason})"
        )


def opened(
    target: Target, response: Response, start: int, wanted: int | None, if_match: str | None
) -> S3Reader:
    """A reader for an answer that is exactly what was asked for.

    ``start`` 0 and ``wanted`` None is the whole object. Raises `ServiceError` for another
    range, and `ObjectChanged` for another version.
    """
    try:
        headers = response.headers
        size = attributes.length(target, headers)
        total = size
        if start or wanted is not None:
            total = _checked_range(target, response, start, wanted, size)
        elif response.status != 200:
            raise ServiceError(f"{target}: status {response.status} in answer to a whole GET")
        info = attributes.object_info(target, headers, total)
        # Some services pay no heed to If-Match.
        if if_match is not None and info.entry.etag != if_match:
            raise ObjectChanged(
                f"{target}: it is another version now (ETag {display(str(info.entry.etag))})"
            )
    except BaseException:
        response.close()
        raise
    return S3Reader(target, response, info, size)


def _checked_range(
    target: Target, response: Response, start: int, wanted: int | None, size: int
) -> int:
    """The size of the whole object, from an answer that holds exactly the range.

    Content-Range counts, not the status: some services answer 200 to a range that they heed.
    """
    told = response.headers.get("content-range")
    if told is None:
        raise ServiceError(f"{target}: status {response.status} in answer to a GET of a range")
    match = _CONTENT_RANGE.match(told)
    if match is None:
        raise ServiceError(f"{target}: Content-Range {display(told)!r} cannot be read")
    first, last, total = (int(group) for group in match.groups())
    end = total if wanted is None else start + wanted
    if (first, last + 1, size) != (start, end, end - start):
        raise ServiceError(
            f"{target}: {display(told)!r} and {size} bytes in answer to a GET of bytes "
            f"{start} to {end}"
        )
    return total
