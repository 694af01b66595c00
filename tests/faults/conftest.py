"""Fixtures of the fault matrix: the command line, copies under test, seeds."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import Cli, fork_server
from tests.faults.journey import WAYS, Journey
from tests.faults.sides import AzureSide, LocalSide, S3Side, ScriptedSide, Side, Tree
from tests.servers.scripted import ScriptedS3


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fork_server(tmp_path_factory.mktemp("forks")) as server:
        yield server


@pytest.fixture
def cli(tmp_path: Path, forks: str) -> Cli:
    folder = tmp_path / "cli"
    folder.mkdir()
    folder.chmod(0o755)
    return Cli(folder, forks)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test: from its name, or ``SVSTORAGE_TEST_SEED`` to try others."""
    given = os.environ.get("SVSTORAGE_TEST_SEED")
    value = int(given) if given else zlib.crc32(request.node.name.encode())
    print(f"seed {value}")
    return value


@pytest.fixture
def side(
    request: pytest.FixtureRequest, tmp_path: Path, new_bucket: Callable[..., str]
) -> Callable[..., Side]:
    """``side("s3")``, ``side("local")``, ``side("azure")``: a fresh end of a copy."""
    count = 0

    def make(kind: str, server: str | None = None) -> Side:
        nonlocal count
        count += 1
        if kind == "local":
            root = tmp_path / f"disk-{count}"
            root.mkdir()
            return LocalSide(root)
        name = server or {"s3": "rclone_s3", "azure": "azurite"}[kind]
        running: Any = request.getfixturevalue(name)
        cls = AzureSide if kind == "azure" else S3Side
        return cls(running, new_bucket(running), tmp_path)

    return make


@pytest.fixture
def journey(
    cli: Cli,
    side: Callable[..., Side],
    fault_proxy: Callable[..., Any],
    seed: int,
) -> Callable[..., Journey]:
    """``journey("up-s3", tree)``: a copy on one of the `WAYS`, behind a fault proxy."""

    def make(
        way: str,
        tree: Tree | None = None,
        *,
        before: Tree | None = None,
        server: str | None = None,
        proxy: bool = True,
    ) -> Journey:
        kinds = WAYS[way]
        ends = [side(kind, server if kind == "s3" else None) for kind in kinds[:2]]
        source, destination = ends
        faulty = {"source": source, "destination": destination}[kinds[2]]
        before_it = None
        if proxy and not isinstance(faulty, LocalSide):
            endpoint = faulty.server.endpoint  # type: ignore[attr-defined]
            before_it = fault_proxy("/".join(endpoint.split("/")[:3]), seed=seed)
        secrets = tuple(end.server.secret_key for end in ends if not isinstance(end, LocalSide))
        made = Journey(cli, source, destination, before_it, kinds[2], secrets)
        if tree is not None:
            made.fill(tree, before=before)
        return made

    return make


@pytest.fixture
def service(scripted_s3: Callable[[], ScriptedS3]) -> ScriptedS3:
    return scripted_s3()


@pytest.fixture
def down(service: ScriptedS3, cli: Cli, tmp_path: Path) -> Journey:
    """A download from the scripted service."""
    (tmp_path / "down").mkdir()
    secrets = (service.secret_key,)
    return Journey(
        cli, ScriptedSide(service, tmp_path), LocalSide(tmp_path / "down"), secrets=secrets
    )


@pytest.fixture
def up(service: ScriptedS3, cli: Cli, tmp_path: Path) -> Journey:
    """An upload to the scripted service."""
    (tmp_path / "up").mkdir()
    secrets = (service.secret_key,)
    return Journey(
        cli, LocalSide(tmp_path / "up"), ScriptedSide(service, tmp_path), secrets=secrets
    )
