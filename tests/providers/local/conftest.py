"""Stores over a folder of the test's own, and programs run beside the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from svstorage.model import Entry, Problem
from svstorage.providers.local import folders
from svstorage.providers.local.store import LocalStore

BUCKET = "bucket"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the buckets; ``root/bucket`` is there."""
    folder = tmp_path / "data" / "storage"
    (folder / BUCKET).mkdir(parents=True)
    return folder


@pytest.fixture
def base(root: Path) -> Path:
    return root / BUCKET


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root)


@pytest.fixture(params=["openat2", "openat"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through folders: in one call, and name by name as on old kernels."""
    if request.param == "openat":
        monkeypatch.setattr(folders, "open_beneath", lambda folder, path, flags: -1)


def put(store: LocalStore, key: str, data: bytes = b"x", bucket: str = BUCKET) -> None:
    store.put(bucket, key, data, size=len(data))


def get(store: LocalStore, key: str, bucket: str = BUCKET) -> bytes:
    with store.read(bucket, key) as reader:
        return bytes(reader.read())


def keys(store: LocalStore, prefix: str = "") -> list[str]:
    """Keys of a listing that meets no problem."""
    found, problems = listing(store, prefix)
    assert problems == []
    return [entry.key for entry in found]


def listing(store: LocalStore, prefix: str = "") -> tuple[list[Entry], list[Problem]]:
    rows = list(store.list(BUCKET, prefix))
    return (
        [row for row in rows if isinstance(row, Entry)],
        [row for row in rows if isinstance(row, Problem)],
    )


def tree(folder: Path) -> dict[bytes, bytes | None]:
    """What really lies below a folder: bytes of files, None for folders and all else."""
    found: dict[bytes, bytes | None] = {}
    for at, names, files in os.walk(os.fsencode(folder)):
        for name in names + files:
            path = os.path.join(at, name)
            plain = os.path.isfile(path) and not os.path.islink(path)
            found[os.path.relpath(path, os.fsencode(folder))] = (
                Path(os.fsdecode(path)).read_bytes() if plain else None
            )
    return found


def run(
    code: str,
    *arguments: object,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    check: bool = True,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process of its own, with this Python and this svstorage."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="svstorage-test-"))
    folder.chmod(0o755)
    yield folder
    for at, names, _ in os.walk(folder):
        for name in names:
            os.chmod(os.path.join(at, name), 0o700)
    shutil.rmtree(folder)


AS_NOBODY = """
import os
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""
"""After the imports, in code for `run`: permissions mean nothing to root."""


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``on_small_disk(code, options="size=1m")``: runs it in a file system of its own.

    Its folder is the first argument of the code. The mount is seen by that process alone.
    """

    def run_there(code: str, *arguments: object, options: str = "size=1m"):
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        mount = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
        prefix = ["unshare", "-m", "sh", "-c", mount, str(folder)]
        if (
            shutil.which("unshare") is None
            or subprocess.run([*prefix, "true"], capture_output=True).returncode
        ):
            pytest.skip("mounting a small file system takes root and unshare(1)")
        return run(code, folder, *arguments, prefix=prefix)

    return run_there
