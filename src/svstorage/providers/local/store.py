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
from collections.abc import Iterator
from functools import cached_property
from typing import Literal, TypeVar

from svstorage.errors import NotSupported, ObjectChanged, StorageError
from svstorage.model import (
    Attributes,
    Capabilities,
    CommonPrefix,
    Entry,
    PartLimits,
    Problem,
    Stored,
)

from .buckets import Buckets
from .content import copy_file
from .deleting import Deleting
from .failures import failure
from .keys import key_path
from .reader import LocalReader
from .reading import Reading
from .root import LINK_MARK, Durability
from .uploads import Uploads
from .walk import Links, Walk

__all__ = ["LINK_MARK", "Durability", "LocalStore"]

T = TypeVar("T")

_LARGEST = 2**63 - 1
_PARTS = PartLimits(
    min_part=1, max_part=_LARGEST, max_parts=1_000_000, max_object=_LARGEST, max_single_put=_LARGEST
)


class LocalStore(Buckets, Reading, Uploads, Deleting):
    """An `ObjectStore` and `MultipartStore` over the folders of ``root``.

    ``root`` may be a symbolic link and need not exist yet. ``links`` says what becomes of
    symbolic links below it when reading (`walk.Walk`); writing and deleting never go through
    one, and a link that has the object's own name is itself replaced or removed.
    """

    @classmethod
    def for_folder(
        cls,
        path: str | os.PathLike[str],
        *,
        links: Links = "follow",
        durability: Durability = "folder",
    ) -> LocalStore:
        """A store with the one bucket ``""``, whose keys are the paths below ``path``.

        The first ``put`` makes the folder where it is missing.
        """
        return cls(path, links=links, durability=durability, single_folder=True)

    def __repr__(self) -> str:
        return f"<LocalStore {self._path!r}>"

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
    def identity(self) -> str:  # asked for every object, and costs a call for each folder above
        kind = "local-folder" if self._single else "local"
        return f"{kind}:{os.path.realpath(self._path)}"

    def local_path(self, bucket: str, key: str = "") -> str:
        """The path where a key lies, links not resolved. Raises `KeyNotSupported`."""
        base = self._base(bucket)
        if key:
            key_path(key, len(base))
        return os.path.join(os.fsdecode(base), key) if key else os.fsdecode(base)

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        walk = self._walk(bucket)
        if self._is_other_folder(bucket, prefix):
            return iter(())
        return self._listing(walk.objects(prefix, start_after), bucket)

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        walk = self._walk(bucket)
        if self._is_other_folder(bucket, prefix):
            return iter(())
        return self._listing(walk.level(prefix), bucket)

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

    def copies_from(self, other: object) -> bool:
        return isinstance(other, LocalStore)

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
                    reader,
                    size=info.entry.size,
                    attributes=attributes,
                    modified_ns=info.entry.modified_ns,
                )
            made: list[int] = []
            try:
                with self._draft(bucket, path, made) as draft:
                    copy_file(reader.fd, draft.fd, info.entry.size, key)
                    reader.check_unchanged()
                    found = self._publish(draft, bucket, path, attributes, info.entry.modified_ns)
            except BaseException as error:
                self._unmake(bucket, path, made)
                if isinstance(error, OSError) and not isinstance(error, StorageError):
                    raise failure(error, "write", key) from error
                raise
        if found.st_size != info.entry.size:
            raise ObjectChanged(f"{key!r}: the source changed while it was copied")
        return self._stored(found)

    def presign(
        self, bucket: str, key: str, *, expires: int, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        raise NotSupported("the local disk has no presigned URLs")

    def close(self) -> None:
        self.flush()
