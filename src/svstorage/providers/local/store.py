"""The local disk as an object store: buckets are folders, objects are files.

What a disk cannot do as an object store does, and how it shows:

* ``a`` and ``a/b`` cannot both exist, nor a key with an empty name, ``.`` or ``..`` in it:
  `KeyNotSupported`, naming the key.
* An empty folder is listed as the folder marker ``folder/``; a marker beside other keys of its
  folder cannot be told and is not listed (``Capabilities.holds_folder_markers``).
* Deleting an object removes the folders above it that became empty, up to the bucket.
* Names of exactly the form ``.svstorage-tmp-<16 hex digits>~`` (also ``part``, ``list``) are
  ours: never listed, refused as keys. A listing removes those whose writer is dead.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    KeyNotSupported,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    StorageError,
)
from svstorage.model import (
    Attributes,
    BucketInfo,
    Capabilities,
    Checksum,
    CommonPrefix,
    Entry,
    ObjectInfo,
    PartLimits,
    Problem,
    Stored,
)

from . import xattrs
from .content import copy_file, write_body
from .draft import Draft, is_conflict, remove_leftover
from .failures import LinkInTheWay, failure, file_and_folder
from .folders import STEP, TO_SYNC, open_base, open_below, sync_folder
from .keys import PATH_MAX, KeyPath, bucket_name, check_encoding, key_path, temporary_kind
from .reader import LinkReader, LocalReader
from .uploads import Uploads
from .walk import Links, Walk, file_entry, marker_entry, version_token

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body, ObjectReader

T = TypeVar("T")

Durability: TypeAlias = Literal["file", "folder", "none"]
"""When a stored object survives a loss of power (it survives kill -9 in every case).

``file``: when ``put`` returns. ``folder``: the bytes are on disk before the object gets its name,
so that it is the old or the new one whatever happens; that it is the new one is certain after
`LocalStore.flush`. ``none``: whenever the kernel gets to it; a power loss can leave a short file.
"""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LARGEST = 2**63 - 1
_PARTS = PartLimits(
    min_part=1, max_part=_LARGEST, max_parts=1_000_000, max_object=_LARGEST, max_single_put=_LARGEST
)
LINK_MARK = "svstorage-link"
"""User metadata of an object that stands for a symbolic link (``links="copy"``): its bytes are
the link's text."""
_LINK_ATTRIBUTES = Attributes(metadata={LINK_MARK: "1"})
_UNSYNCED_FOLDERS = 1000
_TRIES = 20


