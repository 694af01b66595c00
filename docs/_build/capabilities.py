"""The table of what each provider can do, asked of the providers themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from svstorage.model import PartLimits
from svstorage.providers.base import MultipartStore, NativeStore

# Enough settings for a store that is never used: what it can do is told without a request.
_SETTINGS = {
    "http": {"DATA_PATH": "."},
    "minio": {"STORAGE_ACCESS_KEY": "a", "STORAGE_SECRET_KEY": "b"},
    "azure": {"STORAGE_ACCESS_KEY": "account", "STORAGE_SECRET_KEY": "c2VjcmV0"},
}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def table() -> Iterator[str]:
    """One column for each built-in provider, one for whatever comes through fsspec alone."""
    stores = dict(_stores())
    yield f"| | {' | '.join(stores)} |"
    yield f"|---|{'---|' * len(stores)}"
    for words, answer in _ROWS:
        cells = [answer(store) for store in stores.values()]
        yield f"| {words} | {' | '.join(map(_cell, cells))} |"


def _stores() -> Iterator[tuple[str, Any]]:
    from fsspec.implementations.memory import MemoryFileSystem

    from svstorage import connect
    from svstorage.providers.fsspec_store import FsspecStore
    from svstorage.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        for name, values in _SETTINGS.items():
            file = Path(folder, f"{name}.env")
            lines = [f"STORAGE_PROVIDER={name}", *(f"{k}={v}" for k, v in values.items())]
            file.write_text("\n".join(lines) + "\n")
            file.chmod(0o600)
            settings = Settings.load(env_file=file, environ={})
            with connect(settings=settings) as storage:
                yield f"`{name}`", storage.store
    yield "any fsspec filesystem", FsspecStore(MemoryFileSystem(), identity="docs")


def _parts(tell: Callable[[PartLimits], str]) -> Callable[[Any], Any]:
    def answer(store: Any) -> Any:
        limits = store.capabilities.parts
        return tell(limits) if limits and isinstance(store, MultipartStore) else False

    return answer


def _size(count: int) -> str:
    """Bytes in words; no limit where it is that of a file's length itself."""
    if count >= 1 << 62:
        return "no limit"
    sizes = [(count / 1024**power, unit) for power, unit in enumerate(_UNITS)]
    whole = [(size, unit) for size, unit in sizes if size == int(size) and size < 10_000]
    size, unit = whole[-1] if whole else next(pair for pair in sizes if pair[0] < 1024)
    return f"{size:.4g} {unit}"


def _flag(name: str) -> Callable[[Any], bool]:
    return lambda store: bool(getattr(store.capabilities, name))


_ROWS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("lists in byte order (else it is sorted on disk first)",
     lambda store: store.capabilities.listing_order == "bytes"),
    ("content headers and user metadata", _flag("holds_metadata")),
    ("tags (`--tags`)", _flag("holds_tags")),
    ("folder markers as keys of their own", _flag("holds_folder_markers")),
    ("modification time set on the object itself", _flag("sets_modified")),
    ("copy inside the storage, without the bytes passing through", _flag("server_side_copy")),
    ("resumable transfer of big objects", lambda store: isinstance(store, MultipartStore)),
    ("parts of one object", _parts(lambda limits: f"up to {limits.max_parts:,}")),
    ("size of a part", _parts(lambda p: f"{_size(p.min_part)} to {_size(p.max_part)}")),
    ("largest object", _parts(lambda limits: _size(limits.max_object))),
    ("checksum that the service tells of a small object",
     lambda store: store.capabilities.put_checksum or False),
    ("compiled fast lane for small objects", lambda store: isinstance(store, NativeStore)),
    ("`presign`", _flag("presign")),
)  # fmt: skip


def _cell(answer: Any) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "—"
    return str(answer)
