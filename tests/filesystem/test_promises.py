"""What ``sv://`` promises beyond fsspec: whole writes, fresh listings, no secrets, forks."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest

import svstorage
from svstorage.errors import ObjectChanged, StorageError
from svstorage.filesystem import SvFileSystem
from svstorage.providers.base import MultipartStore
from tests.filesystem.conftest import Service

BIG = 9 * 2**20


# A writer publishes whole objects


@pytest.mark.parametrize("size", [10, BIG], ids=["small", "in-parts"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "over-an-old-one"])
def test_a_block_that_raises_publishes_nothing(
    service: Service, fs: SvFileSystem, size: int, there: bool
) -> None:
    path = f"{service.bucket}/d/o.bin"
    if there:
        fs.pipe_file(path, b"old")
    with pytest.raises(RuntimeError, match="no more"), fs.open(path, "wb") as file:
        file.write(b"x" * size)
        raise RuntimeError("no more")
    assert service.fs().find(service.bucket) == ([path] if there else [])
    if there:
        assert fs.cat_file(path) == b"old"
    store = fs.storage.store
    assert isinstance(store, MultipartStore)
    if service.name != "azure":  # which has no way to drop blocks, and does so in a week
        assert list(store.list_uploads(service.bucket)) == []


@pytest.mark.parametrize("how", ["text", "gzip", "storage.open", "fsspec.open", "pandas"])
def test_every_kind_of_writer_keeps_it(
    disk: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("SVSTORAGE_ENV_FILE", str(disk.env_file))
    filesystem = disk.fs()
    path = f"{disk.bucket}/o"

    def write() -> None:
        if how == "text":
            with filesystem.open(path, "w") as file:
                file.write("half")
                raise RuntimeError("no more")
        if how == "gzip":
            with filesystem.open(path, "wb", compression="gzip") as file:
                file.write(b"half")
                raise RuntimeError("no more")
        if how == "storage.open":
            with svstorage.connect().open(path, "wb") as file:
                file.write(b"half")
                raise RuntimeError("no more")
        if how == "fsspec.open":
            with fsspec.open(f"sv://{path}", "wb") as file:
                file.write(b"half")
                raise RuntimeError("no more")
        import pandas as pd

        class Bad:
            def __str__(self) -> str:
                raise RuntimeError("no more")

        pd.DataFrame({"a": ["x", Bad()]}).to_csv(f"sv://{path}")

    with pytest.raises(RuntimeError, match="no more"):
        write()
    assert disk.fs().find(disk.bucket) == []


def test_nothing_is_seen_before_close(service: Service, fs: SvFileSystem) -> None:
    path = f"{service.bucket}/slow"
    file = fs.open(path, "wb")
    file.write(b"y" * 100)
    file.flush()
    assert not service.fs().exists(path)
    file.close()
    assert service.fs().cat_file(path) == b"y" * 100


def test_a_forgotten_file_is_not_published(disk: Service) -> None:
    fs = disk.fs()
    file = fs.open(f"{disk.bucket}/forgotten", "wb")
    file.write(b"z")
    with pytest.warns(ResourceWarning, match="never closed"):
        del file
    assert fs.find(disk.bucket) == []


def test_a_download_is_on_the_disk_before_it_has_its_name(
    service: Service, fs: SvFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No power is cut here: the order of the calls is looked at."""
    done: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def call(*args: Any, name: str = name, real: Any = real) -> Any:
            done.append(name)
            return real(*args)

        monkeypatch.setattr(f"svstorage.filesystem.local.os.{name}", call)
    fs.pipe_file(f"{service.bucket}/o", b"bytes")
    done.clear()
    fs.get_file(f"{service.bucket}/o", tmp_path / "o")
    assert [name for name in done if name in ("fsync", "replace")][-2:] == ["fsync", "replace"]


def test_transaction(service: Service, fs: SvFileSystem) -> None:
    one, two = f"{service.bucket}/one", f"{service.bucket}/two"
    with fs.transaction:
        with fs.open(one, "wb") as file:
            file.write(b"1")
        fs.pipe_file(two, b"2")
        assert service.fs().find(service.bucket) == []
    assert service.fs().find(service.bucket) == [one, two]

    def fails() -> None:
        with fs.transaction:
            fs.pipe_file(one, b"changed")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        fails()
    assert fs.cat_file(one) == b"1"


# Fresh