class LocalStore(Uploads):
    """An `ObjectStore` and `MultipartStore` over the folders of ``root``.

    ``root`` may be a symbolic link and need not exist yet. ``links`` says what becomes of
    symbolic links below it when reading (`walk.Walk`); writing and deleting never go through
    one, and a link that has the object's own name is itself replaced or removed.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        links: Links = "follow",
        durability: Durability = "file",
        single_folder: bool = False,
    ) -> None:
        check_encoding()
        path = os.fspath(root)
        if not os.path.isabs(path) or path.endswith("/"):
            path = os.path.abspath(path)
        self._path = path
        self._root = os.fsencode(path)
        self._links: Links = links
        self._durability: Durability = durability
        self._single = single_folder
        self._unsynced: set[bytes] = set()
        self._lock = threading.Lock()

    @classmethod
    def for_folder(
        cls,
        path: str | os.PathLike[str],
        *,
        links: Links = "follow",
        durability: Durability = "file",
    ) -> LocalStore:
        """A store with the one bucket ``""``, whose keys are the paths below ``path``.

        The first ``put`` makes the folder where it is missing.
        """
        return cls(path, links=links, durability=durability, single_folder=True)

    def __repr__(self) -> str:
        return f"<LocalStore {self._path!r}>"

    # What it is

    @cached_property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            listing_order="bytes",
            holds_metadata=self._has_xattrs,
            holds_tags=self._has_xattrs,
            holds_folder_markers=False,
            sets_modified=True,
            server_side_copy=True,
            presign=False,
            parts=_PARTS,
            put_checksum=None,
            is_local=True,
        )

    @cached_property
    def _has_xattrs(self) -> bool:
        return xattrs.supported(self._root)

    @property
    def identity(self) -> str:
        kind = "local-folder" if self._single else "local"
        return f"{kind}:{os.path.realpath(self._path)}"

    def local_path(self, bucket: str, key: str = "") -> str:
        """The path where a key lies, links not resolved. Raises `KeyNotSupported`."""
        base = self._base(bucket)
        if key:
            key_path(key, len(base))
        return os.path.join(os.fsdecode(base), key) if key else os.fsdecode(base)

    # Buckets

    def list_buckets(self) -> list[BucketInfo]:
        if self._single:
            return [BucketInfo("")] if os.path.isdir(self._path) else []
        found = []
        try:
            with os.scandir(self._path) as scan:
                for entry in scan:
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                        found.append(BucketInfo(entry.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise failure(error, "list the buckets", self._path) from error
        return sorted(found, key=lambda bucket: os.fsencode(bucket.name))

    def bucket_exists(self, bucket: str) -> bool:
        try:
            os.close(self._open_bucket(bucket))
        except (BucketNotFound, LinkInTheWay):
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        try:
            base = self._base(bucket)
        except BucketNotFound as error:
            raise KeyNotSupported(str(error)) from None
        try:
            if not self._single:
                os.makedirs(self._root, exist_ok=True)
                os.mkdir(base)
            else:
                os.makedirs(base)
        except FileExistsError:
            raise ObjectExists(f"the bucket {bucket!r} is there already") from None
        except OSError as error:
            raise failure(error, "make the bucket", bucket) from error

    def delete_bucket(self, bucket: str) -> None:
        folder = self._open_bucket(bucket, TO_SYNC)
        try:
            with os.scandir(folder) as scan:
                names = [entry.name for entry in scan]
            base = os.fsdecode(self._base(bucket))
            if any(temporary_kind(name) is None for name in names):
                raise ObjectError(f"the bucket {bucket!r} is not empty")
            for name in names:
                remove_leftover(f"{base}/{name}")
            os.rmdir(base)
        except StorageError:
            raise
        except OSError as error:
            if is_conflict(error):
                raise ObjectError(
                    f"the bucket {bucket!r} is not empty: something is being written to it"
                ) from None
            raise failure(error, "remove the bucket", bucket) from error
        finally:
            os.close(folder)

    # Listing

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        walk = self._walk(bucket)
        return self._listing(walk.objects(prefix, start_after), bucket)

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        return self._listing(self._walk(bucket).level(prefix), bucket)

    def _walk(self, bucket: str) -> Walk:
        os.close(self._open_bucket(bucket))  # tells at once where there is no such bucket
        root = os.path.realpath(self._path)
        base = os.path.realpath(os.fsdecode(self._base(bucket)))
        return Walk(root, base, self._links)

    def _listing(self, walk: Iterator[T], bucket: str) -> Iterator[T]:
        try:
            yield from walk
        except OSError as error:
            raise failure(error, "list", bucket or self._path) from error

    # Reading

    def head(self, bucket: str, key: str) -> ObjectInfo:
        path = self._key_path(bucket, key)
        try:
            folder, name = self._find(bucket, path)
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                entry = self._entry(path, found)
                if path.is_folder or not self._has_xattrs:
                    return ObjectInfo(entry)
                if stat.S_ISLNK(found.st_mode):
                    return ObjectInfo(entry, _LINK_ATTRIBUTES)
                # A descriptor's entry in /proc takes the place of the fgetxattrat that is not.
                return ObjectInfo(entry, xattrs.read(b"/proc/self/fd/%d/%s" % (folder, name)))
            finally:
                os.close(folder)
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "read", key) from error

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> ObjectReader:
        path = self._key_path(bucket, key)
        fd = -1
        try:
            folder, name = self._find(bucket, path)
            try:
                # Looked at before it is opened: opening a device or a pipe can do things.
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                entry = self._entry(path, found)
                if stat.S_ISLNK(found.st_mode):
                    self._check_match(entry, if_match)
                    text = os.readlink(name, dir_fd=folder)
                    text = text[start : None if length is None else start + length]
                    return LinkReader(text, ObjectInfo(entry, _LINK_ATTRIBUTES))
                fd = os.open(
                    name, (_READ | os.O_DIRECTORY) if path.is_folder else _READ, dir_fd=folder
                )
            finally:
                os.close(folder)
            found = os.fstat(fd)
            entry = self._entry(path, found)
            self._check_match(entry, if_match)
            attributes = (
                xattrs.read(fd) if self._has_xattrs and not path.is_folder else Attributes()
            )
            left = max(0, entry.size - start)
            count = left if length is None else min(length, left)
            reader = LocalReader(fd, found, ObjectInfo(entry, attributes), start, count)
            fd = -1
            return reader
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "read", key) from error
        finally:
            if fd >= 0:
                os.close(fd)

    def _find(self, bucket: str, path: KeyPath) -> tuple[int, bytes]:
        """An open folder and the name in it where the object lies, links resolved as the policy
        says; the folder is the caller's to close. Raises `OSError`.
        """
        folder = self._open_bucket(bucket)
        try:
            folder = open_below(folder, path.parents, path.key)
        except LinkInTheWay:
            return self._find_real(bucket, path)
        if self._links == "copy":
            return folder, path.name
        try:
            mode = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
        except OSError:
            os.close(folder)
            raise
        if not stat.S_ISLNK(mode):
            return folder, path.name
        os.close(folder)
        return self._find_real(bucket, path)

    def _find_real(self, bucket: str, path: KeyPath) -> tuple[int, bytes]:
        """Resolve the links first, then go there from the root without following any."""
        if self._links != "follow":
            raise ObjectNotFound(
                f"{path.key!r}: it is, or lies behind, a symbolic link, and links are left out"
            )
        root = os.path.realpath(self._root)
        whole = b"/".join((self._base(bucket), *path.parents, path.name))
        real = os.path.realpath(whole, strict=True)
        inside = root if root.endswith(b"/") else root + b"/"
        if not real.startswith(inside):
            raise AccessRefused(
                f"{path.key!r}: a symbolic link on the way leads out of {self._path!r}"
            )
        *parents, name = real[len(inside) :].split(b"/")
        folder = open_below(open_base(root, may_be_link=False), parents, path.key)
        return folder, name

    def _entry(self, path: KeyPath, found: os.stat_result) -> Entry:
        mode = found.st_mode
        if path.is_folder:
            if stat.S_ISDIR(mode):
                return marker_entry(path.key, found)
        elif stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and self._links == "copy"):
            return file_entry(path.key, found)
        elif not stat.S_ISDIR(mode):
            raise ObjectError(f"{path.key!r}: it is no file (a pipe, socket or device)")
        raise ObjectNotFound(f"{path.key!r}: it is not there")

    @staticmethod
    def _check_match(entry: Entry, wanted: str | None) -> None:
        if wanted is not None and entry.etag != wanted:
            raise ObjectChanged(f"{entry.key!r}: it is another version than the one listed")

    # Writing

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
        path = self._key_path(bucket, key)
        if path.is_folder:
            return self._put_marker(bucket, path, size, modified_ns, if_none_match)
        try:
            with self._draft(bucket, path) as draft:
                write_body(draft.fd, body, size, md5, key)
                if self._links == "copy" and attributes and LINK_MARK in attributes.metadata:
                    return self._put_link(path, draft, size)
                found = self._publish(
                    draft, bucket, path, attributes, modified_ns, overwrite=not if_none_match
                )
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "write", key) from error
        return self._stored(found, md5)

    def _draft(self, bucket: str, path: KeyPath) -> Draft:
        for attempt in range(_TRIES):
            folder = self._open_for_writing(bucket, path)
            try:
                return Draft(folder)
            except BaseException as error:
                os.close(folder)
                # Somebody deleted the last object of this folder, and with it the folder.
                if not isinstance(error, FileNotFoundError) or attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _open_for_writing(self, bucket: str, path: KeyPath) -> int:
        sync = self._durability != "none"
        for attempt in range(_TRIES):
            try:
                base = self._open_bucket(bucket, TO_SYNC, create=self._single)
                return open_below(base, path.parents, path.key, create=True, sync=sync)
            except FileNotFoundError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _publish(
        self,
        draft: Draft,
        bucket: str,
        path: KeyPath,
        attributes: Attributes | None,
        modified_ns: int | None,
        *,
        overwrite: bool = True,
    ) -> os.stat_result:
        fd = draft.fd
        if attributes is not None and self._has_xattrs:
            xattrs.write(fd, attributes, path.key)
        if modified_ns is not None:
            os.utime(fd, ns=(modified_ns, modified_ns))
        if self._durability != "none":
            os.fsync(fd)
        found = os.fstat(fd)
        try:
            draft.publish(path.name, overwrite=overwrite, sync_names=self._durability == "file")
        except OSError as error:
            if not isinstance(error, StorageError) and is_conflict(error):
                raise file_and_folder(path.key) from None
            raise
        if self._durability == "folder":
            self._remember(b"/".join((self._base(bucket), *path.parents)))
        return found

    def _put_marker(
        self, bucket: str, path: KeyPath, size: int, modified_ns: int | None, new: bool
    ) -> Stored:
        if size:
            raise KeyNotSupported(
                f"{path.key!r}: a local disk holds a key that ends in / only as an empty folder, "
                f"and this object has {size} bytes"
            )
        try:
            found = self._make_folder(bucket, path, modified_ns, new)
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "make the folder", path.key) from error
        return Stored(0, version_token(found), None, found.st_mtime_ns)

    def _make_folder(
        self, bucket: str, path: KeyPath, modified_ns: int | None, new: bool
    ) -> os.stat_result:
        parent = self._open_for_writing(bucket, path)
        try:
            try:
                os.mkdir(path.name, dir_fd=parent)
            except FileExistsError:
                if new:
                    raise ObjectExists(f"{path.key!r} is there already") from None
            else:
                if self._durability != "none":
                    sync_folder(parent)
            folder = open_below(os.dup(parent), (path.name,), path.key, create=True)
        finally:
            os.close(parent)
        try:
            if modified_ns is not None:
                os.utime(folder, ns=(modified_ns, modified_ns))
            return os.fstat(folder)
        finally:
            os.close(folder)

    def _put_link(self, path: KeyPath, draft: Draft, size: int) -> Stored:
        """Turn a draft that holds the text of a link into that link."""
        text = os.pread(draft.fd, PATH_MAX, 0)
        where = os.path.normpath(b"/".join((*path.parents, text)))
        if not text or b"\0" in text or text.startswith(b"/") or where.split(b"/")[0] == b"..":
            raise ObjectError(
                f"{path.key!r}: it stands for a symbolic link out of the folder, which is not made"
            )
        found = draft.publish_link(path.name, text)
        return Stored(size, version_token(found), None, found.st_mtime_ns)

    @staticmethod
    def _stored(found: os.stat_result, md5: bytes | None = None) -> Stored:
        checksum = Checksum("md5", md5.hex()) if md5 is not None else None
        return Stored(found.st_size, version_token(found), checksum, found.st_mtime_ns)

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        return self.copy_from(self, source_bucket, source, bucket, key, attributes=attributes)

    def copy_from(
        self,
        other: LocalStore,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        """`copy` out of another local store: shared blocks where the file system has them."""
        reader = other.read(source_bucket, source.key, if_match=source.etag)
        with reader:
            info = reader.info
            attributes = info.attributes if attributes is None else attributes
            path = self._key_path(bucket, key)
            if path.is_folder or not isinstance(reader, LocalReader):
                return self.put(
                    bucket,
                    key,
                    reader,  # type: ignore[arg-type]  # its bytes-like answers will do
                    size=info.entry.size,
                    attributes=attributes,
                    modified_ns=info.entry.modified_ns,
                )
            try:
                with self._draft(bucket, path) as draft:
                    copy_file(reader.fd, draft.fd, info.entry.size, key)
                    reader.check_unchanged()
                    found = self._publish(draft, bucket, path, attributes, info.entry.modified_ns)
            except StorageError:
                raise
            except OSError as error:
                raise failure(error, "write", key) from error
        if found.st_size != info.entry.size:
            raise ObjectChanged(f"{key!r}: the source changed while it was copied")
        return self._stored(found)

    def _remember(self, folder: bytes) -> None:
        with self._lock:
            self._unsynced.add(folder)
            full = len(self._unsynced) > _UNSYNCED_FOLDERS
        if full:
            self.flush()

    def flush(self) -> None:
        """Make all that was stored survive a loss of power (with ``durability="folder"``)."""
        with self._lock:
            folders, self._unsynced = self._unsynced, set()
        for folder in folders:
            try:
                fd = os.open(folder, TO_SYNC)
            except FileNotFoundError:
                continue  # emptied and removed since
            except OSError as error:
                raise failure(error, "write to disk", os.fsdecode(folder)) from error
            try:
                sync_folder(fd)
            except OSError as error:
                raise failure(error, "write to disk", os.fsdecode(folder)) from error
            finally:
                os.close(fd)

    # Deleting

    def delete(self, bucket: str, key: str) -> None:
        path = self._key_path(bucket, key)
        try:
            folders = self._open_all(bucket, path)
        except FileNotFoundError:
            return
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "delete", key) from error
        try:
            if path.is_folder:
                os.rmdir(path.name, dir_fd=folders[-1])
            else:
                os.unlink(path.name, dir_fd=folders[-1])
            self._prune(folders, path)
        except OSError as error:
            if not self._no_such_object(error, folders[-1], path):
                raise failure(error, "delete", key) from error
        finally:
            for folder in folders:
                os.close(folder)

    def _open_all(self, bucket: str, path: KeyPath) -> Sequence[int]:
        """All folders on the way, the bucket first."""
        folders = [self._open_bucket(bucket)]
        try:
            for depth in range(len(path.parents)):
                step = os.dup(folders[-1])
                folders.append(open_below(step, path.parents[depth : depth + 1], path.key))
        except BaseException:
            for folder in folders:
                os.close(folder)
            raise
        return folders

    def _open_parents(self, bucket: str, path: KeyPath) -> int:
        return open_below(self._open_bucket(bucket), path.parents, path.key)

    @staticmethod
    def _prune(folders: Sequence[int], path: KeyPath) -> None:
        for depth in range(len(path.parents) - 1, -1, -1):
            try:
                os.rmdir(path.parents[depth], dir_fd=folders[depth])
            except OSError:
                return  # not empty, or not ours to remove

    @staticmethod
    def _no_such_object(error: OSError, folder: int, path: KeyPath) -> bool:
        """Whether a delete failed because there is no object of that key, which is no failure."""
        if isinstance(error, FileNotFoundError):
            return True
        try:
            is_folder = stat.S_ISDIR(
                os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
            )
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if path.is_folder:
            # Other keys lie in the folder, so that there is no marker; or it is a file.
            return not is_folder or is_conflict(error)
        return is_folder

    def delete_many(
        self, bucket: str, keys: Sequence[str]
    ) -> Sequence[tuple[str, Exception | None]]:
        outcomes: list[tuple[str, Exception | None]] = []
        for key in keys:
            try:
                self.delete(bucket, key)
            except StorageError as error:
                outcomes.append((key, error))
            else:
                outcomes.append((key, None))
        return outcomes

    # The rest

    def presign(
        self, bucket: str, key: str, *, expires: int, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        raise NotSupported("the local disk has no presigned URLs")

    def close(self) -> None:
        self.flush()

    def _base(self, bucket: str) -> bytes:
        if self._single:
            if bucket:
                raise BucketNotFound(f"{self._path!r} is one folder and has no buckets")
            return self._root
        return self._root + b"/" + bucket_name(bucket)

    def _key_path(self, bucket: str, key: str) -> KeyPath:
        return key_path(key, len(self._base(bucket)))

    def _open_bucket(self, bucket: str, flags: int = STEP, *, create: bool = False) -> int:
        base = self._base(bucket)
        shown = bucket or self._path
        try:
            try:
                return open_base(base, may_be_link=self._single, flags=flags)
            except FileNotFoundError:
                if not create:
                    raise
                os.makedirs(base, exist_ok=True)
                return open_base(base, may_be_link=self._single, flags=flags)
        except FileNotFoundError:
            raise BucketNotFound(f"there is no bucket {shown!r}") from None
        except OSError as error:
            if not self._single and os.path.islink(base):
                raise LinkInTheWay(
                    f"the bucket {shown!r} is a symbolic link; svstorage does not follow it"
                ) from None
            if isinstance(error, NotADirectoryError):
                raise BucketNotFound(f"{shown!r} is a file, not a folder") from None
            if isinstance(error, PermissionError) and flags != STEP:
                return self._open_bucket(bucket)
            raise failure(error, "open the bucket", shown) from error
