"""Sides of a transfer over real stores, looked at through clients that are not ours."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage.storage import Storage
from svstorage.transfer.options import TransferOptions

KINDS = ("local", "s3", "azure")


# A client takes half a second to make.
_CLIENTS: dict[Any, Any] = {}


@dataclass
class Side:
    """One end: a folder, or a bucket of a real server."""

    kind: str
    address: str
    storage: Storage | None = None
    server: Any = None
    bucket: str = ""
    root: Path | None = None
    seen_at: Any = None
    """The server as we reach it, where a proxy stands before it."""

    @property
    def client(self) -> Any:
        if self.server not in _CLIENTS:
            _CLIENTS[self.server] = self.server.client()
        return _CLIENTS[self.server]

    def put(self, key: str, data: bytes = b"", **more: Any) -> None:
        """``more``: content_type, metadata (boto3's or Azure's own words are used)."""
        if self.root is not None:
            path = self.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        elif self.kind == "azure":
            from azure.storage.blob import ContentSettings

            words = {"content_type", "cache_control", "content_encoding", "content_language"}
            words.add("content_disposition")
            content = {name: more.pop(name) for name in list(more) if name in words}
            settings = ContentSettings(**content) if content else None
            container = self.client.get_container_client(self.bucket)
            container.upload_blob(key, data, overwrite=True, content_settings=settings, **more)
        else:
            names = {
                "content_type": "ContentType", "metadata": "Metadata",
                "cache_control": "CacheControl", "content_encoding": "ContentEncoding",
                "content_language": "ContentLanguage", "tags": "Tagging",
                "content_disposition": "ContentDisposition",
            }  # fmt: skip
            given = {names[name]: value for name, value in more.items()}
            self.client.put_object(Bucket=self.bucket, Key=key, Body=data, **given)

    def get(self, key: str) -> bytes:
        if self.root is not None:
            return (self.root / key).read_bytes()
        if self.kind == "azure":
            blob = self.client.get_blob_client(self.bucket, key)
            return blob.download_blob(decompress=False).readall()
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def delete(self, key: str) -> None:
        if self.root is not None:
            (self.root / key).unlink()
        elif self.kind == "azure":
            self.client.get_blob_client(self.bucket, key).delete_blob()
        else:
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def keys(self) -> dict[str, int]:
        if self.root is not None:
            return {
                str(path.relative_to(self.root)): path.stat().st_size
                for path in self.root.rglob("*")
                if path.is_file()
            }
        if self.kind == "azure":
            container = self.client.get_container_client(self.bucket)
            return {blob.name: blob.size for blob in container.list_blobs()}
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {o["Key"]: o["Size"] for page in pages for o in page.get("Contents", [])}

    def below(self, prefix: str) -> list[str]:
        """What follows the prefix in the keys that begin with it."""
        found = self.keys()
        return sorted(key[len(prefix) :] for key in found if key.startswith(prefix))

    def content(self) -> dict[str, bytes]:
        return {key: self.get(key) for key in self.keys()}

    def head(self, key: str) -> dict[str, Any]:
        """Headers and metadata, as the service's own client tells them."""
        if self.kind == "azure":
            found = self.client.get_blob_client(self.bucket, key).get_blob_properties()
            content = found.content_settings
            return {
                "content_type": content.content_type,
                "cache_control": content.cache_control,
                "content_encoding": content.content_encoding,
                "content_language": content.content_language,
                "content_disposition": content.content_disposition,
                "metadata": {name.lower(): value for name, value in found.metadata.items()},
            }
        found = self.client.head_object(Bucket=self.bucket, Key=key)
        return {
            "content_type": found.get("ContentType"),
            "cache_control": found.get("CacheControl"),
            "content_encoding": found.get("ContentEncoding"),
            "content_language": found.get("ContentLanguage"),
            "content_disposition": found.get("ContentDisposition"),
            "metadata": found["Metadata"],
        }

    def through(self, proxy: Any) -> Side:
        """The same bucket, reached through a proxy."""
        server = self.server.at(proxy.endpoint)
        return Side(
            self.kind, self.address, connect(server), self.server, self.bucket, seen_at=server
        )


def connect(server: Any) -> Storage:
    """Our storage over one of the test servers."""
    named = {k.removeprefix("STORAGE_").lower(): v for k, v in server.env().items()}
    return svstorage.connect(**named)


@pytest.fixture
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Side]]:
    """``side("local" | "s3" | "moto" | "azure")``: an empty end of that kind."""
    made: list[Side] = []

    def make(kind: str) -> Side:
        if kind == "local":
            root = tmp_path / f"side-{len(made)}"
            root.mkdir()
            one = Side(kind, f"{root}/", root=root)
        else:
            name = {"s3": "rclone_s3", "moto": "moto_server", "azure": "azurite"}[kind]
            server = request.getfixturevalue(name)
            # Not dropped: the servers live no longer than the tests, and emptying takes long.
            bucket = f"t-{uuid.uuid4().hex[:12]}"
            one = Side(kind, f"sv://{bucket}/", connect(server), server, bucket)
            if kind == "azure":
                one.client.create_container(bucket)
            else:
                one.client.create_bucket(Bucket=bucket)
        made.append(one)
        return one

    yield make
    for one in made:
        if one.storage is not None:
            one.storage.close()


@dataclass
class Heard:
    """What a run told about each object."""

    results: list[Any] = field(default_factory=list)

    def __call__(self, result: Any) -> None:
        self.results.append(result)

    def actions(self) -> dict[str, str]:
        return {r.key: f"{r.action} {r.status}" for r in self.results}


def sync(source: Side, destination: Side, **options: Any) -> Any:
    heard = options.pop("heard", None)
    return svstorage.sync(
        source.address,
        destination.address,
        source=source.storage,
        destination=destination.storage,
        options=TransferOptions(**options),
        on_result=heard,
    )


def copy(source: Side, destination: Side, **options: Any) -> Any:
    heard = options.pop("heard", None)
    return svstorage.copy(
        source.address,
        destination.address,
        source=source.storage,
        destination=destination.storage,
        recursive=True,
        options=TransferOptions(**options),
        on_result=heard,
    )


def check(source: Side, destination: Side, **options: Any) -> Any:
    return svstorage.check(
        source.address,
        destination.address,
        source=source.storage,
        destination=destination.storage,
        options=TransferOptions(**options),
    )


def add_up(report: Any) -> None:
    c = report.counters
    assert c.listed == c.copied + c.skipped + c.failed + c.excluded + c.left, c
    assert c.left == 0 or report.interrupted or report.fatal, c


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SVSTORAGE_STATE_PATH", str(tmp_path / "state"))


def hidden_files(folder: Path) -> list[str]:
    """Temporary files of ours that are left."""
    return [name for _, _, names in os.walk(folder) for name in names if ".svstorage-" in name]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Objects of 10 MiB and more go in parts of 5 MiB, so that tests need not move much."""
    from svstorage.strategies import part_plan, parts
    from svstorage.transfer import carry

    for module in (parts, carry):
        monkeypatch.setattr(module, "PARTS_THRESHOLD", 10 << 20)
    monkeypatch.setattr(parts, "part_size", partial(part_plan.part_size, preferred=5 << 20))
    return 5 << 20
