"""The answer to a GET, held to what was asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svstorage.addresses import display
from svstorage.errors import ObjectChanged, ServiceError
from svstorage.providers.reader import HttpReader
from svstorage.providers.s3 import attributes
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from svstorage.providers.s3.wire import Response

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


def opened(
    target: Target, response: Response, start: int, wanted: int | None, if_match: str | None
) -> HttpReader:
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
    return HttpReader(info, target, response, size)


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
