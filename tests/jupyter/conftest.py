"""Places to keep a notebook folder in step with: local disk, S3 and Azure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from svstorage.jupyter.bench import Account
from svstorage.jupyter.cycle import Cycle
from svstorage.jupyter.place import Options, Target, find_target
from svstorage.storage import Storage, connect

BUCKET = "acme-private"


@dataclass
class Bay:
    """A bucket prefix and what it really holds, seen by a client that is not ours."""

    kind: str
    env: dict[str, str]
    bucket: str
    files: Callable[[], dict[str, bytes]]
    """Everything in the bucket: key -> bytes."""
    write: Callable[[str, bytes], None]
    remove: Callable[[str], None]
    server: Any = None
    folders: list[Path] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"{self.bucket}/jupyter/anna"

    def held(self) -> dict[str, bytes]:
        """What lies below the prefix."""
        prefix = "jupyter/anna/"
        for _ in range(20):
            try:
                files = self.files()
            except Exception as error:  # an object that is deleted between listing and reading
                if "NoSuchKey" in str(error) or "BlobNotFound" in str(error):
                    continue
                raise
            return {k[len(prefix) :]: v for k, v in files.items() if k.startswith(prefix)}
        raise AssertionError("the storage never holds still")

    def put(self, key: str, data: bytes) -> None:
        self.write(f"jupyter/anna/{key}", data)

    def delete(self, key: str) -> None:
        self.remove(f"jupyter/anna/{key}")

    def env_file(self, path: Path, **more: str) -> Path:
        values = {**self.env, "STORAGE_JUPYTER_PATH": self.path, **more}
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        path.chmod(0o600)
        return path

    def storage(self, tmp: Path) -> Storage:
        return connect(env_file=self.env_file(tmp / f"{self.kind}.env"))


@pytest.fixture
def disk(tmp_path: Path) -> Bay:
    root = tmp_path / "data" / "storage" / BUCKET
    root.mkdir(parents=True)

    def write(key: str, data: bytes) -> None:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def files() -> dict[str, bytes]:
        found = {}
        for path in root.rglob("*"):
            if path.is_file() and ".svstorage-" not in path.name:
                with contextlib.suppress(FileNotFoundError):
                    found[str(path.relative_to(root))] = path.read_bytes()
        return found

    env = {"STORAGE_PROVIDER": "http", "DATA_PATH": str(tmp_path / "data")}
    return Bay("disk", env, BUCKET, files, write, lambda key: (root / key).unlink())


def make_s3(server: Any, bucket: str) -> Bay:
    """A bucket of an S3 server."""
    client = server.client()

    def files() -> dict[str, bytes]:
        return {
            key: client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in server.keys(bucket)
        }

    return Bay(
        "s3",
        server.env(),
        bucket,
        files,
        lambda key, data: client.put_object(Bucket=bucket, Key=key, Body=data),
        lambda key: client.delete_object(Bucket=bucket, Key=key),
        server,
    )


def _azure(server: Any, bucket: str) -> Bay:
    container = server.client().get_container_client(bucket)

    def files() -> dict[str, bytes]:
        return {key: container.download_blob(key).readall() for key in server.keys(bucket)}

    return Bay(
        "azure",
        server.env(),
        bucket,
        files,
        lambda key, data: container.upload_blob(key, data, overwrite=True),
        container.delete_blob,
        server,
    )


@pytest.fixture
def s3(rclone_s3: Any, new_bucket: Callable[..., str]) -> Bay:
    return make_s3(rclone_s3, new_bucket(rclone_s3))


@pytest.fixture
def azure(azurite: Any, new_bucket: Callable[..., str]) -> Bay:
    return _azure(azurite, new_bucket(azurite))


@pytest.fixture(params=["disk", "s3", "azure"])
def bay(request: pytest.FixtureRequest) -> Bay:
    return request.getfixturevalue(request.param)


@dataclass
class Desk:
    """One server's folder, kept in step by hand."""

    root: Path
    cycle: Cycle

    def sync(self, *args: Any, **how: Any) -> Account:
        return self.cycle.until_done(*args, **{"settle": 0, **how})

    def write(self, key: str, text: str | bytes) -> Path:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def held(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and ".svstorage" not in path.relative_to(self.root).parts
        }


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes desks: ``desk(bay, "anna")``."""
    opened: list[Storage] = []

    def make(bay: Bay, name: str, *, env: dict[str, str] | None = None, **options: Any) -> Desk:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        file = bay.env_file(tmp_path / f"{name}.env", **(env or {}))
        storage = connect(env_file=file)
        opened.append(storage)
        target: Target = find_target(storage)
        return Desk(folder, Cycle(folder, target, Options(**options)))

    yield make
    for storage in opened:
        storage.close()
