"""How a file comes to be: sent or copied under a temporary name, looked at, then renamed."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from svstorage.errors import (
    ChecksumMismatch,
    KeyNotSupported,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
)
from svstorage.model import Stored
from svstorage.providers.body import SizedBody
from svstorage.providers.target import Target
from svstorage_webdav.folders import Folders
from svstorage_webdav.keys import Path, draft_name
from svstorage_webdav.wire import Wire, refusal

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

_LATEST = 253_402_300_799  # the last second of the year 9999
_TRIES = 10
_PAUSE = 0.02


class Writing:
    """Puts files in their places, each the old one or the whole new one."""

    def __init__(self, wire: Wire, folders: Folders, *, sets_times: bool) -> None:
        self._wire = wire
        self._folders = folders
        self._sets_times = sets_times

    def put(
        self,
        target: Target,
        path: Path,
        body: Buffer | Body,
        size: int,
        modified_ns: int | None,
        md5: bytes | None,
        *,
        overwrite: bool,
    ) -> Stored:
        """Send ``size`` bytes. Errors are those of `ObjectStore.put`."""
        source = _Hashed(body)
        sized = SizedBody(source, size, str(target))
        draft = self._draft(path)
        try:
            sized.check_empty()
            response = self._wire.send(
                target, "PUT", draft, headers=self._time(modified_ns), body=sized, size=size
            )
            self._wire.done(response)
            if response.status in (404, 409):
                raise self._folder_vanished(target)
            if response.status not in (200, 201, 204):
                raise refusal(target, response.status, response.headers)
            if md5 is not None and source.digest() != md5:
                raise ChecksumMismatch(
                    f"{target}: the bytes to be stored do not have the MD5 that was told"
                )
            return self._publish(target, draft, path, size, overwrite=overwrite)
        except BaseException:
            self._folders.discard(draft)
            raise

    def copy(
        self, target: Target, start: Path, path: Path, size: int, unchanged: Callable[[], None]
    ) -> Stored:
        """Copy a file on the server; ``unchanged`` raises where it changed meanwhile."""
        draft = self._draft(path)
        try:
            status = self._wire.relocate(
                target, "COPY", start, draft, overwrite=False, folder=False
            )
            if status in (412, 423):
                raise ServiceError(f"{target}: the server refuses a copy to a new name ({status})")
            unchanged()
            return self._publish(target, draft, path, size, overwrite=True)
        except BaseException:
            self._folders.discard(draft)
            raise

    def marker(self, target: Target, path: Path, size: int, *, new: bool) -> Stored:
        """An empty folder, which stands for a key that ends in ``/``."""
        if size:
            raise KeyNotSupported(
                f"{target}: a server of files holds a key that ends in / only as an empty folder, "
                f"and this object has {size} bytes"
            )
        self._folders.forget(path[0])
        if new and self._wire.look(target, path) is not None:
            raise ObjectExists(f"{target}: it is there already")
        self._folders.ensure(path)
        row = self._wire.look(target, path)
        return Stored(0, modified_ns=row.modified_ns if row else None)

    def _draft(self, path: Path) -> Path:
        """A new name beside the file that is to be, its folder made."""
        self._folders.ensure(path[:-1])
        return (*path[:-1], draft_name())

    def _time(self, modified_ns: int | None) -> dict[str, str]:
        if modified_ns is None or not self._sets_times:
            return {}
        seconds = modified_ns // 1_000_000_000
        return {"x-oc-mtime": str(seconds)} if 0 <= seconds <= _LATEST else {}

    def _folder_vanished(self, target: Target) -> Exception:
        """For an answer that a folder is missing which was there a moment ago."""
        self._folders.forget(target.bucket)
        self._folders.require_bucket((target.bucket,))
        return ServiceError(f"{target}: its folder was removed meanwhile")

    def _publish(
        self, target: Target, draft: Path, path: Path, size: int, *, overwrite: bool
    ) -> Stored:
        """Give a finished draft its name, and see what the server then holds.

        To replace is said only where a file was seen: a folder of that name would be deleted with
        all that it holds (RFC 4918, section 9.9.3).
        """
        held = self._wire.look(target, draft)
        if held is None or held.size != size:
            said = "nothing" if held is None else f"{held.size} bytes"
            raise ServiceError(f"{target}: of {size} bytes sent the server holds {said}")
        replace = False
        for attempt in range(_TRIES):
            try:
                status = self._wire.relocate(
                    target, "MOVE", draft, path, overwrite=replace, folder=False
                )
            except ObjectNotFound:
                raise self._folder_vanished(target) from None
            if status == 423:
                # rclone and others answer so while another MOVE to the name is under way. All is
                # sent already: to wait for the other's is cheaper than to send it again.
                time.sleep(_PAUSE * 1.5**attempt)
                continue
            if status != 412:
                break
            there = self._wire.look(target, path)
            if there is not None and there.is_folder:
                raise KeyNotSupported(
                    f"{target}: there is a folder of this name: a server of files cannot hold both"
                )
            if there is not None and not overwrite:
                raise ObjectExists(f"{target}: it is there already")
            replace = there is not None
        else:
            raise ServiceError(
                f"{target}: another program keeps a lock on it, or writes to it as well"
            )
        row = self._wire.look(target, path)
        if row is None or row.size != size:
            raise ServiceError(f"{target}: it was replaced or removed as soon as it was stored")
        return Stored(size, row.etag, row.checksum, row.modified_ns)


class _Hashed:
    """Reads bytes or a file once, and knows the MD5 of what was read."""

    def __init__(self, body: Buffer | Body) -> None:
        read = getattr(body, "read", None)
        self._read = read or io.BytesIO(memoryview(body).cast("B")).read  # type: ignore[arg-type]
        self._md5 = hashlib.md5(usedforsecurity=False)

    def read(self, size: int = -1, /) -> bytes:
        data = bytes(self._read(size))
        self._md5.update(data)
        return data

    def digest(self) -> bytes:
        return self._md5.digest()
