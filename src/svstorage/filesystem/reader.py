"""Reading an object as a file: ranges of one version of it, with fsspec's read-ahead cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

if TYPE_CHECKING:
    from svstorage.filesystem.core import SvFileSystem

BLOCK = 5 * 2**20


class ObjectFile(AbstractBufferedFile):  # type: ignore[misc]
    """A binary file for reading. All its reads are of the version that was there at the first.

    Where the object is replaced meanwhile, reading raises `svstorage.errors.ObjectChanged`
    (as far as the service gives an ETag).
    """

    DEFAULT_BLOCK_SIZE = BLOCK

    def __init__(
        self,
        fs: SvFileSystem,
        path: str,
        block_size: int | str | None = None,
        cache_type: str = "readahead",
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            fs,
            path,
            mode="rb",
            block_size=block_size,
            cache_type=cache_type,
            cache_options=cache_options,
            size=size,
            **more,
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.read_version(self.path, start, end, self.details.get("ETag"))
        return data
