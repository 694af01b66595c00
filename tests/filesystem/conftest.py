"""The three providers as settings files, each with a bucket of its own for every test."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from svstorage.errors import ObjectError
from svstorage.filesystem import SvFileSystem

PROVIDERS = ("local", "s3", "azure")


@dataclass(frozen=True, slots=True)
class Service:
    """A provider that runs, told of by a .env file, and a bucket that is there."""

    name: str
    env_file: Path
    bucket: str
    options: dict[str, str]
    """The same settings as keywords of `SvFileSystem`."""
    secret: str | None = None

    def fs(self) -> SvFileSystem:
        return SvFileSystem(env_file=self.env_file)

    def url(self, key: str = "") -> str:
        return f"sv://{self.bucket}/{key}"


@pytest.fixture(params=PROVIDERS)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    yield from service_of(request.param, request, tmp_path)


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    yield from service_of("local", request, tmp_path)


@pytest.fixture
def s3(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service with secrets in its settings."""
    yield from service_of("s3", request, tmp_path)


def service_of(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, s3_server: str = "moto_server"
) -> Iterator[Service]:
    """moto keeps every key as it is, which rclone, far quicker, does not."""
    env_file = tmp_path / f"{name}.env"
    if name == "local":
        bucket = f"t-{uuid.uuid4().hex[:8]}"
        data = tmp_path / "data"
        (data / "storage" / bucket).mkdir(parents=True)
        env_file.write_text(f"STORAGE_PROVIDER=http\nDATA_PATH={data}\n")
        env_file.chmod(0o600)
        yield Service(name, env_file, bucket, {"provider": "http", "data_path": str(data)})
        return
    server = request.getfixturevalue({"s3": s3_server, "azure": "azurite"}[name])
    server.write_env(env_file)
    options = {k.removeprefix("STORAGE_").lower(): v for k, v in server.env().items()}
    service = Service(name, env_file, f"t-{uuid.uuid4().hex[:12]}", options, server.secret_key)
    # With our own means: a boto3 client for each test would take longer than the tests.
    service.fs().mkdir(service.bucket)
    yield service
    with contextlib.suppress(ObjectError):  # Azure keeps the blocks of dropped uploads for a week
        service.fs().rm(service.bucket, recursive=True)


@pytest.fixture
def fs(service: Service) -> SvFileSystem:
    return service.fs()
