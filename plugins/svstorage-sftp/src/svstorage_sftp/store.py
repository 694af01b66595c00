"""An SFTP server as an object store: buckets are folders, objects are files.

What a disk behind SFTP cannot do as an object store does, and how it shows:

* ``a`` and ``a/b`` cannot both exist, nor a key with an empty name, ``.`` or ``..`` in it:
  `KeyNotSupported`, naming the key.
* An empty folder is listed as the folder marker ``folder/``; a marker beside other keys of its
  folder cannot be told. Deleting an object removes the folders above it that became empty.
* Content types and metadata have no place; the modification time has, in whole seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import asyncssh

from svstorage.credentials.base import CredentialSource
from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ServiceError,
    StorageError,
)
from svstorage.model import (
    Attributes,
    BucketInfo,
    Capabilities,
    CommonPrefix,
    Entry,
    ObjectInfo,
    PartLimits,
    Problem,
    Stored,
)
from svstorage.providers import BaseStore
from svstorage_sftp.config import SftpConfig
from svstorage_sftp.content import send
from svstorage_sftp.credentials import SftpCredentials
from svstorage_sftp.draft import Draft, why_write_failed
from svstorage_sftp.entries import entry_of, kind, modified_ns, version
from svstorage_sftp.failures import MISSING
from svstorage_sftp.keys import key_bytes, shown, text
from svstorage_sftp.places import Places, file_and_folder, is_folder, look, translated
from svstorage_sftp.reader import SftpReader
from svstorage_sftp.session import Session
from svstorage_sftp.uploads import Uploads
from svstorage_sftp.walk import Walk

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

_DELETES_AT_ONCE = 32
_COPY_CHUNK = 64 * 1024 * 1024
"""One request of a copy on the server; its process answers nothing else meanwhile."""

_LARGEST = 2**63 - 1
_PARTS = PartLimits(
    min_part=1, max_part=_LARGEST, max_parts=1_000_000, max_object=_LARGEST, max_single_put=_LARGEST
)
_CAPABILITIES = Capabilities(
    listing_order="bytes",
    holds_metadata=False,
    holds_folder_markers=False,
    sets_modified=True,
    server_side_copy=True,
    parts=_PARTS,
)


class SftpStore(Uploads, BaseStore):
    """An `ObjectStore` and `MultipartStore` over the folders of ``config.root``.

    Connects with the first call.
    """

    def __init__(
        self, config: SftpConfig, credentials: CredentialSource[SftpCredentials] | None
    ) -> None:
        self._config = config
        self._session = Session(config, credentials)
        self._places = Places(self._session, config)

    def __repr__(self) -> str:
        return f"<SftpStore {self._config.location}>"

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def identity(self) -> str:
        return self._config.location

    # Buckets

    def list_buckets(self) -> list[BucketInfo]:
        root = self._places.root()
        with translated("list the buckets", self._config.root):
            found = self._session.run(self._session.client().readdir(root))
        names = [
            row.filename if isinstance(row.filename, bytes) else row.filename.encode()
            for row in found
            if stat.S_ISDIR(kind(row.attrs))
        ]
        return [BucketInfo(text(name)) for name in sorted(names) if not name.startswith(b".")]

    def bucket_exists(self, bucket: str) -> bool:
        try:
            path = self._places.bucket(bucket)
        except BucketNotFound:
            return False
        with translated("look at", bucket):
            return self._session.run(is_folder(self._session.client(), path))

    def create_bucket(self, bucket: str) -> None:
        try:
            path = self._places.bucket(bucket)
        except BucketNotFound as error:
            raise KeyNotSupported(str(error)) from None
        client = self._session.client()
        with translated("make the bucket", bucket):
            try:
                self._session.run(client.mkdir(path))
            except asyncssh.SFTPError:
                if self._session.run(look(client, path)) is not None:
                    raise ObjectExists(f"{shown(bucket)}: it is there already") from None
                raise

    def delete_bucket(self, bucket: str) -> None:
        path = self._places.bucket(bucket)
        client = self._session.client()
        with translated("remove the bucket", bucket):
            self._session.run(self._places.require(client, path))
            try:
                self._session.run(client.rmdir(path))
            except asyncssh.SFTPFailure:
                raise ObjectError(f"{shown(bucket)}: the bucket is not empty") from None

    # Listings

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        return self._walk(bucket).objects(_part(prefix), _part(start_after))

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        return self._walk(bucket).level(_part(prefix))

    def _walk(self, bucket: str) -> Walk:
        base = self._places.bucket(bucket)
        with translated("list", bucket):
            self._session.run(self._places.require(self._session.client(), base))
        return Walk(self._session, self._places.root(), base)

    # Objects

    def head(self, bucket: str, key: str) -> ObjectInfo:
        base = self._places.bucket(bucket)
        path = self._places.key(base, key)
        with translated("look at", key):
            client = self._session.client()
            _, found = self._session.run(self._places.find(client, base, path, key))
        return ObjectInfo(entry_of(key, found))

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> SftpReader:
        base = self._places.bucket(bucket)
        path = self._places.key(base, key)
        with translated("read", key):
            client = self._session.client()
            file, entry = self._session.run(self._open(client, base, path, key))
        info = ObjectInfo(entry)
        reader = SftpReader(self._session, file, info, 0, 0)
        count = entry.size - start if length is None else length
        wrong: StorageError | None = None
        if if_match is not None and entry.etag != if_match:
            wrong = ObjectChanged(f"{key!r}: it is another version than the one listed")
        elif count < 0 or start + count > entry.size:
            wrong = ServiceError(
                f"{key!r}: it ends at byte {entry.size}, before the range asked for"
            )
        if wrong is not None:
            reader.close()
            raise wrong
        return SftpReader(self._session, file, info, start, count)

    async def _open(
        self, client: asyncssh.SFTPClient, base: bytes, path: bytes, key: str
    ) -> tuple[asyncssh.SFTPClientFile | None, Entry]:
        real, found = await self._places.find(client, base, path, key)
        if key.endswith("/"):
            return None, entry_of(key, found)
        file = await client.open(real, asyncssh.FXF_READ, encoding=None)
        return file, entry_of(key, await file.stat())

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
        base = self._places.bucket(bucket)
        path = self._places.key(base, key)
        client = self._session.client()
        if key.endswith("/"):
            with translated("make the folder", key):
                return self._session.run(
                    self._put_marker(client, base, path, key, size, new=if_none_match)
                )
        draft = Draft(client, base, path, key)
        try:
            with translated("write", key):
                self._session.run(draft.open(self._places))
                try:
                    send(self._session, draft.file, body, size, key, md5)
                except asyncssh.SFTPFailure:
                    folder = path.rpartition(b"/")[0]
                    self._session.run(why_write_failed(client, folder, key))
                    raise
                return self._session.run(
                    draft.publish(size, modified_ns, overwrite=not if_none_match)
                )
        except BaseException:
            self._session.run(draft.discard())
            raise

    async def _put_marker(
        self,
        client: asyncssh.SFTPClient,
        base: bytes,
        path: bytes,
        key: str,
        size: int,
        *,
        new: bool,
    ) -> Stored:
        if size:
            raise KeyNotSupported(
                f"{shown(key)}: a disk holds a key that ends in / only as an empty folder, and "
                f"this object has {size} bytes"
            )
        parent = path.rpartition(b"/")[0]
        with contextlib.suppress(*MISSING):
            await self._places.straight(client, base, parent, key)
        made = await self._places.make(client, base, path, key)
        if new and path not in made:
            raise ObjectExists(f"{shown(key)}: it is there already")
        found = await client.lstat(path)
        if not stat.S_ISDIR(kind(found)):
            raise file_and_folder(key)
        return Stored(0, version(found), None, modified_ns(found))

    def delete(self, bucket: str, key: str) -> None:
        base = self._places.bucket(bucket)
        path = self._places.key(base, key)
        client = self._session.client()
        with translated("delete", key):
            self._session.run(self._delete(client, base, path, key))

    async def _delete(
        self, client: asyncssh.SFTPClient, base: bytes, path: bytes, key: str
    ) -> None:
        folder = path.rpartition(b"/")[0]
        is_marker = key.endswith("/")
        try:
            await self._places.straight(client, base, folder, key)
            await (client.rmdir(path) if is_marker else client.remove(path))
        except MISSING:
            await self._places.require(client, base)
            return
        except asyncssh.SFTPError:
            # A folder where there would be an object, or the other way round, or one that holds
            # other keys: there is no such object, which is no failure.
            found = await look(client, path)
            if found is None or is_marker or stat.S_ISDIR(kind(found)):
                return
            raise
        await self._places.prune(client, base, folder)

    def delete_many(
        self, bucket: str, keys: Sequence[str]
    ) -> Sequence[tuple[str, Exception | None]]:
        if not keys:
            return []
        client = self._session.client()
        self._places.root()  # asked here: the coroutines cannot wait for it
        return self._session.run(self._delete_all(client, bucket, keys))

    async def _delete_all(
        self, client: asyncssh.SFTPClient, bucket: str, keys: Sequence[str]
    ) -> Sequence[tuple[str, Exception | None]]:
        gate = asyncio.Semaphore(_DELETES_AT_ONCE)

        async def one(key: str) -> tuple[str, Exception | None]:
            async with gate:
                try:
                    with translated("delete", shown(key)):
                        base = self._places.bucket(bucket)
                        path = self._places.key(base, key)
                        await self._delete(client, base, path, key)
                except StorageError as error:
                    return key, error
                return key, None

        return await asyncio.gather(*(one(key) for key in keys))

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        """On the server where it can (``copy-data``, OpenSSH 9.0), else through this machine."""
        with self.read(source_bucket, source.key, if_match=source.etag) as reader:
            entry = reader.info.entry
            client = self._session.client()
            if not client.supports_remote_copy or not entry.size or key.endswith("/"):
                return self.put(bucket, key, reader, size=entry.size, modified_ns=entry.modified_ns)
            base = self._places.bucket(bucket)
            draft = Draft(client, base, self._places.key(base, key), key)
            try:
                with translated("copy to", key):
                    self._session.run(draft.open(self._places))
                    for at in range(0, entry.size, _COPY_CHUNK):
                        count = min(_COPY_CHUNK, entry.size - at)
                        self._session.run(
                            client.remote_copy(reader.file, draft.file, at, count, at)
                        )
                    reader.check_unchanged()
                    return self._session.run(
                        draft.publish(entry.size, entry.modified_ns, overwrite=True)
                    )
            except BaseException:
                self._session.run(draft.discard())
                raise

    def close(self) -> None:
        """End the connection."""
        self._session.close()


def _part(key: str) -> bytes:
    """A prefix or the key to begin after: any text, also what could be no key."""
    try:
        return key_bytes(key) if key else b""
    except KeyNotSupported:
        return key.encode("utf-8", "replace")
