"""The servers that are measured against, each started for one run of the harness."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.servers.azure import DEV_ACCOUNT, DEV_KEY
from tests.servers.process import clean_environment, find_program, free_port, listens, running

HERE = Path(__file__).resolve().parent
ACCESS_KEY = "benchaccesskey"
SECRET_KEY = "benchsecretkey"
AZURITE = HERE.parent / "tests/servers/node/node_modules/.bin/azurite-blob"


class NotInstalled(RuntimeError):
    """A server or peer that is not on this machine; what needs it is left out, and says so."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. ``kind`` is ``s3`` or ``azure``; ``data`` is where buckets are folders."""

    name: str
    kind: str
    endpoint: str
    folder: Path
    data: Path | None = None
    tells_crc: bool = False
    """It tells the CRC64NVME of each object, as AWS does (STORAGE_S3_CHECKSUMS=on)."""

    def new_bucket(self, name: str) -> None:
        """Make a bucket of a name that was never used before: servers remember."""
        if self.kind == "azure":
            self._container(name).create_container()
        else:
            self._client().create_bucket(Bucket=name)

    def drop_bucket(self, name: str) -> None:
        if self.data is not None:
            shutil.rmtree(self.data / name, ignore_errors=True)
        elif self.kind == "azure":
            self._container(name).delete_container()
        else:  # the sink drops all that is in it
            self._client().delete_bucket(Bucket=name)

    def count(self, name: str) -> int:
        """How many objects a bucket has, asked by a client that is none of those measured."""
        if self.kind == "azure":
            return sum(1 for _ in self._container(name).list_blob_names())
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=name)
        return sum(len(page.get("Contents", ())) for page in pages)

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY, region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )  # fmt: skip

    def _container(self, name: str) -> Any:
        from azure.storage.blob import BlobServiceClient

        credential = {"account_name": DEV_ACCOUNT, "account_key": DEV_KEY}
        return BlobServiceClient(self.endpoint, credential=credential).get_container_client(name)


@contextmanager
def sink(folder: Path) -> Iterator[Server]:
    """Our own server that does nearly nothing: shows the client (see `sink.py`)."""
    port = free_port()
    command = [sys.executable, str(HERE / "sink.py"), str(port)]
    with running(command, folder=folder / "sink", ready=lambda: listens(port)):
        yield Server("sink", "s3", f"http://127.0.0.1:{port}", folder)


@contextmanager
def aws_like(folder: Path) -> Iterator[Server]:
    """The same, and clients are told that it has CRCs as AWS has."""
    with sink(folder / "aws") as server:
        yield replace(server, name="sink with CRC64NVME, as AWS", tells_crc=True)


@contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """``rclone serve s3`` over a folder."""
    program = find_program("rclone")
    if program is None:
        raise NotInstalled("rclone")
    port = free_port()
    data = folder / "rclone-data"
    data.mkdir(parents=True, exist_ok=True)
    command = [
        program, "serve", "s3", str(data), "--addr", f"127.0.0.1:{port}",
        "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", str(folder / "none.conf"),
    ]  # fmt: skip
    with running(command, folder=folder / "rclone", ready=lambda: listens(port)):
        yield Server("rclone serve s3", "s3", f"http://127.0.0.1:{port}", folder, data)


@contextmanager
def azurite(folder: Path) -> Iterator[Server]:
    """Azurite, keeping blobs in memory."""
    if not AZURITE.exists() or shutil.which("node") is None:
        raise NotInstalled("Azurite")
    port = free_port()
    command = [
        "node", str(AZURITE.resolve()), "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent",
    ]  # fmt: skip
    with running(
        command, folder=folder / "azurite", ready=lambda: listens(port),
        env=clean_environment(folder),
    ):  # fmt: skip
        yield Server("Azurite", "azure", f"http://127.0.0.1:{port}/{DEV_ACCOUNT}", folder)


STARTERS = {"sink": sink, "aws-like": aws_like, "rclone": rclone, "azurite": azurite}


def version(command: list[str]) -> str:
    """The first line that a program tells of its version."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "?"
