"""An open download, checked against what its headers promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from svstorage.errors import ServiceError
from svstorage.providers.connections import reason_of

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from svstorage.model import ObjectInfo
    from svstorage.providers.target import Target


class HttpReader:
    """Bytes of one answer. Closing before the end drops the connection."""

    def __init__(
        self, info: ObjectInfo, target: Target, response: BaseHTTPResponse | None, length: int
    ) -> None:
        self.info = info
        self._target = target
        self._response = response
        self._left = length
        self._release_at_end()

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes. Raises `ServiceError` where the body ends early."""
        response = self._response
        if response is None or size == 0:
            return b""
        problem = ""
        data = b""
        try:
            data = response.read(
                self._left if size < 0 else min(size, self._left), decode_content=False
            )
        except (HTTPError, OSError) as error:
            problem = reason_of(error)
        if problem or not data:
            self.close()
            raise ServiceError(
                f"{self._target}: the body broke off, {self._left} bytes are missing "
                f"({problem or 'end of data'})"
            )
        self._left -= len(data)
        self._release_at_end()
        return data

    def _release_at_end(self) -> None:
        """Hand the connection back for the next request."""
        if self._response is not None and not self._left:
            self._response.drain_conn()
            self._response.release_conn()
            self._response = None

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def __enter__(self) -> HttpReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
