"""A file in the making: under a name that listings leave out, until it is complete.

It lies in the folder of its object, so that one rename puts it in its place.
"""

from __future__ import annotations

import contextlib
import stat

import asyncssh

from svstorage.errors import NotSupported, ObjectError, ObjectExists, ServiceError
from svstorage.model import Stored
from svstorage_sftp.entries import SECOND, kind, modified_ns, version
from svstorage_sftp.failures import MISSING
from svstorage_sftp.keys import draft_name, shown, text
from svstorage_sftp.places import Places, file_and_folder, look

_TRIES = 20
_CREATE = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
_LATEST = 2**32
"""Version 3 has 32 bits for the seconds of a time."""


class Draft:
    """Use `open`, then `publish` or `discard`; the coroutines run on the session's loop.

    ``name`` is its own name, a fresh one unless given; ``opened`` is a draft made before.
    """

    def __init__(
        self,
        client: asyncssh.SFTPClient,
        base: bytes,
        target: bytes,
        key: str,
        *,
        name: bytes | None = None,
        opened: tuple[bytes, asyncssh.SFTPClientFile] | None = None,
    ) -> None:
        self._client = client
        self._base = base
        self._target = target
        self._key = key
        self._folder = target.rpartition(b"/")[0]
        self._name = name
        self._made: list[bytes] = []
        self._path = opened[0] if opened else b""
        self._file: asyncssh.SFTPClientFile | None = opened[1] if opened else None

    @property
    def made(self) -> list[str]:
        """The folders that were made for it."""
        return [text(folder) for folder in self._made]

    async def keep(self) -> None:
        """Close it as it is, for `discard` to leave it alone."""
        await self.file.close()
        self._file = None
        self._path = b""
        self._made = []

    @property
    def file(self) -> asyncssh.SFTPClientFile:
        if self._file is None:
            raise ValueError("the draft is not open")
        return self._file

    async def open(self, places: Places) -> None:
        """Make the file, with the folders on the way to it."""
        client = self._client
        for attempt in range(_TRIES):
            try:
                await places.straight(client, self._base, self._folder, self._key)
                path = self._folder + b"/" + (self._name or draft_name())
                self._file = await client.open(path, _CREATE, encoding=None)
                self._path = path
                return
            except MISSING:
                # Not there yet; or somebody deleted the last object of the folder, and with it
                # the folder.
                self._made += await places.make(client, self._base, self._folder, self._key)
                if attempt == _TRIES - 1:
                    raise

    async def publish(self, size: int, modified: int | None, *, overwrite: bool) -> Stored:
        """Give it the object's name. Raises `ObjectExists` without ``overwrite``."""
        file = self.file
        with contextlib.suppress(asyncssh.SFTPOpUnsupported):
            await file.fsync()
        if modified is not None and 0 <= modified < _LATEST * SECOND:
            await file.utime(ns=(modified, modified))
        found = await file.stat()
        await file.close()
        self._file = None
        if found.size != size:
            raise ServiceError(
                f"{shown(self._key)}: the server holds {found.size} bytes of {size} sent"
            )
        await (self._replace() if overwrite else self._create())
        self._path = b""
        return Stored(size, version(found), None, modified_ns(found))

    async def _replace(self) -> None:
        try:
            await self._client.posix_rename(self._path, self._target)
        except asyncssh.SFTPOpUnsupported:
            if await look(self._client, self._target) is not None:
                raise NotSupported(
                    f"{shown(self._key)}: the server cannot replace a file in one step (it lacks "
                    "posix-rename@openssh.com), and svstorage does not do it in two"
                ) from None
            await self._create()
        except asyncssh.SFTPError as error:
            await self._tell_why(error)
            raise

    async def _create(self) -> None:
        """The rename of version 3 fails where the name is taken (draft 02, section 6.5)."""
        try:
            await self._client.rename(self._path, self._target)
        except asyncssh.SFTPError as error:
            await self._tell_why(error)
            if await look(self._client, self._target) is not None:
                raise ObjectExists(f"{shown(self._key)}: it is there already") from error
            raise

    async def _tell_why(self, error: asyncssh.SFTPError) -> None:
        found = await look(self._client, self._target)
        if found is not None and stat.S_ISDIR(kind(found)):
            raise file_and_folder(self._key) from error
        if isinstance(error, MISSING):
            raise ServiceError(
                f"{shown(self._key)}: its folder was removed while it was written"
            ) from error

    async def discard(self) -> None:
        """Remove it, and the folders that were made for it, as far as they are empty."""
        with contextlib.suppress(OSError, asyncssh.Error):
            if self._file is not None:
                await self._file.close()
            if self._path:
                await self._client.remove(self._path)
            for folder in reversed(self._made):
                await self._client.rmdir(folder)


async def why_write_failed(client: asyncssh.SFTPClient, folder: bytes, key: str) -> None:
    """Raises `ObjectError` where the disk is full, which version 3 has no word for."""
    with contextlib.suppress(OSError, asyncssh.Error):
        disk = await client.statvfs(folder)
        if not disk.bavail:
            raise ObjectError(f"{shown(key)}: the disk of the server is full")
