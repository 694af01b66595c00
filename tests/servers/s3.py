"""S3 servers: rclone (light), SeaweedFS (distributed), moto (API breadth, IAM, STS)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.servers.process import clean_environment, find_program, free_port, listens, running

# Known strings, so that a test can search for leaks of them. rclone refuses short ones.
ACCESS_KEY = "testaccesskey"
SECRET_KEY = "testsecretkey"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 service and the keys that it takes."""

    name: str
    endpoint: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION
    data: Path | None = None
    """Where the server keeps its files, if tests may look."""

    @property
    def port(self) -> int:
        port = urlsplit(self.endpoint).port
        assert port is not None
        return port

    def env(self) -> dict[str, str]:
        """The variables of a .env file that selects this server."""
        return {
            "STORAGE_PROVIDER": "minio",
            "STORAGE_ENDPOINT": self.endpoint,
            "STORAGE_ACCESS_KEY": self.access_key,
            "STORAGE_SECRET_KEY": self.secret_key,
        }

    def write_env(self, path: Path, **more: str) -> Path:
        """Writes a .env file of `env` and ``more`` and returns its path."""
        path.write_text("".join(f"{k}={v}\n" for k, v in {**self.env(), **more}.items()))
        path.chmod(0o600)
        return path

    def at(self, endpoint: str) -> S3Server:
        """The same server reached by another address, such as a fault proxy's."""
        return replace(self, endpoint=endpoint)

    def client(self, **config: Any) -> Any:
        """A plain boto3 client: the oracle that says what the service really holds."""
        return _boto3("s3", self, **config)

    def new_bucket(self, suffix: str = "") -> str:
        """Makes a bucket with a name that no other test uses."""
        name = f"t-{uuid.uuid4().hex[:12]}{suffix}"
        self.client().create_bucket(Bucket=name)
        return name

    def drop_bucket(self, name: str) -> None:
        """Empties and removes a bucket, as far as the server can."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        try:
            for key in self.keys(name):
                client.delete_object(Bucket=name, Key=key)
            client.delete_bucket(Bucket=name)
        except (BotoCoreError, ClientError):
            return  # gone already, or it holds keys that this server lists but cannot delete

    def keys(self, bucket: str) -> dict[str, int]:
        """All keys of a bucket with their sizes, as the service lists them."""
        found: dict[str, int] = {}
        for page in self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket):
            found.update((o["Key"], o["Size"]) for o in page.get("Contents", []))
        return found


def _boto3(service: str, server: S3Server, **config: Any) -> Any:
    import boto3
    from botocore.config import Config

    settings: dict[str, Any] = {
        "signature_version": "s3v4" if service == "s3" else None,
        "s3": {"addressing_style": "path"},
        "proxies": {},
        "retries": {"mode": "standard", "total_max_attempts": 3},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        **config,
    }
    return boto3.session.Session().client(
        service,
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=Config(**settings),
    )


def needs(program: str) -> str:
    found = find_program(program)
    if found is None:
        pytest.skip(f"{program} is not installed (run tests/setup.sh or ./dev test)")
    return found


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """``rclone serve s3``: quick, checks signatures and Content-MD5, buckets are folders.

    Keys that a file system cannot hold as such (``a//b``, ``a`` beside ``a/b``) fail here: use
    `moto_server` for those.
    """
    folder = tmp_path_factory.mktemp("rclone-s3")
    data = folder / "data"
    data.mkdir()
    port = free_port()
    command = [
        needs("rclone"), "serve", "s3", str(data),
        "--addr", f"127.0.0.1:{port}",
        "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}",
        "--config", str(folder / "none.conf"),
    ]  # fmt: skip
    server = S3Server("rclone", f"http://127.0.0.1:{port}", data=data)
    with running(command, folder=folder, ready=lambda: listens(port)):
        yield server


@pytest.fixture(scope="session")
def seaweed_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS: master, volume, filer and S3 gateway in one process; up in about 10 s.

    Has a second identity, ``readonlykey`` / ``readonlysecret``, which may only read and list.
    """
    folder = tmp_path_factory.mktemp("seaweed")
    data = folder / "data"
    data.mkdir()
    identities = folder / "identities.json"
    identities.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "tester",
                        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    },
                    {
                        "name": "reader",
                        "credentials": [
                            {"accessKey": "readonlykey", "secretKey": "readonlysecret"}
                        ],
                        "actions": ["Read", "List"],
                    },
                ]
            }
        )
    )
    # Unset ports derive from defaults (port + 10000 for gRPC): each gets its own instead.
    ports = {
        f"{part}.port{grpc}": free_port()
        for part in ("master", "volume", "filer", "s3")
        for grpc in ("", ".grpc")
    }
    command = [
        needs("weed"), "-logtostderr", "server",
        f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-s3", f"-s3.config={identities}", f"-s3.localSocket={folder}/s3.sock",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-volume.max=0", "-master.volumeSizeLimitMB=128", "-master.telemetry=false",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    server = S3Server("seaweedfs", f"http://127.0.0.1:{ports['s3.port']}")

    def ready() -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        if not listens(server.port):
            return False
        # The gateway answers before the filer has a volume to write to: only a write tells.
        client = server.client(retries={"total_max_attempts": 1}, read_timeout=5)
        try:
            client.create_bucket(Bucket="ready-probe")
            client.put_object(Bucket="ready-probe", Key="x", Body=b"x")
            client.delete_object(Bucket="ready-probe", Key="x")
            client.delete_bucket(Bucket="ready-probe")
        except (BotoCoreError, ClientError):
            return False
        return True

    with running(command, folder=folder, ready=ready, timeout=90):
        yield server


@dataclass(frozen=True, slots=True)
class MotoServer(S3Server):
    """moto with its other services; it takes any keys and does not check signatures."""

    def service(self, name: str) -> Any:
        """A boto3 client of another service that moto plays: ``iam``, ``sts`` …"""
        return _boto3(name, self)


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """moto: S3 with keys kept exactly, tags and checksums, IAM, STS. Slow; checks no signature."""
    folder = tmp_path_factory.mktemp("moto")
    port = free_port()
    server = MotoServer("moto", f"http://127.0.0.1:{port}")

    def ready() -> bool:
        with urlopen(f"{server.endpoint}/moto-api/", timeout=2) as answer:
            return bool(answer.status == 200)

    command = [needs("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    env = clean_environment(folder, MOTO_S3_CUSTOM_ENDPOINTS=server.endpoint)
    with running(command, folder=folder, ready=ready, env=env):
        yield server


@pytest.fixture
def new_bucket() -> Iterator[Callable[..., str]]:
    """``new_bucket(server)``: a fresh bucket (or Azure container), dropped when the test ends."""
    made: list[tuple[Any, str]] = []

    def make(server: Any, suffix: str = "") -> str:
        name: str = server.new_bucket(suffix)
        made.append((server, name))
        return name

    yield make
    for server, name in made:
        server.drop_bucket(name)
