"""Requests to a WebDAV server, and its refusals as errors of ours. Redirects are not followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from svstorage.errors import (
    AccessRefused,
    CredentialsError,
    ObjectError,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)
from svstorage.providers.body import SizedBody
from svstorage.providers.connections import READ_TIMEOUT, Connections, reason_of
from svstorage.providers.target import Target
from svstorage_webdav.multistatus import ASKED, Malformed, Row, rows

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from svstorage.credentials.base import CredentialSource
    from svstorage_webdav.config import WebdavConfig
    from svstorage_webdav.credentials import WebdavCredentials
    from svstorage_webdav.keys import Path

_BLOCK = 64 * 1024
_MAX_IGNORED = 1024 * 1024
# A server may put a big file in its place, or assemble a folder's properties, before it answers.
_ANSWER_TIMEOUT = 5 * READ_TIMEOUT


class Wire:
    """The connections to one server, below one folder of it. Safe for threads."""

    def __init__(
        self, config: WebdavConfig, credentials: CredentialSource[WebdavCredentials] | None
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._connections = Connections(config.ca_bundle, config.proxy)
        self._timeout = Timeout(connect=10.0, read=_ANSWER_TIMEOUT)

    def url_path(self, path: Path, *, folder: bool = False) -> str:
        """The path of the URL, every name encoded."""
        names = (*self._config.root, *path)
        text = "".join("/" + quote(name, safe="") for name in names)
        return text + "/" if folder or not text else text

    def send(
        self,
        target: Target,
        method: str,
        path: Path,
        *,
        folder: bool = False,
        headers: Mapping[str, str] | None = None,
        body: SizedBody | bytes | None = None,
        size: int | None = None,
    ) -> BaseHTTPResponse:
        """One request, whatever its answer. Raises `ConnectionFailed` or `ServiceError`."""
        sent = {"accept-encoding": "identity", "user-agent": "svstorage", **(headers or {})}
        if self._credentials is not None:
            sent["authorization"] = self._credentials.get().authorization.reveal()
        if size is not None:
            sent["content-length"] = str(size)
        where = self.url_path(path, folder=folder)
        content = body if size else None
        return self._connections.send(
            target, self._config.endpoint, method, where, sent, content, self._timeout
        )

    def status(
        self,
        target: Target,
        method: str,
        path: Path,
        *,
        folder: bool = False,
        headers: Mapping[str, str] | None = None,
        body: SizedBody | bytes | None = None,
        size: int | None = None,
        expected: tuple[int, ...] = (200, 201, 204),
    ) -> int:
        """The status of one request, one of those expected; else an error of ours."""
        response = self.send(
            target, method, path, folder=folder, headers=headers, body=body, size=size
        )
        status = response.status
        self.done(response)
        if status not in expected:
            raise refusal(target, status, response.headers)
        return status

    def relocate(
        self, target: Target, method: str, path: Path, to: Path, *, overwrite: bool, folder: bool
    ) -> int:
        """MOVE or COPY; 412: something is there that must not be replaced; 423: it is locked."""
        headers = {
            "destination": self._config.endpoint.scheme
            + f"://{self._config.endpoint.netloc}{self.url_path(to, folder=folder)}",
            "overwrite": "T" if overwrite else "F",
        }
        return self.status(
            target, method, path, folder=folder, headers=headers, expected=(201, 204, 412, 423)
        )

    def look(self, target: Target, path: Path) -> Row | None:
        """What is at a path; None where nothing is. Raises `ServiceError` for another's row."""
        found = list(self._propfind(target, path, "0", folder=not path))
        wanted = self._decoded(path)
        for row in found:
            if row.names == wanted and row.status == 200:
                return row
        if found and all(row.status == 404 for row in found):
            return None
        if found:
            raise ServiceError(f"{target}: the server tells of another path than the one asked for")
        return None

    def children(self, target: Target, path: Path) -> Iterator[tuple[bytes, Row]]:
        """The names in a folder and what they are, as they arrive.

        Raises `ObjectNotFound` where there is no folder; `ServiceError` for an answer that leads
        outside of it, or that does not tell of the folder itself: it may lack more than that.
        """
        wanted = self._decoded(path)
        seen = False
        for row in self._propfind(target, path, "1", folder=True):
            if row.names == wanted:
                if not row.is_folder:
                    break
                seen = True
            elif row.names[:-1] == wanted:
                yield row.names[-1], row
            else:
                raise ServiceError(
                    f"{target}: the server tells of a path outside of the folder asked for"
                )
        if not seen:
            raise ObjectNotFound(f"{target}: there is no such folder")

    def _decoded(self, path: Path) -> tuple[bytes, ...]:
        return tuple(name.encode() for name in (*self._config.root, *path))

    def _propfind(self, target: Target, path: Path, depth: str, *, folder: bool) -> Iterator[Row]:
        headers = {"depth": depth, "content-type": "application/xml; charset=utf-8"}
        response = self.send(
            target, "PROPFIND", path, folder=folder, headers=headers, body=ASKED, size=len(ASKED)
        )
        if response.status != 207:
            self.done(response)
            # 409, 405: a file is on the way to it (RFC 4918 leaves open which).
            if response.status in (404, 409):
                return
            raise refusal(target, response.status, response.headers)
        whole = False
        try:
            yield from rows(_blocks(target, response))
            whole = True
        except Malformed as error:
            raise ServiceError(f"{target}: {error}") from None
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()

    def done(self, response: BaseHTTPResponse) -> None:
        """Hand the connection back, the rest of the answer read if that is little."""
        try:
            response.read(_MAX_IGNORED, decode_content=False)
            if response.read(1, decode_content=False):
                response.close()
        except (HTTPError, OSError):
            response.close()
            return
        response.release_conn()

    def close(self) -> None:
        """End the connections."""
        self._connections.close()


def _blocks(target: Target, response: BaseHTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = response.read(_BLOCK, decode_content=False)
        except (HTTPError, OSError) as error:
            raise ServiceError(f"{target}: the answer broke off ({reason_of(error)})") from None
        if not block:
            return
        yield block


def refusal(target: Target, status: int, headers: Mapping[str, str]) -> StorageError:
    """Our error for an answer that is no success."""
    if status == 401:
        return CredentialsError(f"{target}: the server refuses the user, password or token (401)")
    if status == 403:
        return AccessRefused(f"{target}: the server does not allow it to this user (403)")
    if status in (404, 410):
        return ObjectNotFound(f"{target}: it is not there")
    if status in (429, 503):
        after = headers.get("retry-after", "")
        seconds = float(after) if after.isascii() and after.isdigit() else None
        return Throttled(f"{target}: the server asks to wait ({status})", retry_after=seconds)
    if status in (413, 507):
        return ObjectError(f"{target}: the server has no room for it, or a limit ({status})")
    if status == 423:
        return ServiceError(f"{target}: another program holds a lock on it (423)")
    if 300 <= status < 400:
        return ObjectError(
            f"{target}: the server answers with a redirect ({status}), which is not followed. "
            "Write the URL it leads to into STORAGE_ENDPOINT"
        )
    if status in (405, 501) or (status == 200 and target.operation == "list"):
        return ObjectError(
            f"{target}: this is no WebDAV ({status}). Is the path in STORAGE_ENDPOINT right?"
        )
    if status >= 500 or status in (408, 409, 425):
        return ServiceError(f"{target}: the server answers {status}")
    return ObjectError(f"{target}: the server answers {status}")
