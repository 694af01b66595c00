"""A WebDAV server as an `ObjectStore`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
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
    Problem,
    Stored,
)
from svstorage.providers.reader import HttpReader
from svstorage.providers.target import Target
from svstorage_webdav.folders import Folders
from svstorage_webdav.keys import Path, bucket_path, key_path, shown
from svstorage_webdav.multistatus import version
from svstorage_webdav.walk import Walk, entry_of
from svstorage_webdav.wire import Wire, refusal
from svstorage_webdav.writing import Writing

if TYPE_CHECKING:
    from typing_extensions import Buffer
    from urllib3 import BaseHTTPResponse

    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.base import Body
    from svstorage_webdav.config import WebdavConfig
    from svstorage_webdav.credentials import WebdavCredentials

_DELETES_AT_ONCE = 8


class _Reader(HttpReader):
    """Looks at the file again after its last byte: `rclone serve webdav` was seen to answer with
    the bytes of two versions where one replaced the other meanwhile."""

    def __init__(
        self,
        info: ObjectInfo,
        target: Target,
        response: BaseHTTPResponse,
        length: int,
        look: Callable[[], str | None],
    ) -> None:
        super().__init__(info, target, response, length)
        self._to_come = length
        self._look = look

    def read(self, size: int = -1, /) -> bytes:
        data = super().read(size)
        if data and self._to_come:
            self._to_come -= len(data)
            if not self._to_come and self._look() != self.info.entry.etag:
                raise ObjectChanged(f"{self._target}: it was replaced while it was read")
        return data


class WebdavStore:
    """The folders of one folder of a server as buckets, the files in them as objects."""

    def __init__(
        self, config: WebdavConfig, credentials: CredentialSource[WebdavCredentials] | None
    ) -> None:
        self._config = config
        self._wire = Wire(config, credentials)
        self._folders = Folders(self._wire)
        self._writing = Writing(self._wire, self._folders, sets_times=config.sets_times)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            holds_metadata=False,
            holds_folder_markers=False,
            sets_modified=self._config.sets_times,
            server_side_copy=True,
        )

    @property
    def identity(self) -> str:
        # With the user: one URL may mean a folder of each user's own.
        return f"webdav {self._config.user or ''} {self._config.location}"

    # Buckets

    def list_buckets(self) -> list[BucketInfo]:
        names = []
        for name, row in self._wire.children(Target("list the buckets"), ()):
            text = name.decode("utf-8", "replace")
            if row.is_folder and not text.startswith(".") and "/" not in text:
                names.append(text)
        return [BucketInfo(name) for name in sorted(names, key=str.encode)]

    def bucket_exists(self, bucket: str) -> bool:
        try:
            self._folders.forget(bucket)
            self._folders.require_bucket(bucket_path(bucket))
        except BucketNotFound:
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        try:
            path = bucket_path(bucket)
        except BucketNotFound as error:
            raise KeyNotSupported(str(error)) from None
        target = Target("make the bucket", bucket)
        # Looked at first: rclone answers 201 to a MKCOL of a folder that is there.
        if self._wire.look(target, path) is not None:
            raise ObjectExists(f"{shown(bucket)}: it is there already")
        response = self._wire.send(target, "MKCOL", path, folder=True)
        self._wire.done(response)
        if response.status == 201:
            return
        if response.status == 405:
            raise ObjectExists(f"{shown(bucket)}: it is there already, or this is no WebDAV")
        if response.status in (404, 409):
            raise ObjectNotFound(f"{target}: the folder that STORAGE_ENDPOINT names is not there")
        raise refusal(target, response.status, response.headers)

    def delete_bucket(self, bucket: str) -> None:
        if not self.bucket_exists(bucket):
            raise BucketNotFound(f"{shown(bucket)}: there is no such bucket")
        if not self._folders.remove_empty(bucket_path(bucket)):
            raise ObjectError(f"{shown(bucket)}: the bucket is not empty, or it has to stay")

    # Listings

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        return self._walk(bucket).objects(_part(prefix), _part(start_after))

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        return self._walk(bucket).level(_part(prefix))

    def _walk(self, bucket: str) -> Walk:
        if not self.bucket_exists(bucket):
            raise BucketNotFound(f"{shown(bucket)}: there is no such bucket")
        return Walk(self._wire, self._folders, bucket)

    # Objects

    def head(self, bucket: str, key: str) -> ObjectInfo:
        return ObjectInfo(self._entry(Target("look at", bucket, key), bucket, key))

    def _entry(self, target: Target, bucket: str, key: str) -> Entry:
        row = self._wire.look(target, key_path(bucket, key))
        if row is None or row.is_folder != key.endswith("/"):
            if row is None and not self.bucket_exists(bucket):
                raise BucketNotFound(f"{shown(bucket)}: there is no such bucket")
            raise ObjectNotFound(f"{target}: it is not there")
        if not row.is_folder and row.size is None:
            raise ServiceError(f"{target}: the server tells no size of it")
        return entry_of(key, row)

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> HttpReader:
        target = Target("read", bucket, key)
        # Asked first: to a GET of a folder, servers answer a page that lists it.
        entry = self._entry(target, bucket, key)
        if if_match is not None and entry.etag != if_match:
            raise ObjectChanged(f"{target}: it is another version than the one listed")
        count = entry.size - start if length is None else length
        if count < 0 or start + count > entry.size:
            raise ServiceError(
                f"{target}: it ends at byte {entry.size}, before the range asked for"
            )
        if not count:
            return HttpReader(ObjectInfo(entry), target, None, 0)
        part = count != entry.size
        headers = {"range": f"bytes={start}-{start + count - 1}"} if part else {}
        response = self._wire.send(target, "GET", key_path(bucket, key), headers=headers)
        wrong: StorageError | None = None
        told = response.headers
        etag = version(told.get("etag"))
        span = f"bytes {start}-{start + count - 1}/{entry.size}"
        if response.status not in (200, 206):
            wrong = refusal(target, response.status, told)
        elif entry.etag is not None and etag is not None and etag != entry.etag:
            wrong = ObjectChanged(f"{target}: it changed when it was about to be read")
        elif told.get("content-encoding", "identity") != "identity":
            wrong = ServiceError(f"{target}: the server encodes the content, unasked")
        elif part and (response.status != 206 or told.get("content-range") != span):
            wrong = ServiceError(f"{target}: the answer is not the range asked for")
        elif not part and told.get("content-length", str(count)) != str(count):
            wrong = ObjectChanged(f"{target}: it has another size than the server told before")
        if wrong is not None:
            response.close()
            raise wrong
        return _Reader(
            ObjectInfo(entry),
            target,
            response,
            count,
            lambda: self._entry(target, bucket, key).etag,
        )

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
        target, path = Target("write", bucket, key), key_path(bucket, key)
        if key.endswith("/"):
            return self._writing.marker(target, path, size, new=if_none_match)
        return self._writing.put(
            target, path, body, size, modified_ns, md5, overwrite=not if_none_match
        )

    def delete(self, bucket: str, key: str) -> None:
        self._folders.require_bucket(bucket_path(bucket))
        path = key_path(bucket, key)
        self._delete(Target("delete", bucket, key), path, marker=key.endswith("/"))
        self._folders.prune([path[:-1]])

    def _delete(self, target: Target, path: Path, *, marker: bool) -> None:
        if marker:
            self._folders.remove_empty(path)
            return
        row = self._wire.look(target, path)
        if row is None or row.is_folder:  # the DELETE of a folder takes all that is in it
            if row is None and not self.bucket_exists(target.bucket):
                raise BucketNotFound(f"{shown(target.bucket)}: there is no such bucket")
            return
        self._wire.status(target, "DELETE", path, expected=(200, 204, 404))

    def delete_many(
        self, bucket: str, keys: Sequence[str]
    ) -> Sequence[tuple[str, Exception | None]]:
        above: set[Path] = set()

        def one(key: str) -> tuple[str, Exception | None]:
            try:
                self._folders.require_bucket(bucket_path(bucket))
                path = key_path(bucket, key)
                self._delete(Target("delete", bucket, key), path, marker=key.endswith("/"))
                above.add(path[:-1])
            except StorageError as error:
                return key, error
            return key, None

        # The markers last: a folder is gone, or empty, once its files are.
        with ThreadPoolExecutor(_DELETES_AT_ONCE) as pool:
            files = list(pool.map(one, [key for key in keys if not key.endswith("/")]))
        markers = [one(key) for key in keys if key.endswith("/")]
        self._folders.prune(above)
        return files + markers

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        """By COPY, on the server, under a temporary name."""
        target, path = Target("copy to", bucket, key), key_path(bucket, key)
        self._unchanged(source_bucket, source)
        if source.key.endswith("/"):
            return self.put(bucket, key, b"", size=0)
        if key.endswith("/"):
            return self._writing.marker(target, path, source.size, new=False)
        return self._writing.copy(
            target,
            key_path(source_bucket, source.key),
            path,
            source.size,
            lambda: self._unchanged(source_bucket, source),
        )

    def _unchanged(self, bucket: str, source: Entry) -> None:
        target = Target("copy", bucket, source.key)
        now = self._entry(target, bucket, source.key)
        if now.size != source.size or source.etag not in (None, now.etag):
            raise ObjectChanged(f"{target}: it is another version than the one listed")

    def presign(
        self, bucket: str, key: str, *, expires: int, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        raise NotSupported("WebDAV has no presigned URLs")

    def close(self) -> None:
        """End the connections."""
        self._wire.close()


def _part(key: str) -> bytes:
    """A prefix or the key to begin after: any text, also what could be no key."""
    return key.encode("utf-8", "replace")