def test_listings_are_never_stale(service: Service, fs: SvFileSystem) -> None:
    other = service.fs()
    path = f"{service.bucket}/d/o"
    assert not fs.exists(path)
    assert fs.ls(service.bucket) == []
    other.pipe_file(path, b"1")
    assert fs.exists(path)
    assert fs.ls(f"{service.bucket}/d", detail=False) == [path]
    assert fs.info(path)["size"] == 1
    other.pipe_file(path, b"22")
    assert fs.info(path)["size"] == 2
    assert fs.cat_file(path) == b"22"
    assert fs.find(service.bucket, detail=True)[path]["size"] == 2
    other.rm_file(path)
    assert not fs.exists(path)
    assert fs.find(service.bucket) == []


def test_a_reader_keeps_to_one_version(service: Service, fs: SvFileSystem) -> None:
    path = f"{service.bucket}/o"
    fs.pipe_file(path, b"a" * 1000)
    with fs.open(path, "rb", block_size=100) as file:
        assert file.read(10) == b"a" * 10
        service.fs().pipe_file(path, b"b" * 1000)
        file.seek(900)
        with pytest.raises(ObjectChanged):
            file.read(50)


# Secrets


def test_secrets_stay_inside(s3: Service) -> None:
    assert s3.secret
    by_keywords, by_file = SvFileSystem(**s3.options), s3.fs()
    for fs in (by_keywords, by_file):
        shown = [repr(fs), str(fs), repr(fs.storage_options), fs._fs_token, fs.fsid,
                 repr(fs.storage), repr(fs.storage.config), repr(fs.storage.store),
                 repr(fs.storage.credentials), repr(fs.storage.settings),
                 repr(fs._connection.__dict__)]  # fmt: skip
        assert s3.secret not in "\n".join(shown)
        assert fs.ls("") is not None
    for text in (by_file.to_json(), json.dumps(by_file.to_dict()), repr(pickle.dumps(by_file))):
        assert s3.secret not in text
    assert SvFileSystem.from_json(by_file.to_json()).ls("") == by_file.ls("")
    assert pickle.loads(pickle.dumps(by_file)).ls("") == by_file.ls("")
    for write in (by_keywords.to_json, by_keywords.to_dict, lambda: pickle.dumps(by_keywords)):
        with pytest.raises(StorageError, match="secrets as arguments") as told:
            write()
        assert s3.secret not in str(told.value)


def test_secrets_are_not_in_an_open_file(s3: Service) -> None:
    fs = s3.fs()
    fs.pipe_file(f"{s3.bucket}/o", b"text")
    of = fsspec.open(s3.url("o"), "rb", env_file=str(s3.env_file))
    assert s3.secret is not None
    packed = pickle.dumps(of)
    assert s3.secret.encode() not in packed
    with pickle.loads(packed) as file:
        assert file.read() == b"text"


def test_another_process_finds_other_settings_out(disk: Service, tmp_path: Path) -> None:
    packed = pickle.dumps(disk.fs())
    disk.env_file.write_text(f"STORAGE_PROVIDER=http\nDATA_PATH={tmp_path / 'elsewhere'}\n")
    with pytest.raises(svstorage.SettingsError, match="select"):
        pickle.loads(packed)


# Processes and threads


def _reads(path: str, expected: bytes, fs: SvFileSystem) -> int:
    return 0 if fs.cat_file(path) == expected and fs.find(path.partition("/")[0]) else 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_a_child_process(service: Service, fs: SvFileSystem, method: str) -> None:
    path = f"{service.bucket}/o"
    fs.pipe_file(path, b"of the parent")  # the connection is in use before the fork
    context = multiprocessing.get_context(method)
    children = [
        context.Process(target=_exit_with, args=(path, b"of the parent", fs)) for _ in range(2)
    ]
    for child in children:
        child.start()
    assert fs.cat_file(path) == b"of the parent"
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert fs.cat_file(path) == b"of the parent"


def _exit_with(path: str, expected: bytes, fs: SvFileSystem) -> None:
    sys.exit(_reads(path, expected, fs))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_another_thread_holds_the_lock(disk: Service) -> None:
    from svstorage.filesystem import connection

    fs = disk.fs()
    fs.pipe_file(f"{disk.bucket}/o", b"x")
    with connection._lock:
        child = multiprocessing.get_context("fork").Process(
            target=_exit_with, args=(f"{disk.bucket}/o", b"x", fs)
        )
        child.start()
        child.join(30)
    assert child.exitcode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_use_the_parents_sockets(disk: Service) -> None:
    fs = disk.fs()
    assert fs.storage is disk.fs().storage
    parents = fs.storage
    context = multiprocessing.get_context("fork")
    for made_before in (True, False):
        child = context.Process(
            target=lambda before: sys.exit((fs if before else disk.fs()).storage is parents),
            args=(made_before,),
        )
        child.start()
        child.join(30)
        assert child.exitcode == 0


