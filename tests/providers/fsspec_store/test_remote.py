"""s3fs and adlfs through `FsspecStore`: where they differ from files, and how it can go wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from fsspec import AbstractFileSystem

from svstorage.errors import KeyNotSupported, ObjectChanged, StorageError
from svstorage.model import Entry
from svstorage.providers.fsspec_store import FsspecStore
from svstorage.testing import KEYS
from tests.providers.fsspec_store.conftest import MakeFs, new_bucket_of

BIG = 9 * 2**20 + 1


@pytest.fixture
def bucket(make_any_fs: MakeFs) -> Iterator[str]:
    with new_bucket_of(make_any_fs) as name:
        yield name


@pytest.fixture
def store(make_any_fs: MakeFs) -> FsspecStore:
    return FsspecStore(make_any_fs())


@pytest.fixture
def fs(make_any_fs: MakeFs) -> AbstractFileSystem:
    """The same place, seen by another."""
    return make_any_fs()


class Body(io.BytesIO):
    """Breaks near its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise RuntimeError("the disk broke")
        return data


@pytest.mark.parametrize("size", [1000, BIG])
def test_a_write_that_fails_leaves_the_old_object(
    store: FsspecStore, fs: AbstractFileSystem, bucket: str, size: int
) -> None:
    store.put(bucket, "d/o", b"old", size=3)
    with pytest.raises(RuntimeError, match="the disk broke"):
        store.put(bucket, "d/o", Body(b"x" * (size - 1)), size=size)
    with pytest.raises(ObjectChanged):
        store.put(bucket, "d/o", io.BytesIO(b"x" * (size - 1)), size=size)
    fs.invalidate_cache()
    assert fs.cat_file(f"{bucket}/d/o") == b"old"
    assert [path.lstrip("/") for path in fs.find(bucket)] == [f"{bucket}/d/o"]


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")], ids=["file-first", "folder-first"])
@pytest.mark.parametrize("size", [5, BIG])
def test_a_file_and_a_folder_of_one_name(
    make_fs: MakeFs, names: tuple[str, str], size: int
) -> None:
    with new_bucket_of(make_fs) as bucket:
        store = FsspecStore(make_fs())
        store.put(bucket, names[0], b"first", size=5)
        kept = {names[0]}
        try:
            store.put(bucket, names[1], b"s" * size, size=size)
        except KeyNotSupported:
            assert all("svstorage-tmp" not in path for path in make_fs().find(bucket))
        else:
            kept.add(names[1])
        assert {item.key for item in store.list(bucket)} == kept
        with store.read(bucket, names[0]) as reader:
            assert reader.read(-1) == b"first"


def test_an_empty_folder_is_a_marker(make_fs: MakeFs) -> None:
    with new_bucket_of(make_fs) as bucket:
        store = FsspecStore(make_fs())
        store.put(bucket, "d/e/", b"", size=0)
        for prefix in ("", "d/", "d/e/"):
            assert [item.key for item in store.list(bucket, prefix)] == ["d/e/"]
        assert list(store.list_level(bucket, "d/e/")) == [Entry("d/e/", 0)]
        store.delete(bucket, "d/e/")
        assert "d/e/" not in [item.key for item in store.list(bucket)]


def test_a_big_object_is_whole(store: FsspecStore, bucket: str) -> None:
    data = bytes(range(256)) * (BIG // 256) + b"!"
    stored = store.put(bucket, "d/big", io.BytesIO(data), size=len(data))
    assert stored.size == len(data)
    with store.read(bucket, "d/big") as reader:
        assert reader.read(-1) == data
    with store.read(bucket, "d/big", start=BIG - 5, length=3) as reader:
        assert reader.read(100) == data[-5:-2]


def test_no_stale_listing(store: FsspecStore, fs: AbstractFileSystem, bucket: str) -> None:
    def keys() -> list[str]:
        return sorted(item.key for item in store.list(bucket))

    store.put(bucket, "a/one", b"1", size=1)
    assert keys() == ["a/one"]
    assert store.head(bucket, "a/one").entry.size == 1
    fs.pipe_file(f"{bucket}/a/two", b"22")
    fs.pipe_file(f"{bucket}/a/one", b"111")
    assert keys() == ["a/one", "a/two"]
    assert store.head(bucket, "a/one").entry.size == 3
    assert {item.size for item in store.list_level(bucket, "a/")} == {3, 2}
    fs.rm_file(f"{bucket}/a/two")
    assert keys() == ["a/one"]


def test_another_version_is_noticed(
    store: FsspecStore, fs: AbstractFileSystem, bucket: str
) -> None:
    first = store.put(bucket, "o", b"a" * 100, size=100)
    fs.pipe_file(f"{bucket}/o", b"b" * 101)
    with pytest.raises(ObjectChanged):
        store.read(bucket, "o", if_match=first.etag)
    with pytest.raises(ObjectChanged):
        store._same_version(bucket, Entry("o", 100, etag=first.etag))
    with store.read(bucket, "o") as reader:
        fs.pipe_file(f"{bucket}/o", b"c" * 102)
        with pytest.raises(ObjectChanged):
            reader.read(-1)


def test_listing_and_head_tell_the_same(store: FsspecStore, bucket: str) -> None:
    stored = store.put(bucket, "d/o", b"abc", size=3)
    (listed,) = store.list(bucket)
    assert listed == store.head(bucket, "d/o").entry
    assert isinstance(listed, Entry)
    assert listed.etag == stored.etag is not None
    assert listed.modified_ns is not None


def test_keys_are_exact_or_refused(make_remote_fs: MakeFs, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["make_remote_fs"]
    server: Any = request.getfixturevalue("moto_server" if kind == "s3" else "azurite")
    store, bucket = FsspecStore(make_remote_fs()), server.new_bucket()
    names = ["two-slashes", "dots-inside", "leading-slash", "question", "backslash", "tab", "glob",
             "trailing-dot", "hash", "percent-slash", "nfd", "spaces-at-ends"]  # fmt: skip
    held = set()
    for key in (KEYS[name] for name in names):
        try:
            store.put(bucket, key, key.encode(), size=len(key.encode()))
        except KeyNotSupported:
            continue
        held.add(key)
    assert len(held) >= 5
    # What the service itself tells: nothing was stored under another name.
    assert server.keys(bucket) == {key: len(key.encode()) for key in held}
    assert {item.key for item in store.list(bucket)} == held
    for key in held:
        with store.read(bucket, key) as reader:
            assert reader.read(-1) == key.encode()
        store.delete(bucket, key)
    assert server.keys(bucket) == {}
    server.drop_bucket(bucket)


def test_wrong_credentials_are_refused_access(rclone_s3: Any) -> None:
    from dataclasses import replace

    from tests.providers.fsspec_store.conftest import s3_filesystem

    store = FsspecStore(s3_filesystem(replace(rclone_s3, secret_key="nonsense" * 3)))
    with pytest.raises(PermissionError) as told:
        list(store.list("some-bucket"))
    assert isinstance(told.value, StorageError)
    assert "nonsense" not in str(told.value)
