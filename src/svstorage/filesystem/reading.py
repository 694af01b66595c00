"""Reading: whole objects, ranges, and the content of one version after breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from svstorage.errors import ObjectChanged
from svstorage.filesystem import bulk, paths
from svstorage.filesystem.listing import Info
from svstorage.filesystem.looking import Looking
from svstorage.filesystem.places import Place, shown
from svstorage.filesystem.retry import ATTEMPTS, PASSING, pause, retrying

CHUNK = 1 << 20


class Reading(Looking):
    """Objects as bytes."""

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
                    while block := reader.read(CHUNK):
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


def _all_of(read: Callable[[int], Any]) -> bytes:
    blocks = []
    while block := read(-1):
        blocks.append(bytes(block))
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _same_path(name: str, path: Any) -> bool:
    return name in (paths.text_of(path), str(paths.strip(path)))