def test_many_threads(service: Service, fs: SvFileSystem) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            path = f"{service.bucket}/t/{number}"
            fs.pipe_file(path, str(number).encode() * 100)
            assert fs.cat_file(path) == str(number).encode() * 100
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(fs.find(service.bucket)) == 16


def test_equal_settings_share_a_connection(disk: Service, tmp_path: Path) -> None:
    assert disk.fs().storage is disk.fs().storage
    assert disk.fs() == disk.fs()
    other = tmp_path / "other"
    (other / "storage").mkdir(parents=True)
    disk.env_file.write_text(f"STORAGE_PROVIDER=http\nDATA_PATH={other}\n")
    assert disk.fs().ls("") == [], "a changed file is read anew"


# svstorage.connect, section 5 of the contract


def test_connect(service: Service) -> None:
    with svstorage.connect(env_file=service.env_file) as storage:
        assert service.bucket in storage.buckets()
        path = f"{service.bucket}/a.bin"
        with storage.open(path, "wb") as file:
            file.write(b"12345")
        with storage.open(path, "rb") as file:
            file.seek(2)
            assert file.read() == b"345"
        assert storage.fs.ls(service.bucket, detail=False) == [path]
        assert isinstance(storage.fs, fsspec.AbstractFileSystem)
        assert storage.provider_fs().cat_file(path) == b"12345"
        with storage.open(path, "r", encoding="ascii") as file:
            assert file.read() == "12345"
    by_words = svstorage.connect(**service.options)
    assert by_words.fs.cat_file(path) == b"12345"


def test_what_connect_opens_is_a_file_without_a_block_too(disk: Service) -> None:
    storage = svstorage.connect(env_file=disk.env_file)
    path = f"{disk.bucket}/a.txt"
    file = storage.open(path, "w")
    file.write("one\n")
    file.close()
    assert list(storage.open(f"sv://{path}", "r")) == ["one\n"]
    with pytest.raises(FileNotFoundError):
        storage.open(f"{disk.bucket}/none")


def test_connect_finds_the_platforms_buckets(disk: Service) -> None:
    storage = svstorage.connect(env_file=disk.env_file)
    with pytest.raises(svstorage.SettingsError, match="STORAGE_BUCKETS_PREFIX"):
        _ = storage.public
    for kind in ("public", "private"):
        storage.fs.mkdir(f"acme-{kind}")
    again = svstorage.connect(env_file=disk.env_file)
    assert (again.public, again.private) == ("acme-public", "acme-private")
    given = svstorage.connect(env_file=disk.env_file, buckets_prefix="other")
    assert given.private == "other-private"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"provider": "nosuch"}, "no provider is called 'nosuch'"),
        ({"provider": "minio", "port": "abc"}, "STORAGE_PORT"),
        ({"providre": "minio"}, "providre"),
    ],
)
def test_connect_refuses(options: dict[str, str], said: str) -> None:
    with pytest.raises((StorageError, TypeError), match=said):
        svstorage.connect(**options)


# Folders are no objects


def test_a_folder_is_not_read_as_an_empty_file(service: Service, fs: SvFileSystem) -> None:
    fs.pipe_file(f"{service.bucket}/d/a", b"1")
    with pytest.raises(IsADirectoryError):
        fs.open(f"{service.bucket}/d")


def test_a_folder_is_not_moved_by_doing_nothing(service: Service, fs: SvFileSystem) -> None:
    source, target = f"{service.bucket}/d", f"{service.bucket}/e"
    fs.pipe_file(f"{source}/a", b"1")
    with pytest.raises(IsADirectoryError, match="recursive"):
        fs.mv(source, target)
    fs.mv(source, target, recursive=True)
    assert fs.find(service.bucket) == [f"{target}/a"]


def test_find_takes_a_prefix_as_the_services_filesystems_do(disk: Service) -> None:
    fs = disk.fs()
    for key in ("d/ab", "d/ac/x", "d/b", "ab"):
        fs.pipe_file(f"{disk.bucket}/{key}", b"1")
    assert fs.find(f"{disk.bucket}/d", prefix="a") == [
        f"{disk.bucket}/d/ab", f"{disk.bucket}/d/ac/x",
    ]  # fmt: skip
    assert fs.find(disk.bucket, prefix="a") == [f"{disk.bucket}/ab"]
