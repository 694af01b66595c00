"""`FsspecStore`: an `ObjectStore` made of any fsspec filesystem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fsspec import AbstractFileSystem

from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
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
from svstorage.providers.default import BaseStore
from svstorage.providers.fsspec_store import traits, writing
from svstorage.providers.fsspec_store.attached import Attached
from svstorage.providers.fsspec_store.failures import BodyFailed, translated
from svstorage.providers.fsspec_store.info import entry_of
from svstorage.providers.fsspec_store.listing import Lister
from svstorage.providers.fsspec_store.reading import FsspecReader


class FsspecStore(Attached, BaseStore):
    """Buckets are the top folders of ``fs``, which is its maker's to close.

    Args:
        fs: the filesystem, for this store alone: its listing cache is turned off.
        identity: equal for two stores of the same place (see `ObjectStore.identity`); by
            default what the filesystem's options tell of it. No secrets.
        single_folder: the root of ``fs`` itself is the one bucket, named ``""``.
        thread_safe: whether many threads may use ``fs`` at once. By default those built on
            asyncio are taken to be; the others are used by one thread at a time.

    What it keeps of an object is its bytes: fsspec has no common way to store content types or
    metadata. Keys are exact or refused with `KeyNotSupported`. Checksums are told where
    ``info`` has one. ``if_match`` is compared, by ETag or else by time and size, before the first
    byte and after the last.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        *,
        identity: str | None = None,
        single_folder: bool = False,
        thread_safe: bool | None = None,
    ) -> None:
        self._identity = identity or traits.identity(fs)
        self._single_folder = single_folder
        super().__init__(fs, thread_safe)
        self._known_buckets: set[str] = set()
        self._capabilities = Capabilities(
            listing_order="unordered",
            holds_metadata=False,
            holds_folder_markers=False,
            server_side_copy=traits.copies_inside(self._inner),
            presign=traits.brings(self._inner, "sign"),
        )

    def __repr__(self) -> str:
        return f"<FsspecStore over {type(self._inner).__name__}>"

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def identity(self) -> str:
        return self._identity

    # Buckets

    def list_buckets(self) -> list[BucketInfo]:
        if self._single_folder:
            return [BucketInfo("")]
        root = self._fs.root_marker
        found = Lister(self._fs, self._lock, root, lambda key: root + key).level("")
        return sorted(
            (BucketInfo(item.prefix[:-1]) for item in found if isinstance(item, CommonPrefix)),
            key=lambda bucket: bucket.name,
        )

    def bucket_exists(self, bucket: str) -> bool:
        if self._single_folder or not bucket:
            return self._single_folder and not bucket
        try:
            path = self._names.bucket(bucket)
            with self._lock(), translated("look at", path):
                self._fs.invalidate_cache()
                return bool(self._fs.info(path)["type"] == "directory")
        except (KeyNotSupported, ObjectNotFound):
            return False

    def create_bucket(self, bucket: str) -> None:
        path = self._names.bucket(bucket)
        if self.bucket_exists(bucket):
            raise ObjectExists(f"{bucket!r}: the bucket is there already")
        with self._lock(), translated("make the bucket", path):
            self._fs.mkdir(path)

    def delete_bucket(self, bucket: str) -> None:
        self._need(bucket)
        if next(iter(self.list_level(bucket)), None) is not None:
            raise ObjectError(f"{bucket!r}: the bucket is not empty")
        path = self._names.bucket(bucket)
        with self._lock(), translated("remove the bucket", path, bucket=True):
            self._fs.rmdir(path)
        self._known_buckets.discard(bucket)

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        return self._listing(self._lister(bucket).all(prefix, start_after), bucket)

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        return self._listing(self._lister(bucket).level(prefix), bucket)

    def _lister(self, bucket: str) -> Lister:
        if not bucket and not self._single_folder:
            raise BucketNotFound("a bucket without a name is not there")
        root = self._names.bucket(bucket) if bucket else self._fs.root_marker
        return Lister(self._fs, self._lock, root, lambda key: self._path(bucket, key))

    def _listing(self, items: Iterator[Any], bucket: str) -> Iterator[Any]:
        """Nothing at all may mean that the bucket is not there."""
        empty = True
        try:
            for item in items:
                empty = False
                yield item
        except ObjectNotFound:
            if not empty:
                raise
        if empty and not self.bucket_exists(bucket):
            raise BucketNotFound(f"{bucket!r}: there is no such bucket")

    # Objects

    def head(self, bucket: str, key: str) -> ObjectInfo:
        path = self._path(bucket, key.removesuffix("/"))
        try:
            with self._lock(), translated("look at", path):
                self._fs.invalidate_cache()
                info = self._fs.info(path)
        except ObjectNotFound:
            self._need(bucket)
            raise
        if key.endswith("/"):
            if info["type"] != "directory" or next(self.list_level(bucket, key), None) is not None:
                raise ObjectNotFound(f"{path!r}: there is no such object")
            return ObjectInfo(Entry(key, 0))
        if info["type"] == "directory":
            info = self._beside_a_folder(path)
        if info.get("size") is None:
            raise ObjectError(f"{path!r}: the filesystem does not tell its size")
        return ObjectInfo(entry_of(key, info))

    def _beside_a_folder(self, path: str) -> dict[str, Any]:
        """An object whose name is also that of a folder: the parent's listing tells of both."""
        parent = path.rpartition("/")[0] or self._fs.root_marker
        with self._lock(), translated("look at", path):
            infos = self._fs.ls(parent, detail=True)
        for info in infos:
            if info["name"].lstrip("/") == path.lstrip("/") and info["type"] != "directory":
                found: dict[str, Any] = info
                return found
        raise ObjectNotFound(f"{path!r}: it is a folder, not an object")

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> FsspecReader:
        path = self._path(bucket, key)
        info = self.head(bucket, key)
        entry = info.entry
        if if_match is not None and entry.etag != if_match:
            raise ObjectChanged(f"{path!r}: it is no longer the version that was listed")
        count = entry.size - start if length is None else length
        if count < 0 or start + count > entry.size:
            raise ServiceError(
                f"{path!r}: it ends at byte {entry.size}, before the range asked for"
            )
        with self._lock(), translated("open", path):
            file = self._fs.open(path, "rb")
        return FsspecReader(
            file,
            info,
            path,
            start,
            count,
            lock=self._lock,
            look=lambda: self.head(bucket, key),
        )

    def put(
        self,
        bucket: str,
        key: str,
        body: Any,
        *,
        size: int,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
        md5: bytes | None = None,
        if_none_match: bool = False,
    ) -> Stored:
        if key.endswith("/"):
            return self._put_marker(bucket, key, size)
        path = self._path(bucket, key)
        self._need(bucket)
        if if_none_match and self.has(bucket, key):
            raise ObjectExists(f"{path!r}: it is there already")
        content = writing.Content(body, size, path, md5)
        try:
            with translated("write", path):
                writing.write(self._fs, self._lock, content, create=if_none_match)
        except BodyFailed as failed:
            raise failed.error from None
        except ObjectExists as error:
            if if_none_match:
                raise
            raise KeyNotSupported(f"{error}: a file has the name of a folder") from error
        # What it holds now. Where that is not what was written, the caller has to know.
        stored = self.head(bucket, key).entry
        return Stored(stored.size, stored.etag, stored.checksum, stored.modified_ns)

    def _put_marker(self, bucket: str, key: str, size: int) -> Stored:
        if size:
            raise KeyNotSupported(f"{key!r}: this filesystem holds no object with a closing slash")
        path = self._path(bucket, key[:-1])
        self._need(bucket)
        with self._lock(), translated("make the folder", path):
            self._fs.makedirs(path, exist_ok=True)
            self._fs.invalidate_cache()
            if not self._fs.isdir(path):  # object stores only act as if they made one
                raise KeyNotSupported(f"{path!r}: this filesystem has no empty folders")
        return Stored(0)

    def delete(self, bucket: str, key: str) -> None:
        self._need(bucket)
        if key.endswith("/"):
            self._delete_marker(bucket, key)
            return
        path = self._path(bucket, key)
        with self._lock(), translated("delete", path):
            self._fs.invalidate_cache()
            try:
                self._fs.rm_file(path)
            except FileNotFoundError:
                return
            except OSError:
                if self._fs.isdir(path):
                    return  # there is a folder of the name, but no object
                raise
        if not self._inner.async_impl:
            self._tidy(bucket, key)

    def _delete_marker(self, bucket: str, key: str) -> None:
        if all(item.key != key for item in self.list(bucket, key)):
            return
        path = self._path(bucket, key[:-1])
        if self._inner.async_impl:
            raise KeyNotSupported(f"{path!r}: this filesystem cannot delete the marker of a folder")
        with self._lock(), translated("delete", path):
            self._fs.rmdir(path)

    def _tidy(self, bucket: str, key: str) -> None:
        """Remove the folders that ``key`` was the last object of, as folders of keys vanish."""
        if not traits.removes_only_empty_folders(self._inner):
            return
        while key := key.rpartition("/")[0]:
            path = self._path(bucket, key)
            with self._lock():
                try:
                    if self._fs.ls(path, detail=False):
                        return
                    self._fs.rmdir(path)
                except OSError:
                    return  # somebody else wrote into it or removed it, or there are no folders

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        if not self._capabilities.server_side_copy:
            raise NotSupported("this filesystem has no copies of its own")
        origin, path = self._path(source_bucket, source.key), self._path(bucket, key)
        self._need(bucket)
        self._same_version(source_bucket, source)
        with self._lock(), translated("copy to", path):
            self._fs.cp_file(origin, path)
        self._same_version(source_bucket, source)
        stored = self.head(bucket, key).entry
        if stored.size != source.size:
            raise ObjectChanged(f"{path!r}: {stored.size} bytes of {source.size} were copied")
        return Stored(stored.size, stored.etag, stored.checksum, stored.modified_ns)

    def _same_version(self, bucket: str, entry: Entry) -> None:
        now = self.head(bucket, entry.key).entry
        if now.size != entry.size or (entry.etag is not None and now.etag != entry.etag):
            raise ObjectChanged(f"{entry.key!r}: it changed while it was copied")

    def presign(
        self, bucket: str, key: str, *, expires: int, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        if method != "GET" or not self._capabilities.presign:
            raise NotSupported(f"this filesystem makes no URLs for {method}")
        path = self._path(bucket, key)
        with self._lock(), translated("presign", path):
            return str(self._fs.sign(path, expiration=expires))

    # Paths

    def _path(self, bucket: str, key: str) -> str:
        return self._names.path(f"{bucket}/{key}" if bucket and key else key)

    def _need(self, bucket: str) -> None:
        if bucket not in self._known_buckets:
            if not self.bucket_exists(bucket):
                raise BucketNotFound(f"{bucket!r}: there is no such bucket")
            self._known_buckets.add(bucket)

    def has(self, bucket: str, key: str) -> bool:
        """Whether there is an object of this key."""
        try:
            self.head(bucket, key)
        except (ObjectNotFound, KeyNotSupported):
            return False
        return True
