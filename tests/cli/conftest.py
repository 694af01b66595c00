"""Storages of all three kinds, and two ways to run the command on them."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.azure import AzureServer
from tests.servers.s3 import S3Server


@dataclass(frozen=True)
class Done:
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as one JSON value."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def errors(self) -> list[Any]:
        """The JSON lines of stderr."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]

    @property
    def said(self) -> str:
        """Both streams, for messages of failed tests and for searches."""
        return f"{self.out}\n{self.err}"

    def ok(self) -> Done:
        """Itself, after making sure that the run ended well."""
        assert self.code == 0, self.said
        return self


class DiskServer:
    """The local disk with the face of the servers in ``tests/servers``; the oracle is `os`."""

    name = "disk"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "storage"
        self.root.mkdir(parents=True)

    def env(self) -> dict[str, str]:
        return {"STORAGE_PROVIDER": "http", "DATA_PATH": str(self.folder)}

    def buckets(self) -> list[str]:
        return sorted(os.listdir(self.root))

    def keys(self, bucket: str) -> dict[str, int]:
        root = self.root / bucket
        found = [path for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(root)): path.stat().st_size for path in found}

    def read(self, bucket: str, key: str) -> bytes:
        return (self.root / bucket / key).read_bytes()

    def write(self, bucket: str, key: str, data: bytes) -> None:
        path = self.root / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def drop(self, bucket: str) -> None:
        pass


@functools.cache
def _client(server: Any) -> Any:
    # boto3 takes a fifth of a second to make one.
    return server.client()


class _S3:
    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.name = server.name
        self.client = _client(server)

    def env(self) -> dict[str, str]:
        return self.server.env()

    def buckets(self) -> list[str]:
        return [bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]]

    def keys(self, bucket: str) -> dict[str, int]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", [])}

    def read(self, bucket: str, key: str) -> bytes:
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def write(self, bucket: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def drop(self, bucket: str) -> None:
        with contextlib.suppress(self.client.exceptions.ClientError):
            for key in self.keys(bucket):
                self.client.delete_object(Bucket=bucket, Key=key)
            self.client.delete_bucket(Bucket=bucket)


class _Azure:
    name = "azure"

    def __init__(self, server: AzureServer) -> None:
        self.server = server
        self.client = _client(server)

    def env(self) -> dict[str, str]:
        return self.server.env()

    def buckets(self) -> list[str]:
        return [container.name for container in self.client.list_containers()]

    def keys(self, bucket: str) -> dict[str, int]:
        return self.server.keys(bucket)

    def read(self, bucket: str, key: str) -> bytes:
        return self.client.get_blob_client(bucket, key).download_blob().readall()

    def write(self, bucket: str, key: str, data: bytes) -> None:
        self.client.get_blob_client(bucket, key).upload_blob(data, overwrite=True)

    def drop(self, bucket: str) -> None:
        self.server.drop_bucket(bucket)


class Store:
    """One storage with a prefix of its own, and what it really holds by a client not ours."""

    def __init__(self, server: Any, folder: Path, *, make: bool = True) -> None:
        self.server = server
        self.prefix = f"t{uuid.uuid4().hex[:10]}"
        self.public, self.private = f"{self.prefix}-public", f"{self.prefix}-private"
        self.env_file = self.write_env(folder / f".env.{self.prefix}")
        if make:
            run("--env-file", self.env_file, "mb", f"sv://{self.public}", f"sv://{self.private}")

    def write_env(self, path: Path, **more: str) -> Path:
        values = {**self.server.env(), "STORAGE_BUCKETS_PREFIX": self.prefix, **more}
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        path.chmod(0o600)
        return path

    def __call__(self, *words: Any, **options: Any) -> Done:
        """Run the command on this storage, in this process."""
        return run("--env-file", self.env_file, *words, **options)

    def holds(self, bucket: str | None = None) -> dict[str, int]:
        return self.server.keys(bucket or self.public)

    def read(self, key: str, bucket: str | None = None) -> bytes:
        return self.server.read(bucket or self.public, key)

    def write(self, key: str, data: bytes, bucket: str | None = None) -> None:
        self.server.write(bucket or self.public, key, data)

    def drop(self) -> None:
        for bucket in (self.public, self.private):
            self.server.drop(bucket)


def run(*words: Any, stdin: bytes = b"") -> Done:
    """Run the command in this process, through its entry point, as the shell would."""
    from svstorage.cli import main

    before = sys.argv, sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    sys.argv = ["svstorage", *map(os.fspath, map(_word, words))]
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    sys.stdout = io.TextIOWrapper(out, "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, "utf-8", write_through=True)
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    else:  # pragma: no cover - the entry point always ends the process
        code = -1
    finally:
        sys.stdout.flush()
        texts = [stream.getvalue().decode("utf-8", "replace") for stream in (out, err)]
        sys.argv, sys.stdin, sys.stdout, sys.stderr = before
    return Done(code, *texts)


def _word(word: Any) -> Any:
    return word if isinstance(word, (str, os.PathLike)) else str(word)


def command(*words: Any) -> list[str]:
    """The argv that runs the command in a process of its own."""
    return [sys.executable, "-m", "svstorage.cli", *(os.fspath(_word(word)) for word in words)]


def spawn(
    *words: Any, stdin: bytes | None = None, env: Mapping[str, str] | None = None, **options: Any
) -> Done:
    """Run the command in a process of its own."""
    done = subprocess.run(
        command(*words),
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
        env=None if env is None else {**os.environ, **env},
        **options,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


KINDS = ("disk", "s3", "azure")


@pytest.fixture
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """``new_store(kind)``: a storage of that kind (also ``moto``) with two empty buckets."""
    made: list[Store] = []

    def make(kind: str, *, make: bool = True) -> Store:
        folder = tmp_path / f"store-{len(made)}"
        folder.mkdir()
        server: Any
        if kind == "disk":
            server = DiskServer(folder)
        elif kind == "azure":
            server = _Azure(request.getfixturevalue("azurite"))
        else:
            fixture = "moto_server" if kind == "moto" else "rclone_s3"
            server = _S3(request.getfixturevalue(fixture))
        store = Store(server, folder, make=make)
        made.append(store)
        return store

    yield make
    for store in made:
        store.drop()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, new_store: Callable[..., Store]) -> Store:
    """Each of the three storages in turn."""
    return new_store(request.param)


@pytest.fixture
def disk(new_store: Callable[..., Store]) -> Store:
    return new_store("disk")


TREE = {
    "a.txt": b"hello\n",
    "sub/b.csv": b"x,y\n1,2\n",
    "sub/deep/c.bin": bytes(range(256)) * 500,
    "sub/empty": b"",
    "space dir/\u00fc %2F +.txt": b"odd",
    "-rf": b"looks like an option",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with `TREE` in it."""
    folder = tmp_path / "tree"
    write_tree(folder, TREE)
    return folder


def write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read_tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their relative names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
