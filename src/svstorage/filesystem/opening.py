"""Opening: objects as files, for reading or to be written anew."""

from __future__ import annotations

import errno
import io
import os
from typing import Any

from svstorage.errors import ObjectExists, ObjectNotFound
from svstorage.filesystem import paths
from svstorage.filesystem.looking import refuse
from svstorage.filesystem.places import Place, shown
from svstorage.filesystem.reader import ObjectFile
from svstorage.filesystem.reading import Reading
from svstorage.filesystem.retry import retrying
from svstorage.filesystem.writer import Compressed, ObjectWriter, TextWriter

_TEXT_OPTIONS = ("encoding", "errors", "newline")


class Opening(Reading):
    """Objects as files."""

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
            refuse(kwargs, "open")
            file = ObjectFile(self, place.at.path, block_size, cache_type, cache_options, size)
            if size is None and file.details["type"] == "directory":
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), place.at.path)
            return file
        if mode not in ("wb", "xb", "ab"):
            raise ValueError(f"mode {mode!r}: an object is read, or written anew, not both")
        attributes = kwargs.pop("attributes", None)
        kwargs.pop("cache_type", None)
        refuse(kwargs, "open")
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


def _compressed(file: Any, path: str, compression: str, mode: str) -> Any:
    from fsspec.compression import compr
    from fsspec.core import get_compression

    name = get_compression(path, compression)
    if name is None:
        return file
    inner = compr[name](file, mode=mode[0])
    return inner if mode == "rb" else Compressed(inner, file)
