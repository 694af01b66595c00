"""`FsspecStore` over kinds of filesystems that have little in common."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem


def s3_filesystem(server: Any) -> AbstractFileSystem:
    """s3fs as a user's ``s3://`` has it: with its listing cache."""
    from s3fs import S3FileSystem

    return S3FileSystem(
        key=server.access_key,
        secret=server.secret_key,
        endpoint_url=server.endpoint,
        config_kwargs={"s3": {"addressing_style": "path"}, "proxies": {}},
        skip_instance_cache=True,
    )


def azure_filesystem(server: Any) -> AbstractFileSystem:
    """adlfs with its listing cache."""
    from adlfs import AzureBlobFileSystem

    return AzureBlobFileSystem(connection_string=server.connection_string, skip_instance_cache=True)


def folder_filesystem(folder: Path) -> AbstractFileSystem:
    """Plain files: what SFTP, FTP and the like are, without their servers."""
    folder.mkdir(exist_ok=True)
    return DirFileSystem(str(folder), LocalFileSystem(), skip_instance_cache=True)


def memory_filesystem() -> AbstractFileSystem:
    return MemoryFileSystem(global_store=False, skip_instance_cache=True)


MakeFs = Callable[[], AbstractFileSystem]


@pytest.fixture(params=["memory", "folder"])
def make_fs(request: pytest.FixtureRequest, tmp_path: Path) -> MakeFs:
    """Makes filesystems over one and the same place, without a server."""
    return _maker(request.param, request, tmp_path)


@pytest.fixture(params=["memory", "folder", "s3", "azure"])
def make_any_fs(request: pytest.FixtureRequest, tmp_path: Path) -> MakeFs:
    """As `make_fs`, over servers too."""
    return _maker(request.param, request, tmp_path)


@pytest.fixture(params=["s3", "azure"])
def make_remote_fs(request: pytest.FixtureRequest, tmp_path: Path) -> MakeFs:
    return _maker(request.param, request, tmp_path)


def _maker(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> MakeFs:
    if kind == "memory":
        fs = memory_filesystem()
        return lambda: fs
    if kind == "folder":
        return lambda: folder_filesystem(tmp_path / "root")
    if kind == "s3":
        server = request.getfixturevalue("moto_server")
        return lambda: s3_filesystem(server)
    server = request.getfixturevalue("azurite")
    return lambda: azure_filesystem(server)


@contextlib.contextmanager
def new_bucket_of(make_fs: MakeFs) -> Iterator[str]:
    """A bucket that is emptied afterwards."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    make_fs().mkdir(name)
    yield name
    fs = make_fs()
    for path in fs.find(name):
        fs.rm_file(path)
