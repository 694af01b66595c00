"""``sv://`` for fsspec: one filesystem over the `ObjectStore` of every provider."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from glob import has_magic
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike

from svstorage.errors import (
    KeyNotSupported,
    ListingError,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    UsageError,
)
from svstorage.filesystem import bulk, listing, local, paths
from svstorage.filesystem.connection import Connection, check_same
from svstorage.filesystem.listing import Info
from svstorage.filesystem.places import Place, Places, shown
from svstorage.filesystem.reader import ObjectFile
from svstorage.filesystem.retry import ATTEMPTS, PASSING, pause, retrying
from svstorage.filesystem.writer import FIRST_PART, Compressed, ObjectWriter, TextWriter
from svstorage.model import Attributes, Problem

if TYPE_CHECKING:
    from svstorage.storage import Storage

T = TypeVar("T")
R = TypeVar("R")

_CHUNK = 1 << 20
_DELETED_AT_ONCE = 1000
_TEXT_OPTIONS = ("encoding", "errors", "newline")


class SvFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """An fsspec filesystem over ``bucket/key`` of the storage that the settings select.

    Args:
        env_file: the settings file, as for `svstorage.connect`.
        storage: a connected `svstorage.Storage`, in place of all settings.
        options: settings in lower case without ``STORAGE_`` (``provider=``, ``endpoint=`` …).

    What sets it apart from other fsspec filesystems:

    * Keys are exact: ``a//b``, ``../c``, ``d/`` are read, written and deleted under these names.
    * Nothing is cached: a listing shows what the service holds now.
    * A file that is written appears, whole, when it was closed without an error (`ObjectWriter`).
    * Bulk calls (``get``, ``put``, ``cp``, ``rm``, ``mv``) do all they can, then raise what
      failed: that one error, or `ManyFailed` with all of them.
    * Secrets given as arguments are never shown, saved or pickled.

    Folders are what keys have in common. ``mkdir`` makes buckets only, and a folder vanishes with
    its last object. Methods raise `FileNotFoundError`, `PermissionError`, `FileExistsError`,
    `IsADirectoryError`, and `svstorage.StorageError` for the rest. All are safe to call from many
    threads, also after a fork.
    """

    protocol = paths.SCHEME
    root_marker = ""
    # An instance in fsspec's cache would outlive a change of the environment or the file that it
    # was made from; equal settings share their connection instead (`connection`).
    cachable = False

    def __init__(
        self,
        *,
        env_file: str | os.PathLike[str] | None = None,
        storage: Storage | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        # fsspec's own words about itself, no settings of ours.
        for name in ("asynchronous", "loop", "use_listings_cache", "listings_expiry_time",
                     "max_paths"):  # fmt: skip
            options.pop(name, None)
        if storage is not None and (env_file is not None or options):
            raise UsageError("give either storage= or settings, not both")
        file = os.fspath(env_file) if env_file is not None else None
        self._connection = Connection(storage, file, options)
        self._places = Places(self._connection)

    # Identity, without secrets

    @property
    def storage(self) -> Storage:
        """The connected storage behind this filesystem."""
        return self._connection.storage

    @property
    def storage_options(self) -> dict[str, Any]:
        """The keywords it was made with; secrets are `svstorage.settings.Secret`, shown as
        ``***``."""
        return self._connection.options

    @storage_options.setter
    def storage_options(self, value: Mapping[str, Any]) -> None:
        """fsspec hands over the raw keywords; they are not kept."""

    @property
    def storage_args(self) -> tuple[Any, ...]:
        return ()

    @storage_args.setter
    def storage_args(self, value: tuple[Any, ...]) -> None:
        if value:
            raise TypeError("SvFileSystem takes keywords only")

    @property
    def _fs_token(self) -> str:
        return self._connection.digest()

    @property
    def fsid(self) -> str:
        return f"sv_{sha256(self._connection.location.encode()).hexdigest()[:32]}"

    def __repr__(self) -> str:
        return f"<SvFileSystem {self._connection.location}>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._connection.reference(), self._connection.location)

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """A reference to the settings, never a secret. Raises `StorageError` where that is not
        enough to find the storage again."""
        cls = f"{type(self).__module__}:{type(self).__name__}"
        return {
            "cls": cls,
            "protocol": self.protocol,
            "args": [],
            **self._connection.reference(),
        }

    def to_json(self, *, include_password: bool = True) -> str:
        import json

        return json.dumps(self.to_dict(), default=os.fspath)

    # Paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [paths.strip(item) for item in path]
        return paths.strip(path)

    @classmethod
    def _parent(cls, path: Any) -> str:
        return paths.parent_of(paths.text_of(path))

    def unstrip_protocol(self, name: Any) -> str:
        return f"{paths.SCHEME}://{paths.text_of(name)}"

    def invalidate_cache(self, path: Any = None) -> None:
        """Nothing is cached."""

    # Looking

    def info(self, path: Any, **kwargs: Any) -> Info:
        place = self._places.find(path)
        if not place.at.key:
            return self._bucket_info(place)
        if place.key.endswith("/"):
            return self._folder_or_object(place)
        found = self._head(place)
        if found is not None:
            return found
        if self._has_any(place):
            return listing.folder_info(place.at.folder_path)
        raise _not_found(place)

    def _bucket_info(self, place: Place) -> Info:
        if place.at.bucket and not retrying(lambda: place.store.bucket_exists(place.bucket)):
            raise _not_found(place)
        return listing.folder_info(place.at.path)

    def _folder_or_object(self, place: Place) -> Info:
        found = self._head(place)
        if found is not None and found["size"]:
            return found
        if found is not None or self._has_any(place):
            return listing.folder_info(place.at.folder_path)
        raise _not_found(place)

    def _head(self, place: Place) -> Info | None:
        try:
            known = retrying(lambda: place.store.head(place.bucket, place.key))
        except (ObjectNotFound, KeyNotSupported):
            return None
        return listing.file_info(place.path_of(known.entry.key), known.entry)

    def _has_any(self, place: Place) -> bool:
        try:
            return retrying(lambda: listing.has_any(place))
        except ObjectNotFound:
            return False

    def exists(self, path: Any, **kwargs: Any) -> bool:
        """Unlike fsspec's own, raises where the storage does not tell (refused, unreachable)."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: Any) -> bool:
        place = self._places.find(path)
        if not place.at.key:
            return False
        found = self._head(place)
        return found is not None and (not place.key.endswith("/") or found["size"] > 0)

    def isdir(self, path: Any) -> bool:
        """True where anything lies below, also where an object has the very name."""
        place = self._places.find(path)
        if not place.at.bucket:
            return True
        if not place.at.key:
            return bool(retrying(lambda: place.store.bucket_exists(place.bucket)))
        return self._has_any(place)

    def ls(self, path: Any, detail: bool = True, **kwargs: Any) -> list[Any]:
        """The folder's content; for an object that is no folder, the object itself."""
        place = self._places.find(path)
        if not place.at.bucket:
            buckets = retrying(place.store.list_buckets)
            infos = [listing.bucket_info(bucket) for bucket in buckets]
        else:
            infos = retrying(lambda: listing.level(place))
            if not infos and place.at.key:
                infos = [info for info in [self.info(path)] if info["type"] == "file"]
        infos.sort(key=lambda info: info["name"])
        return infos if detail else [info["name"] for info in infos]

    def find(
        self,
        path: Any,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """All objects below a path; the path itself where it is an object and no folder.

        Where an object and a folder have one name, the object is what is told.
        """
        _check_depth(maxdepth)
        found = self._found(path, maxdepth, withdirs, listing.note_problem)
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    def _found(
        self, path: Any, maxdepth: int | None, withdirs: bool, on_problem: listing.OnProblem
    ) -> dict[str, Info]:
        place = self._places.find(path)
        found: dict[str, Info] = {}
        if not place.at.bucket:
            for bucket in self.ls(""):
                if withdirs:
                    found[bucket["name"]] = bucket
                if maxdepth is None or maxdepth > 1:
                    rest = None if maxdepth is None else maxdepth - 1
                    found.update(self._found(bucket["name"], rest, withdirs, on_problem))
            return found
        try:
            infos = retrying(lambda: list(listing.below(place, maxdepth, on_problem)))
        except ObjectNotFound:
            infos = []
        for info in infos:
            if info["type"] == "file":
                found[info["name"]] = info
            elif withdirs:
                found.setdefault(info["name"], info)
        if infos:
            if withdirs:
                found.setdefault(place.at.folder_path, listing.folder_info(place.at.folder_path))
            return found
        try:
            itself = self.info(path)
        except FileNotFoundError:
            return {}
        if withdirs or itself["type"] == "file":
            found[itself["name"]] = itself
        return found

    def walk(
        self,
        path: Any,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        **kwargs: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        _check_depth(maxdepth)
        detail = kwargs.pop("detail", False)
        place = self._places.find(path)
        try:
            infos = self.ls(path)
        except (OSError, StorageError) as error:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(error)
            return
        here = place.at.folder_path
        start = len(place.prefix) + len(place.at.bucket) + 1 if place.at.bucket else 0
        folders = {i["name"][start:]: i for i in infos if i["type"] == "directory"}
        files = {i["name"][start:]: i for i in infos if i["type"] == "file"}
        names: Any = folders if detail else list(folders)
        if topdown:
            yield here, names, files if detail else list(files)
        if maxdepth is None or maxdepth > 1:
            rest = None if maxdepth is None else maxdepth - 1
            for name in list(names) if topdown else folders:
                inner = folders[name]["name"]
                yield from self.walk(inner, rest, topdown, on_error, detail=detail)
        if not topdown:
            yield here, names, files if detail else list(files)

    def du(
        self,
        path: Any,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Bytes below a path, by the listing alone."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def modified(self, path: Any) -> datetime:
        info = self.info(path)
        if "LastModified" not in info:
            raise IsADirectoryError(errno.EISDIR, "a folder has no modification time", str(path))
        date: datetime = info["LastModified"]
        return date

    def created(self, path: Any) -> datetime:
        """When this version was stored: object stores replace whole objects, so it is the time
        of the last change."""
        return self.modified(path)

    def checksum(self, path: Any) -> int:
        """A number that another version of the object has not; no digest of its content."""
        return int(self.ukey(path)[:32], 16)

    def ukey(self, path: Any) -> str:
        info = self.info(path)
        known = [info["name"], info["size"], info.get("ETag"), str(info.get("LastModified"))]
        return sha256(repr(known).encode("utf-8", "surrogatepass")).hexdigest()

    def sign(self, path: Any, expiration: int = 100, **kwargs: Any) -> str:
        """A URL that works for ``expiration`` seconds without credentials: a secret.

        ``method="PUT"`` makes one for an upload.
        """
        place = self._object(path)
        method = kwargs.pop("method", "GET")
        _refuse(kwargs, "sign")
        return place.store.presign(place.bucket, place.key, expires=expiration, method=method)

    # Reading

    def cat_file(
        self, path: Any, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """The bytes from ``start`` to ``end``, which work like those of a slice."""
        place = self._object(path)
        if not start and end is None:
            return self._read(place, 0, None, None)
        info = self._existing(place)
        first, last, _ = slice(start, end).indices(info["size"])
        if last <= first:
            return b""
        return self._read(place, first, last - first, info.get("ETag"))

    def read_version(self, path: Any, start: int, end: int, etag: str | None) -> bytes:
        """Bytes ``start`` to ``end`` (both within the object) of the version of that ETag."""
        return self._read(self._object(path), start, end - start, etag)

    def _read(self, place: Place, start: int, length: int | None, etag: str | None) -> bytes:
        if length == 0:
            return b""

        def read() -> bytes:
            with place.store.read(
                place.bucket, place.key, start=start, length=length, if_match=etag
            ) as reader:
                wanted = length if length is not None else reader.info.entry.size - start
                data = _all_of(reader.read)
                if len(data) != wanted:
                    raise ObjectChanged(f"{shown(place.at.path)}: {len(data)} bytes of {wanted}")
                return data

        return retrying(read)

    def cat_ranges(
        self,
        paths: list[Any],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        if max_gap is not None:
            raise NotImplementedError("max_gap")
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        count = len(paths)
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * count
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * count
        if not len(starts) == len(ends) == count:
            raise ValueError("as many starts and ends as paths are needed")
        out: list[Any] = [None] * count

        def one(index: int) -> bytes:
            return self.cat_file(paths[index], starts[index], ends[index])

        for index, data in bulk.in_parallel(one, range(count)):
            if isinstance(data, Exception) and on_error != "return":
                raise data
            out[index] = data
        return out

    def cat(
        self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any
    ) -> Any:
        """One object's bytes, or ``{path: bytes}`` for a list, a glob or a folder."""
        single = not isinstance(path, (list, tuple, set))
        names = self.expand_path(path, recursive=recursive, **kwargs)
        if single and len(names) == 1 and _same_path(names[0], path):
            return self.cat_file(path)
        if recursive:
            names = [name for name in names if self.isfile(name)]
        found: dict[str, Any] = {}
        for name, data in bulk.in_parallel(self.cat_file, names):
            if isinstance(data, Exception):
                if on_error == "raise":
                    raise data
                if on_error != "return":
                    continue
            found[name] = data
        return {name: found[name] for name in names if name in found}

    def _open(
        self,
        path: Any,
        mode: str = "rb",
        block_size: int | str | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        place = self._object(path)
        if mode == "rb":
            if not place.key:
                raise IsADirectoryError(errno.EISDIR, "Is a bucket", place.at.path)
            cache_type = kwargs.pop("cache_type", "readahead")
            size = kwargs.pop("size", None)
            _refuse(kwargs, "open")
            return ObjectFile(self, place.at.path, block_size, cache_type, cache_options, size)
        if mode not in ("wb", "xb", "ab"):
            raise ValueError(f"mode {mode!r}: an object is read, or written anew, not both")
        attributes = kwargs.pop("attributes", None)
        kwargs.pop("cache_type", None)
        _refuse(kwargs, "open")
        part = block_size if isinstance(block_size, int) else None
        if mode == "ab":
            return self._appender(place, part, autocommit)
        if mode == "xb" and self._head(place) is not None:
            raise ObjectExists(f"{shown(place.at.path)}: it is there already")
        return self._writer(
            place, part, attributes=attributes, exclusive=mode == "xb", autocommit=autocommit
        )

    def _writer(self, place: Place, part: int | None = None, **more: Any) -> ObjectWriter:
        limits = place.store.capabilities.parts
        if part is not None and limits is not None:
            part = max(part, limits.min_part)
        return ObjectWriter(place.store, place.bucket, place.key, part_size=part, **more)

    def _appender(self, place: Place, part: int | None, autocommit: bool) -> ObjectWriter:
        """Objects cannot grow: a new one is written that begins with the old one's bytes."""
        try:
            known = retrying(lambda: place.store.head(place.bucket, place.key))
        except ObjectNotFound:
            return self._writer(place, part, autocommit=autocommit)
        writer = self._writer(place, part, autocommit=autocommit, attributes=known.attributes)
        try:
            for block in self._blocks(place, known.entry.etag):
                writer.write(block)
        except BaseException:
            writer.discard()
            raise
        return writer

    def open(
        self,
        path: Any,
        mode: str = "rb",
        block_size: int | str | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """A file object. Modes: ``r``, ``w``, ``x`` (must not exist), ``a``; with ``b`` binary.

        ``attributes=`` (`svstorage.model.Attributes`) goes with an object that is written.
        """
        text = {name: kwargs.pop(name) for name in _TEXT_OPTIONS if name in kwargs}
        binary = mode.replace("t", "").replace("b", "") + "b"
        autocommit = kwargs.pop("autocommit", not self._intrans)
        file = self._open(
            path,
            mode=binary,
            block_size=block_size,
            autocommit=autocommit,
            cache_options=cache_options,
            **kwargs,
        )
        if not autocommit and binary != "rb":
            self.transaction.files.append(file)
        if compression is not None:
            file = _compressed(file, paths.text_of(path), compression, binary)
        if "b" in mode:
            return file
        if binary == "rb":
            return io.TextIOWrapper(file, **text)
        return TextWriter(file, **text)

    # Writing

    def pipe_file(self, path: Any, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Store ``value`` as one object; ``mode="create"`` raises `FileExistsError` where there
        is one."""
        place = self._object(path)
        attributes = kwargs.pop("attributes", None)
        _refuse(kwargs, "pipe_file")
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
                raise _not_found(place)
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
            raise _not_found(place)

    # One object to or from a local file, or across

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
                raise _not_found(place)
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

    def _copy_to(self, place: Place, info: Info, file: Any, callback: Any) -> None:
        count = 0
        for block in self._blocks(place, info.get("ETag")):
            file.write(block)
            count += len(block)
            callback.relative_update(len(block))
        if count != info["size"]:
            raise ObjectChanged(f"{shown(place.at.path)}: {count} bytes of {info['size']}")

    def _blocks(self, place: Place, etag: str | None) -> Iterator[bytes]:
        """The content of one version, going on after a break."""
        offset, attempt = 0, 0
        while True:
            try:
                with place.store.read(
                    place.bucket, place.key, start=offset, if_match=etag
                ) as reader:
                    while block := reader.read(_CHUNK):
                        yield bytes(block)
                        offset += memoryview(block).nbytes
                        attempt = 0
                return
            except PASSING as error:
                attempt += 1
                # Without an ETag nobody could tell that the rest is of the same version.
                if attempt >= ATTEMPTS or (offset and etag is None):
                    raise
                pause(attempt, error)

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
        _refuse(kwargs, "put_file")
        if os.path.isdir(lpath):
            return
        place = self._object(rpath)
        source, before = local.open_regular(os.fspath(lpath))
        with source:
            callback.set_size(before.st_size)
            with self.open(
                rpath, "xb" if mode == "create" else "wb", attributes=attributes
            ) as writer:
                while block := source.read(_CHUNK):
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
            raise _not_found(place)
        retrying(lambda: place.store.delete(place.bucket, place.key))

    _rm = rm_file

    # Many objects

    def expand_path(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        found = self._expanded(
            path, recursive, maxdepth, listing.note_problem, literal=assume_literal
        )
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return sorted(found)

    def _expanded(
        self,
        path: Any,
        recursive: bool,
        maxdepth: int | None,
        on_problem: listing.OnProblem,
        literal: bool = False,
    ) -> dict[str, Info | None]:
        """Paths with what is known of them; None where nobody looked."""
        _check_depth(maxdepth)
        found: dict[str, Info | None] = {}
        for one in path if isinstance(path, (list, tuple, set)) else [path]:
            text = paths.text_of(one)
            if not literal and self._is_pattern(text):
                matches = self.glob(text, maxdepth=maxdepth, detail=True)
                found.update(matches)
                if recursive and (maxdepth is None or maxdepth > 1):
                    rest = None if maxdepth is None else maxdepth - 1
                    for name, info in matches.items():
                        if info["type"] == "directory":
                            found.update(self._found(name, rest, True, on_problem))
            elif recursive:
                inner = self._found(one, maxdepth, True, on_problem)
                found.update(inner)
                # An object that has the name of the folder is part of the tree.
                if inner and self.isfile(text):
                    found[text] = self.info(text)
            else:
                found[paths.locate(one).folder_path if text.endswith("/") and not self.isfile(one)
                      else text] = None  # fmt: skip
        return found

    def _is_pattern(self, text: str) -> bool:
        """Whether a path is a glob; not where there is an object of just that name."""
        return has_magic(text) and not (paths.locate(text).key and self.isfile(text))

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download objects, by fsspec's rules for copying files and directories.

        Names that a disk cannot hold, or not beside each other (``a`` and ``a/b``), are failures
        of those objects.
        """
        failures: list[tuple[str, Exception]] = []
        pairs: list[tuple[str, str]] = []
        if isinstance(rpath, (list, tuple)) and isinstance(lpath, (list, tuple)):
            pairs = _zipped(rpath, lpath, os.fspath)
        else:
            root = os.path.abspath(os.path.expanduser(os.fspath(lpath)))
            as_folder = os.fspath(lpath).endswith("/") or os.path.isdir(root)
            plan = self._plan(rpath, recursive, maxdepth, as_folder, failures)
            needed = {relative[:cut] for _, relative in plan for cut in _cuts(relative)}
            for source, relative in plan:
                try:
                    if relative in needed:
                        raise KeyNotSupported(
                            f"{shown(source)}: a local disk cannot hold a file and a folder of "
                            f"one name ({relative!r})"
                        )
                    pairs.append((source, local.local_target(root, relative)))
                except ObjectError as error:
                    failures.append((source, error))
        self._transfer(self.get_file, pairs, callback, failures, kwargs)

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload files, by fsspec's rules for copying files and directories.

        Pipes, sockets, dangling links and links to folders are failures of those files.
        """
        failures: list[tuple[str, Exception]] = []
        pairs: list[tuple[str, str]]
        if isinstance(lpath, (list, tuple)) and isinstance(rpath, (list, tuple)):
            pairs = _zipped(lpath, rpath, paths.text_of)
        else:
            target = paths.text_of(rpath)
            as_folder = target.endswith("/") or self.isdir(target)
            plan = _local_plan(lpath, recursive, maxdepth, as_folder, failures)
            root = paths.locate(target).folder_path if as_folder else target
            pairs = [(source, paths.joined(root, relative)) for source, relative in plan]
        self._transfer(self.put_file, pairs, callback, failures, kwargs)

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy objects, by fsspec's rules for copying files and directories."""
        failures: list[tuple[str, Exception]] = []
        pairs = self._copy_pairs(path1, path2, recursive, maxdepth, failures)

        def one(pair: tuple[str, str]) -> None:
            self.cp_file(*pair)

        for (source, _), error in bulk.in_parallel(one, pairs):
            if isinstance(error, FileNotFoundError) and on_error == "ignore":
                continue
            if isinstance(error, Exception):
                failures.append((source, error))
        bulk.raise_failures(failures)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy, and delete just what was copied well."""
        failures: list[tuple[str, Exception]] = []
        pairs = self._copy_pairs(path1, path2, recursive, maxdepth, failures)
        places = [(pair, self._places.find(pair[0]), self._places.find(pair[1])) for pair in pairs]
        moves = [pair for pair, source, target in places if not source.same_object(target)]
        # What another move writes must not be deleted as this one's source.
        written = {pair[1] for pair in moves}
        done: list[str] = []
        for (source, _), error in bulk.in_parallel(lambda pair: self.cp_file(*pair), moves):
            if isinstance(error, Exception):
                failures.append((source, error))
            elif source not in written:
                done.append(source)
        self._delete(done, failures)
        bulk.raise_failures(failures)

    def _copy_pairs(
        self,
        path1: Any,
        path2: Any,
        recursive: bool,
        maxdepth: int | None,
        failures: list[tuple[str, Exception]],
    ) -> list[tuple[str, str]]:
        if isinstance(path1, (list, tuple)) and isinstance(path2, (list, tuple)):
            return _zipped(path1, path2, paths.text_of)
        target = paths.text_of(path2)
        as_folder = target.endswith("/") or self.isdir(target)
        plan = self._plan(path1, recursive, maxdepth, as_folder, failures)
        root = paths.locate(target).folder_path if as_folder else target
        return [(source, paths.joined(root, relative)) for source, relative in plan]

    def _plan(
        self,
        path: Any,
        recursive: bool,
        maxdepth: int | None,
        into_folder: bool,
        failures: list[tuple[str, Exception]],
    ) -> list[tuple[str, str]]:
        """What to copy: paths, and their names at the destination.

        After "Copying files and directories" of fsspec's documentation. Several sources go into
        the destination by their own names, a recursive one with its tree.
        """

        def note(place: Place, problem: Problem) -> None:
            if problem.severity == "error":
                path = place.path_of(problem.key)
                failures.append((path, ListingError(f"{shown(path)}: {problem.reason}")))
            else:
                listing.note_problem(place, problem)

        if isinstance(path, (list, tuple, set)):
            plan: list[tuple[str, str]] = []
            for one in path:
                plan += self._plan(one, recursive, maxdepth, True, failures)
            return _without_clashes(plan, failures)
        text = paths.text_of(path)
        if self._is_pattern(text):
            found = self._expanded(path, recursive, maxdepth, note)
            names = sorted(found)
            kinds = {name: bool(i and i["type"] == "directory") for name, i in found.items()}
            if not recursive or maxdepth is not None:
                names = [name for name in names if not kinds[name]]
            if not found:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
            if not names:
                return []
            root = _common_folder(names)
            return [(name, name[len(root) :]) for name in names if not kinds[name]]
        if not recursive:
            if not self.isfile(path) and (text.endswith("/") or self.isdir(path)):
                return []
            return [(text, paths.name_of(text) if into_folder else "")]
        found = self._expanded(path, True, maxdepth, note)
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
        here = paths.locate(path)
        start = len(here.bucket) + 1 + len(here.folder_prefix) if here.bucket else 0
        within = paths.name_of(text) if into_folder and not text.endswith("/") else ""
        plan = []
        for name, info in sorted(found.items()):
            if info and info["type"] == "directory":
                continue
            itself = name == text and not text.endswith("/")
            plan.append((name, within if itself else paths.joined(within, name[start:])))
        return plan

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects; with ``recursive`` also what lies below, and a whole bucket with it."""
        failures: list[tuple[str, Exception]] = []
        doomed: list[str] = []
        buckets: list[Place] = []
        many = path if isinstance(path, (list, tuple, set)) else [path]
        for one, outcome in bulk.in_parallel(lambda p: self._doomed(p, recursive, maxdepth), many):
            if isinstance(outcome, Exception):
                failures.append((str(one), outcome))
            else:
                doomed += outcome
                place = self._places.find(one)
                if recursive and maxdepth is None and not place.at.key:
                    buckets.append(place)
        self._delete(doomed, failures)
        if not failures:
            for place in buckets:
                place.store.delete_bucket(place.bucket)
        bulk.raise_failures(failures)

    def _doomed(self, path: Any, recursive: bool, maxdepth: int | None) -> list[str]:
        text = paths.text_of(path)
        here = paths.locate(path)
        if not here.bucket:
            raise UsageError("sv:// as a whole is not deleted; name a bucket")
        if self._is_pattern(text):
            if has_magic(here.bucket):
                raise UsageError(f"{shown(text)}: buckets are not deleted by a pattern")
            matches = self.glob(text, maxdepth=maxdepth, detail=True)
            doomed = [name for name, info in matches.items() if info["type"] == "file"]
            rest = None if maxdepth is None else maxdepth - 1
            if recursive and rest != 0:
                for name, info in matches.items():
                    if info["type"] == "directory":
                        doomed += self._tree(name, rest)
            elif not doomed and matches:
                raise IsADirectoryError(errno.EISDIR, "only folders match", text)
            if not matches:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
            return doomed
        itself = [text] if here.key and self._head(self._places.find(path)) is not None else []
        if not recursive:
            if itself:
                return itself
            if self.isdir(path):
                raise IsADirectoryError(errno.EISDIR, "Is a folder: pass recursive=True", here.path)
            raise _not_found(self._places.find(path))
        inner = self._tree(path, maxdepth)
        if not itself and not inner and (here.key or not self.isdir(path)):
            raise _not_found(self._places.find(path))
        return itself + [name for name in inner if name not in itself]

    def _tree(self, path: Any, maxdepth: int | None) -> list[str]:
        """Every key below a folder, the markers of folders too."""
        place = self._places.find(path)
        problems: list[str] = []

        def note(place: Place, problem: Problem) -> None:
            if problem.severity == "error":
                problems.append(f"{place.path_of(problem.key)}: {problem.reason}")

        if maxdepth is not None:
            infos = retrying(lambda: list(listing.below(place, maxdepth, note)))
            found = [info["name"] for info in infos if info["type"] == "file"]
        else:
            found = []
            for item in retrying(lambda: list(place.store.list(place.bucket, place.prefix))):
                if isinstance(item, Problem):
                    note(place, item)
                else:
                    found.append(place.path_of(item.key))
        if problems:
            raise ListingError(f"{shown(place.at.path)}: not all could be listed: {problems[:5]}")
        return found

    def _delete(self, names: Sequence[str], failures: list[tuple[str, Exception]]) -> None:
        by_bucket: dict[str, tuple[Place, list[str]]] = {}
        for name in names:
            place = self._places.find(name)
            by_bucket.setdefault(place.at.bucket, (place, []))[1].append(place.key)
        for place, keys in by_bucket.values():
            for start in range(0, len(keys), _DELETED_AT_ONCE):
                for key, error in _deleted(place, keys[start : start + _DELETED_AT_ONCE]):
                    failures.append((place.path_of(key), error))

    def _transfer(
        self,
        work: Callable[..., None],
        pairs: list[tuple[str, str]],
        callback: Any,
        failures: list[tuple[str, Exception]],
        options: dict[str, Any],
    ) -> None:
        callback.set_size(len(pairs) + len(failures))

        def one(pair: tuple[str, str]) -> None:
            with callback.branched(*pair) as child:
                work(*pair, callback=child, **options)

        for (source, _), error in bulk.in_parallel(one, pairs):
            if isinstance(error, Exception):
                failures.append((source, error))
            callback.relative_update(1)
        bulk.raise_failures(failures)

    def _each(
        self, work: Callable[[T], object], items: Iterable[T], name: Callable[[T], str]
    ) -> None:
        outcomes = bulk.in_parallel(work, items)
        bulk.raise_failures([(name(i), error) for i, error in outcomes
                             if isinstance(error, Exception)])  # fmt: skip

    # Helpers

    def _object(self, path: Any) -> Place:
        place = self._places.find(path)
        if not place.at.key:
            what = "Is a bucket" if place.at.bucket else "Is the whole storage"
            raise IsADirectoryError(errno.EISDIR, what, place.at.path)
        return place

    def _existing(self, place: Place) -> Info:
        info = self._head(place)
        if info is None:
            raise _not_found(place)
        return info


def _restored(reference: dict[str, Any], location: str) -> SvFileSystem:
    fs = SvFileSystem(**reference)
    check_same(fs._connection, location)
    return fs


def _not_found(place: Place) -> ObjectNotFound:
    return ObjectNotFound(errno.ENOENT, os.strerror(errno.ENOENT), shown(place.at.path))


def _all_of(read: Callable[[int], Any]) -> bytes:
    blocks = []
    while block := read(-1):
        blocks.append(bytes(block))
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _deleted(place: Place, keys: list[str]) -> Iterator[tuple[str, Exception]]:
    """Delete up to a thousand keys; those that failed, after tries."""
    left = keys
    for attempt in range(1, ATTEMPTS + 1):
        failed: list[tuple[str, Exception]] = []
        try:
            outcomes = builtins.list(place.store.delete_many(place.bucket, left))
            failed = [(key, error) for key, error in outcomes if error is not None]
        except PASSING as error:
            failed = [(key, error) for key in left]
        again = [(key, error) for key, error in failed if isinstance(error, PASSING)]
        yield from (pair for pair in failed if not isinstance(pair[1], PASSING))
        if not again:
            return
        if attempt == ATTEMPTS:
            yield from again
            return
        left = [key for key, _ in again]
        pause(attempt, again[0][1])


def _local_plan(
    path: Any,
    recursive: bool,
    maxdepth: int | None,
    into_folder: bool,
    failures: list[tuple[str, Exception]],
) -> list[tuple[str, str]]:
    """Files to upload with their names at the destination; the rules are those of `_plan`."""
    if isinstance(path, (builtins.list, tuple, set)):
        plan: list[tuple[str, str]] = []
        for one in path:
            plan += _local_plan(one, recursive, maxdepth, True, failures)
        return _without_clashes(plan, failures)
    _check_depth(maxdepth)
    text = os.path.expanduser(os.fspath(path))
    if has_magic(text) and not os.path.lexists(text):
        return _local_matches(text, recursive, maxdepth, failures)
    slash = text.endswith("/")
    text = os.path.abspath(text)
    if not os.path.isdir(text):
        return [(text, os.path.basename(text) if into_folder else "")]
    if not recursive:
        return []
    within = os.path.basename(text) if into_folder and not slash else ""
    plan = []
    for name, error in local.tree(text, maxdepth):
        if error is None:
            plan.append((os.path.join(text, name), paths.joined(within, name)))
        else:
            failures.append((os.path.join(text, name), error))
    return plan


def _local_matches(
    pattern: str, recursive: bool, maxdepth: int | None, failures: list[tuple[str, Exception]]
) -> list[tuple[str, str]]:
    from fsspec.implementations.local import LocalFileSystem

    matches = LocalFileSystem().glob(os.path.abspath(pattern), maxdepth=maxdepth, detail=True)
    if not matches:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), pattern)
    names: set[str] = set()
    files: set[str] = set()
    for name in matches:
        names.add(name)
        if not os.path.isdir(name):
            files.add(name)
        elif recursive and (maxdepth is None or maxdepth > 1):
            for inner, error in local.tree(name, None if maxdepth is None else maxdepth - 1):
                whole = os.path.join(name, inner)
                if error is not None:
                    failures.append((whole, error))
                else:
                    names.add(whole)
                    files.add(whole)
    if not recursive or maxdepth is not None:
        names = files
    if not files:
        return []
    root = _common_folder(sorted(names))
    return [(name, name[len(root) :]) for name in sorted(files)]


def _common_folder(names: Sequence[str]) -> str:
    """What fsspec makes the root of glob matches: the last folder that they share.

    A single match is copied by its name; a folder that holds all others is itself the root.
    """
    if len(names) == 1:
        name = names[0]
        return name[: name.rfind("/") + 1]
    split = [name.split("/") for name in names]
    common: list[str] = []
    for parts in zip(*split, strict=False):
        if any(part != parts[0] for part in parts):
            break
        common.append(parts[0])
    return "/".join(common) + "/" if common else ""


def _cuts(relative: str) -> list[int]:
    return [at for at, character in enumerate(relative) if character == "/"]


def _without_clashes(
    plan: list[tuple[str, str]], failures: list[tuple[str, Exception]]
) -> list[tuple[str, str]]:
    """Of several sources for one destination the first; the others are failures."""
    first: dict[str, str] = {}
    kept = []
    for source, relative in plan:
        other = first.setdefault(relative, source)
        if other != source:
            failures.append(
                (source, ObjectError(f"{source!r} and {other!r} would both become {relative!r}"))
            )
        else:
            kept.append((source, relative))
    return kept


def _zipped(
    sources: Sequence[Any], targets: Sequence[Any], target_text: Callable[[Any], str]
) -> list[tuple[Any, str]]:
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources for {len(targets)} destinations")
    return [(s, target_text(t)) for s, t in zip(sources, targets, strict=True)]


def _same_path(name: str, path: Any) -> bool:
    return name in (paths.text_of(path), str(paths.strip(path)))


def _check_depth(maxdepth: int | None) -> None:
    if maxdepth is not None and maxdepth < 1:
        raise ValueError("maxdepth must be at least 1")


def _refuse(options: Mapping[str, Any], method: str) -> None:
    if options:
        raise TypeError(f"{method}() of sv:// takes no {', '.join(sorted(options))}")


def _compressed(file: Any, path: str, compression: str, mode: str) -> Any:
    from fsspec.compression import compr
    from fsspec.core import get_compression

    name = get_compression(path, compression)
    if name is None:
        return file
    inner = compr[name](file, mode=mode[0])
    return inner if mode == "rb" else Compressed(inner, file)
