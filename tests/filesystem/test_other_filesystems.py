"""URLs of other fsspec filesystems as ends of a copy: archives, memory, S3 as s3fs has it."""

from __future__ import annotations

import uuid
import zipfile
from pathlib import Path

import fsspec
import pytest

import svstorage
from svstorage.errors import CredentialsError, ObjectNotFound, UsageError
from tests.filesystem.conftest import Service


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "d" / "empty").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "d" / "big.bin").write_bytes(b"0123456789" * 900_000)
    return folder


@pytest.fixture
def memory() -> str:
    """A folder of its own in fsspec's memory, which all tests share."""
    return f"memory://m-{uuid.uuid4().hex[:8]}"


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


def test_there_and_back(tree: Path, memory: str, tmp_path: Path) -> None:
    there = svstorage.copy(str(tree), memory, recursive=True)
    assert (there.counters.copied, there.counters.failed) == (3, 0)
    assert svstorage.check(str(tree), memory).ok
    svstorage.sync(memory, str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(tree)


def test_sync_deletes_what_is_gone(tree: Path, memory: str) -> None:
    svstorage.sync(str(tree), memory)
    (tree / "a.txt").unlink()
    report = svstorage.sync(str(tree), memory, options=svstorage.TransferOptions(delete=True))
    assert report.counters.deleted == 1
    assert list(fsspec.filesystem("memory").find(memory)) == [
        f"/{memory.removeprefix('memory://')}/d/big.bin"
    ]


def test_one_file(tree: Path, memory: str, tmp_path: Path) -> None:
    one = f"{memory}.txt"
    svstorage.copy(str(tree / "a.txt"), one)
    assert fsspec.open(one).open().read() == b"a"
    svstorage.copy(one, str(tmp_path / "out.txt"))
    assert (tmp_path / "out.txt").read_text() == "a"


def test_a_storage_and_another_filesystem(service: Service, memory: str) -> None:
    fs = service.fs()
    fs.pipe({f"{service.bucket}/x/1": b"1", f"{service.bucket}/x/y/2": b"22"})
    storage = svstorage.connect(env_file=service.env_file)
    report = svstorage.copy(service.url("x/"), memory, source=storage, recursive=True)
    assert report.counters.copied == 2
    assert svstorage.check(service.url("x/"), memory, source=storage).ok
    svstorage.copy(memory, service.url("back/"), destination=storage, recursive=True)
    # `back/` is not there yet: it gets the contents.
    assert fs.find(f"{service.bucket}/back") == [
        f"{service.bucket}/back/1",
        f"{service.bucket}/back/y/2",
    ]


def test_a_key_that_it_cannot_hold_is_named(service: Service, memory: str) -> None:
    if service.name == "local":
        pytest.skip("a disk cannot hold it either")
    fs = service.fs()
    fs.pipe({f"{service.bucket}/a//b": b"1", f"{service.bucket}/c": b"2"})
    storage = svstorage.connect(env_file=service.env_file)
    report = svstorage.copy(service.url(), memory, source=storage, recursive=True)
    assert (report.counters.copied, report.counters.failed) == (1, 1)
    assert "a//b" in str(report.failures)
    assert not report.ok


def test_archive(tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "t.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(tree / "a.txt", "a.txt")
        file.write(tree / "d" / "big.bin", "d/big.bin")
        file.writestr("d/empty/", "")
    svstorage.copy(f"zip://::{archive}", str(tmp_path / "whole"), recursive=True)
    assert contents(tmp_path / "whole") == contents(tree)
    svstorage.copy(f"zip://a.txt::{archive}", str(tmp_path / "one"))
    assert (tmp_path / "one").read_text() == "a"


def test_s3_as_s3fs_has_it(s3: Service, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.options["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.options["secret_key"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.options["endpoint"])
    report = svstorage.copy(str(tree), f"s3://{s3.bucket}/t/", recursive=True)
    assert report.counters.copied == 2
    # The empty folder: s3fs has no way to store one.
    assert [failed.key for failed in report.failures] == ["d/empty/"]
    assert sorted(s3.fs().find(s3.bucket)) == [f"{s3.bucket}/t/a.txt", f"{s3.bucket}/t/d/big.bin"]
    assert s3.fs().cat_file(f"{s3.bucket}/t/d/big.bin") == (tree / "d" / "big.bin").read_bytes()


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("nosuchprotocol://x/y", UsageError),
        ("zip://::/nosuch/archive.zip", ObjectNotFound),
        ("s3://some-bucket/x", CredentialsError),
        ("memory://nothing/here", ObjectNotFound),
    ],
)
def test_errors_are_ours(
    address: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(kind):
        svstorage.copy(address, str(tmp_path / "out"))
