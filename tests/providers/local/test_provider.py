"""The provider: its settings, its buckets, and the fsspec filesystem with whole files."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

import svstorage
from svstorage.errors import (
    KeyNotSupported,
    NotSupported,
    ObjectError,
    ObjectExists,
    SettingsError,
)
from svstorage.providers.local.fsspec_local import WholeFileSystem
from svstorage.providers.local.store import LocalStore
from svstorage.storage import connect
from tests.providers.local.conftest import BUCKET, keys, put


def test_buckets_are_the_folders_of_storage(tmp_path: Path):
    storage = connect(provider="http", data_path=str(tmp_path / "data"))
    assert storage.buckets() == []
    storage.store.create_bucket("acme-public")
    assert (tmp_path / "data" / "storage" / "acme-public").is_dir()
    assert storage.buckets() == ["acme-public"]
    assert str(tmp_path / "data" / "storage") in storage.store.identity
    with pytest.raises(ObjectExists):
        storage.store.create_bucket("acme-public")


def test_local_is_another_name(tmp_path: Path):
    assert connect(provider="local", data_path=str(tmp_path)).provider.name == "http"


def test_a_data_path_that_is_a_file(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="DATA_PATH: it is a file, not a folder"):
        connect(provider="http", data_path=str(tmp_path / "file"))


def test_a_bucket_is_removed_only_when_empty(store: LocalStore, base: Path):
    put(store, "a/b")
    with pytest.raises(ObjectError, match="is not empty"):
        store.delete_bucket(BUCKET)
    store.delete(BUCKET, "a/b")
    store.delete_bucket(BUCKET)
    assert not base.exists()


def test_no_presigned_urls(store: LocalStore):
    with pytest.raises(NotSupported):
        store.presign(BUCKET, "o", expires=60)


def test_two_names_of_one_root_are_one_storage(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert LocalStore(tmp_path / "real").identity == LocalStore(tmp_path / "link").identity
    folder = LocalStore.for_folder(tmp_path / "real")
    assert folder.identity != LocalStore(tmp_path / "real").identity


def test_python_that_cannot_hold_every_name(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    with pytest.raises(svstorage.StorageError, match="PYTHONUTF8=1"):
        LocalStore(tmp_path)


def test_long_keys_in_messages_are_cut(store: LocalStore):
    with pytest.raises(KeyNotSupported) as told:
        put(store, "x" * 100_000)
    assert len(str(told.value)) < 1000
    assert "100000 characters" in str(told.value)


# The fsspec view


@pytest.fixture
def fs(root: Path):
    return connect(provider="http", data_path=str(root.parent)).provider_fs()


def test_a_file_appears_whole_or_not_at_all(fs, base: Path):
    fs.pipe(f"{BUCKET}/o", b"old")
    with fs.open(f"{BUCKET}/o", "wb") as file:
        file.write(b"new")
        file.flush()
        assert (base / "o").read_bytes() == b"old"
        assert file.tell() == 3
        file.seek(0)
        file.write(b"N")
    assert (base / "o").read_bytes() == b"New"

    def broken() -> None:
        with fs.open(f"{BUCKET}/o", "wb") as file:
            file.write(b"half")
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError):
        broken()
    assert (base / "o").read_bytes() == b"New"
    assert [path.name for path in base.iterdir()] == ["o"]


def test_a_file_that_nobody_closed_is_dropped(fs, base: Path):
    file = fs.open(f"{BUCKET}/o", "wb")
    file.write(b"half")
    with pytest.warns(ResourceWarning, match="was not closed"):
        file = None
    assert file is None
    assert list(base.iterdir()) == []


def test_exclusive_creation(fs):
    with fs.open(f"{BUCKET}/o", "xb") as file:
        file.write(b"first")
    with pytest.raises(FileExistsError), fs.open(f"{BUCKET}/o", "xb") as file:
        file.write(b"second")
    assert fs.cat(f"{BUCKET}/o") == b"first"


def test_no_path_leads_out(fs, root: Path):
    (root.parent / "secret").write_bytes(b"secret")
    for path in ("../secret", f"{BUCKET}/../../secret", ".."):
        for attempt in (
            fs.cat,
            lambda path: fs.pipe(path, b"x"),
            fs.rm,
            fs.ls,
        ):
            with pytest.raises(ValueError, match="is no name of a file"):
                attempt(path)
    assert (root.parent / "secret").read_bytes() == b"secret"


def test_copies_and_folders(fs, base: Path):
    fs.pipe(f"{BUCKET}/a/b", b"bytes")
    fs.cp_file(f"{BUCKET}/a/b", f"{BUCKET}/c/d")
    assert fs.cat(f"{BUCKET}/c/d") == b"bytes"
    with pytest.raises(IsADirectoryError):
        fs.open(f"{BUCKET}/a", "wb")
    fs.rm(f"{BUCKET}/a", recursive=True)
    assert sorted(path.name for path in base.iterdir()) == ["c"]


def test_it_is_not_in_the_way_of_fsspecs_own(tmp_path: Path):
    plain = fsspec.filesystem("file")
    assert not isinstance(plain, WholeFileSystem)
    plain.pipe(str(tmp_path / "x"), b"x")


def test_what_the_view_writes_the_store_lists(fs, store: LocalStore):
    fs.pipe(f"{BUCKET}/a/b", b"bytes")
    assert keys(store) == ["a/b"]


def test_a_variable_of_another_program_is_not_the_folder(tmp_path: Path, monkeypatch):
    """``path`` is a field of the links file only: an unknown STORAGE_PATH is ignored."""
    monkeypatch.setenv("STORAGE_PATH", str(tmp_path / "elsewhere"))
    storage = connect(provider="http", data_path=str(tmp_path / "data"))
    assert storage.config.root == str(tmp_path / "data" / "storage")
    assert not storage.config.single_folder
