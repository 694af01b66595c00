"""Writing: one object at a time, and buckets."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from svstorage.errors import ObjectChanged, UsageError
from svstorage.filesystem import bulk, local
from svstorage.filesystem.looking import not_found, refuse
from svstorage.filesystem.opening import Opening
from svstorage.filesystem.places import shown
from svstorage.filesystem.reading import CHUNK
from svstorage.filesystem.retry import ATTEMPTS, retrying
from svstorage.filesystem.writer import FIRST_PART
from svstorage.model import Attributes

T = TypeVar("T")


class Writing(Opening):
    """Stores, copies and deletes single objects."""

    def pipe_file(self, path: Any, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Store ``value`` as one object; ``mode="create"`` raises `FileExistsError` where there
        is one."""
        place = self._object(path)
        attributes = kwargs.pop("attributes", None)
        refuse(kwargs, "pipe_file")
        if mode not in ("overwrite", "create"):
            raise ValueError(f"mode {mode!r}: there are overwrite and create")
        data = memoryview(value).cast("B")
        if self._intrans or len(data) > FIRST_PART:
            with self.open(path, "xb" if mode == "create" else "wb", attributes=attributes) as file:
                for start in range(0, len(data), FIRST_PART):
                    file.write(data[start : start + FIRST_PART])
            return
        exclusive = mode == "create"
        retrying(
            lambda: place.store.put(
                place.bucket,
                place.key,
                data,
                size=len(data),
                attributes=attributes,
                if_none_match=exclusive,
            ),
            attempts=1 if exclusive else ATTEMPTS,
        )

    def pipe(self, path: Any, value: Any = None, **kwargs: Any) -> None:
        if isinstance(path, Mapping):
            self._each(lambda item: self.pipe_file(item[0], item[1], **kwargs), path.items(),
                       lambda item: str(item[0]))  # fmt: skip
        else:
            self.pipe_file(path, value, **kwargs)

    def touch(self, path: Any, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty object. One that exists is emptied, or with ``truncate=False`` refused
        by `NotImplementedError`: its time cannot be set."""
        if truncate or not self.exists(path):
            self.pipe_file(path, b"", **kwargs)
        else:
            raise NotImplementedError("an object store sets the modification time itself")

    def mkdir(self, path: Any, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a bucket. Folders come with their first object: for one, only its bucket is made
        (``create_parents``) or looked for."""
        place = self._places.find(path)
        if not place.at.bucket:
            return
        if not place.at.key:
            place.store.create_bucket(place.bucket)
        elif not retrying(lambda: place.store.bucket_exists(place.bucket)):
            if not create_parents:
                raise not_found(place)
            place.store.create_bucket(place.bucket)

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        try:
            self.mkdir(path, create_parents=True)
        except FileExistsError:
            if not exist_ok:
                raise

    def rmdir(self, path: Any) -> None:
        """Remove an empty bucket, or the marker of an empty folder."""
        place = self._places.find(path)
        if not place.at.bucket:
            raise UsageError("the storage itself cannot be removed")
        entries = place.store.list(place.bucket, place.prefix)
        keys = [item.key for _, item in zip(range(2), entries, strict=False)]
        if [key for key in keys if not place.key or key != place.prefix]:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), place.at.path)
        if not place.at.key:
            place.store.delete_bucket(place.bucket)
        elif keys:
            retrying(lambda: place.store.delete(place.bucket, place.prefix))
        else:
            raise not_found(place)

    def get_file(
        self,
        rpath: Any,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **kwargs: Any,
    ) -> None:
        """Download one object. The local file has its name only when it is whole.

        All of it is of one version; after a break it goes on where it was. A folder makes a
        local folder.
        """
        if outfile is None and isfilelike(lpath):
            outfile = lpath
        place = self._places.find(rpath)
        info = self._head(place) if place.key else None
        if info is None or (place.key.endswith("/") and not info["size"]):
            if not self.isdir(rpath):
                raise not_found(place)
            if outfile is not None:
                raise IsADirectoryError(errno.EISDIR, "Is a folder", place.at.path)
            local.make_folder(os.fspath(lpath))
            return
        callback.set_size(info["size"])
        if outfile is not None:
            self._copy_to(place, info, outfile, callback)
            return
        with local.whole_file(os.fspath(lpath)) as file:
            self._copy_to(place, info, file, callback)

    def put_file(
        self,
        lpath: Any,
        rpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        """Upload one file. Raises `ObjectChanged`, storing nothing, where it changed meanwhile.

        A folder does nothing: folders come with their objects.
        """
        attributes: Attributes | None = kwargs.pop("attributes", None)
        refuse(kwargs, "put_file")
        if os.path.isdir(lpath):
            return
        place = self._object(rpath)
        source, before = local.open_regular(os.fspath(lpath))
        with source:
            callback.set_size(before.st_size)
            with self.open(
                rpath, "xb" if mode == "create" else "wb", attributes=attributes
            ) as writer:
                while block := source.read(CHUNK):
                    writer.write(block)
                    callback.relative_update(len(block))
                after = os.fstat(source.fileno())
                if local.version(before) != local.version(after) or (
                    writer.tell() != before.st_size
                ):
                    raise ObjectChanged(
                        f"{os.fspath(lpath)!r}: the file changed while it was read; "
                        f"{shown(place.at.path)} is as it was"
                    )

    def cp_file(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        """Copy one object, inside the service where both ends are one service's."""
        source, target = self._object(path1), self._object(path2)
        if source.same_object(target):
            return
        known = retrying(lambda: source.store.head(source.bucket, source.key))
        same = source.store is target.store or source.store.identity == target.store.identity
        if same and source.store.capabilities.server_side_copy:
            retrying(
                lambda: target.store.copy(source.bucket, known.entry, target.bucket, target.key)
            )
            return
        with self._writer(target, attributes=known.attributes) as writer:
            for block in self._blocks(source, known.entry.etag):
                writer.write(block)

    def rm_file(self, path: Any) -> None:
        """Delete exactly this object."""
        place = self._object(path)
        if self._head(place) is None:
            if self._has_any(place):
                raise IsADirectoryError(errno.EISDIR, "Is a folder", place.at.path)
            raise not_found(place)
        retrying(lambda: place.store.delete(place.bucket, place.key))

    _rm = rm_file

    def _each(
        self, work: Callable[[T], object], items: Iterable[T], name: Callable[[T], str]
    ) -> None:
        outcomes = bulk.in_parallel(work, items)
        bulk.raise_failures([(name(i), error) for i, error in outcomes
                             if isinstance(error, Exception)])  # fmt: skip
