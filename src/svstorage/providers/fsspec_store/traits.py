"""What an fsspec filesystem can do, told by which methods its class brings itself."""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

AZURE = frozenset({"abfs", "abfss", "az", "adl"})
"""The protocols of adlfs."""


def innermost(fs: AbstractFileSystem) -> AbstractFileSystem:
    """The filesystem that does the work, below any `DirFileSystem`."""
    while isinstance(fs, DirFileSystem):
        fs = fs.fs
    return fs


def made_again(fs: AbstractFileSystem) -> AbstractFileSystem:
    """An equal filesystem with connections of its own, after a fork."""
    if isinstance(fs, DirFileSystem):
        return DirFileSystem(path=fs.path, fs=made_again(fs.fs), skip_instance_cache=True)
    if isinstance(fs, MemoryFileSystem):
        return fs  # it has none, and another one would be empty
    return type(fs)(*fs.storage_args, **fs.storage_options, skip_instance_cache=True)


def inner_path(fs: AbstractFileSystem, path: str) -> str:
    """What `innermost` calls ``path``."""
    while isinstance(fs, DirFileSystem):
        fs, path = fs.fs, fs._join(path)
    return path


def brings(fs: AbstractFileSystem, method: str) -> bool:
    """Whether the class of ``fs`` has its own ``method``, or the asynchronous form of it."""
    kind = type(fs)
    for name in (method, f"_{method}"):
        own = getattr(kind, name, None)
        if own is None:
            continue
        # Functions that fsspec itself provides are defaults, whoever inherits them.
        module = getattr(own, "__module__", "")
        if module not in (AbstractFileSystem.__module__, AsyncFileSystem.__module__):
            return True
    return False


def copies_inside(fs: AbstractFileSystem) -> bool:
    """Whether ``cp_file`` is a whole copy that no reader sees half of."""
    # Azure answers a copy that it has only begun, and adlfs does not wait for its end.
    if protocols(fs) & AZURE or not brings(fs, "cp_file"):
        return False
    return fs.async_impl or brings(fs, "pipe_file")


def protocols(fs: AbstractFileSystem) -> set[str]:
    """All names of its kind."""
    named = fs.protocol
    return {named} if isinstance(named, str) else set(named)


def publishes_on_commit(file: Any) -> bool:
    """Whether a file opened with ``autocommit=False`` stays unseen until ``commit``."""
    kind = type(file)
    return (
        isinstance(file, AbstractBufferedFile)
        and kind.commit is not AbstractBufferedFile.commit
        and kind.discard is not AbstractBufferedFile.discard
    )


# Names of options that tell where a filesystem is, and no secrets.
_PLACE = ("host", "port", "endpoint_url", "account_name", "account_host", "project", "path",
          "share", "username", "fo", "target_protocol", "repo", "org", "instance")  # fmt: skip


def identity(fs: AbstractFileSystem) -> str:
    """The same text for filesystems of the same place, also in another process."""
    if isinstance(fs, DirFileSystem):
        return f"{identity(fs.fs)}/{fs.path}"
    options = {**fs.storage_options.get("client_kwargs", {}), **fs.storage_options}
    known = [
        f"{name}={options[name]}" for name in _PLACE if isinstance(options.get(name), str | int)
    ]
    if options.get("global_store") is False:
        known.append(f"id={id(fs)}")  # fsspec's memory, with content of its own
    return f"fsspec {'/'.join(sorted(protocols(fs)))} {' '.join(known)}".rstrip()


def removes_only_empty_folders(fs: AbstractFileSystem) -> bool:
    """False for pyarrow's filesystems, whose ``rmdir`` takes everything below along."""
    return bool(type(fs).rmdir.__module__ != "fsspec.implementations.arrow")
