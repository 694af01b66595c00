"""The bulk calls of fsspec, s3fs and adlfs, which lose data under faults, are out of a copy."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import svstorage
from tests.faults.command import MINIATURE
from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import sample

pytestmark = pytest.mark.faults

SOURCE = Path(svstorage.__file__).parent
BULK = {"s3fs", "adlfs", "fsspec.generic"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@row("B0", "bulk calls of the libraries in a copy", "none is there to be called", contract="0")
def test_engine_and_strategies_know_no_bulk_library() -> None:
    for part in ("transfer", "strategies"):
        for path in (SOURCE / part).rglob("*.py"):
            found = {name for name in imports(path) if name in BULK or name.split(".")[0] in BULK}
            assert not found, f"{path}: {found}"


@row("B0", "bulk calls of the libraries in a copy", "none is there to be called", contract="0")
@pytest.mark.parametrize("call", ["get", "put", "get_file", "put_file", "copy", "cp_file"])
def test_a_copy_calls_none(call: str, journey: Callable[..., Journey], seed: int) -> None:
    name = f"fsspec.spec:AbstractFileSystem.{call}"
    for way in ("up-s3", "down-s3"):
        copy = journey(way, sample(seed, small=2), proxy=False)
        copy.check(copy.run(tweaks={**MINIATURE, "fail": [name, 1, "EIO", 1_000_000]}), 0)
