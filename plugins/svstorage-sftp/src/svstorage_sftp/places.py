"""Where buckets and keys lie on the server, and that no symbolic link leads out of there.

A read follows links to places below the root, as the local disk of svstorage does; nothing is
written or deleted through one. The server is asked (``realpath``) each time: folders can be
swapped for links at any moment.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh

from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    KeyNotSupported,
    ObjectError,
    ObjectNotFound,
    StorageError,
)
from svstorage_sftp.config import ROOT, SftpConfig
from svstorage_sftp.entries import kind
from svstorage_sftp.failures import MISSING, failure
from svstorage_sftp.keys import bucket_bytes, path_bytes, shown, text
from svstorage_sftp.session import Session


@contextmanager
def translated(doing: str, key: str) -> Iterator[None]:
    """Errors of asyncssh within the block as ours."""
    try:
        yield
    except StorageError:
        raise
    except (OSError, asyncssh.Error) as error:
        raise failure(error, doing, key) from error


def file_and_folder(key: str) -> KeyNotSupported:
    """The error for ``a`` and ``a/b`` as keys of one bucket."""
    return KeyNotSupported(
        f"{shown(key)}: this needs a file and a folder of one name, which no disk can hold"
    )


class Places:
    """Paths of one server. The coroutines run on the session's loop."""

    def __init__(self, session: Session, config: SftpConfig) -> None:
        self._session = session
        self._config = config
        self._root: bytes | None = None

    def root(self) -> bytes:
        """The real path of the folder that holds the buckets."""
        if self._root is None:
            client = self._session.client()
            named = self._config.root.encode("utf-8", "surrogateescape")
            with translated(f"find the folder of {ROOT} on the server", self._config.root):
                real = self._session.run(client.realpath(named))
                found = self._session.run(client.stat(real))
            if not stat.S_ISDIR(kind(found)):
                raise ObjectError(f"{ROOT}: {self._config.root!r} is no folder on the server")
            self._root = real
        return self._root

    def bucket(self, bucket: str) -> bytes:
        """The path of a bucket. Raises `BucketNotFound` for what cannot be one."""
        name = bucket_bytes(bucket)
        return self.root().rstrip(b"/") + b"/" + name

    def key(self, base: bytes, key: str) -> bytes:
        """The path of a key in a bucket, without the slash at its end."""
        return base + b"/" + path_bytes(key, len(base)).removesuffix(b"/")

    async def require(self, client: asyncssh.SFTPClient, base: bytes) -> None:
        """Raises `BucketNotFound` where there is no such bucket; a link is none."""
        if not await is_folder(client, base):
            name = text(base.rpartition(b"/")[2])
            raise BucketNotFound(f"{shown(name)}: there is no such bucket")

    async def find(
        self, client: asyncssh.SFTPClient, base: bytes, path: bytes, key: str
    ) -> tuple[bytes, asyncssh.SFTPAttrs]:
        """Where an object really lies, for reading, and what is there.

        Raises `BucketNotFound` or `ObjectNotFound`, and `AccessRefused` for a link that leads
        out of the root.
        """
        try:
            real = await client.realpath(path)
            found = await client.stat(path)
        except MISSING:
            await self.require(client, base)
            raise ObjectNotFound(f"{shown(key)}: it is not there") from None
        if real != path:
            await self.require(client, base)
            inside = self.root_known.rstrip(b"/") + b"/"
            if not real.startswith(inside):
                raise AccessRefused(
                    f"{shown(key)}: a symbolic link on the way leads out of {text(inside)!r}"
                )
        what = kind(found)
        if key.endswith("/") if stat.S_ISDIR(what) else not key.endswith("/"):
            if stat.S_ISDIR(what) or stat.S_ISREG(what):
                return real, found
            # Opening a pipe or a device would hang the server's process, or do things.
            raise ObjectError(f"{shown(key)}: it is no file (a pipe, socket or device)")
        raise ObjectNotFound(f"{shown(key)}: it is not there")

    @property
    def root_known(self) -> bytes:
        """As `root`, where it has been asked before: free of waiting."""
        assert self._root is not None  # noqa: S101 - every path begins with `root`
        return self._root

    async def straight(
        self, client: asyncssh.SFTPClient, base: bytes, folder: bytes, key: str
    ) -> None:
        """Raises `ObjectError` where a link stands on the way to a folder that will be changed,
        `BucketNotFound` where the bucket itself is one."""
        real = await client.realpath(folder)
        if real != folder:
            await self.require(client, base)
            raise ObjectError(
                f"{shown(key)}: a symbolic link stands on the way to it ({text(folder)!r} is "
                f"{text(real)!r}), and nothing is written or deleted through one"
            )

    async def make(
        self, client: asyncssh.SFTPClient, base: bytes, folder: bytes, key: str
    ) -> list[bytes]:
        """Make the folders from the bucket down to ``folder``; those made, the deepest last."""
        await self.require(client, base)
        made: list[bytes] = []
        path = base
        for name in folder[len(base) + 1 :].split(b"/") if len(folder) > len(base) else ():
            path += b"/" + name
            try:
                await client.mkdir(path)
                made.append(path)
            except asyncssh.SFTPError as error:
                # "Failure" is all that version 3 says where it is there already.
                if await is_folder(client, path):
                    continue
                found = await look(client, path)
                if found is None:
                    if isinstance(error, MISSING):
                        break  # somebody just removed the folder above: the caller tries again
                    raise
                if stat.S_ISLNK(kind(found)):
                    await self.straight(client, base, path, key)
                raise file_and_folder(key) from error
        return made

    @staticmethod
    async def prune(client: asyncssh.SFTPClient, base: bytes, folder: bytes) -> None:
        """Remove the folder and those above it, up to the bucket, as far as they are empty."""
        while len(folder) > len(base):
            try:
                await client.rmdir(folder)
            except asyncssh.SFTPError:
                return  # not empty, or not ours to remove
            folder = folder.rpartition(b"/")[0]


async def look(client: asyncssh.SFTPClient, path: bytes) -> asyncssh.SFTPAttrs | None:
    """What has this name, links not followed; None where nothing has."""
    try:
        return await client.lstat(path)
    except MISSING:
        return None


async def is_folder(client: asyncssh.SFTPClient, path: bytes) -> bool:
    """Whether there is a folder of this name; a link to one is none."""
    found = await look(client, path)
    return found is not None and stat.S_ISDIR(kind(found))
