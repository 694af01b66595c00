"""Nothing is read, written or deleted outside of the bucket's folder, whatever the key."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ObjectError,
    ObjectNotFound,
    StorageError,
)
from svstorage.model import Entry
from svstorage.providers.local.store import LocalStore
from tests.providers.local.conftest import BUCKET, get, keys, listing, put, tree

pytestmark = pytest.mark.usefixtures("either_way")

ESCAPES = [
    "..", ".", "../x", "../../x", "a/../x", "a/../../x", "a/..", "./x", "a/./x", "/x",
    "/etc/passwd", "//x", "a//x", "a/b/", "a\0b", "\0", "../other/x", "a/../../other/x", "/",
]  # fmt: skip


@pytest.fixture
def outside(tmp_path: Path, root: Path) -> Path:
    """Things outside of the bucket that no test may change; seen by `unharmed`."""
    (root / "other").mkdir()
    (root / "other" / "x").write_bytes(b"of another bucket")
    (tmp_path / "x").write_bytes(b"outside")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_bytes(b"kept")
    return tmp_path / "elsewhere"


@pytest.fixture(autouse=True)
def unharmed(tmp_path: Path, root: Path, outside: Path):
    def seen():
        return {k: v for k, v in tree(tmp_path).items() if not k.startswith(b"data/storage/bucket")}

    before = seen()
    yield
    assert seen() == before


@pytest.mark.parametrize("key", ESCAPES)
def test_keys_that_lead_elsewhere(store: LocalStore, base: Path, key: str):
    (base / "a").mkdir()
    (base / "x").write_bytes(b"in the bucket")
    before = tree(base)
    size = 0 if key == "a/b/" else 3
    with pytest.raises(KeyNotSupported) if key != "a/b/" else contextlib.nullcontext():
        store.put(BUCKET, key, b"new"[:size], size=size)
    with pytest.raises(StorageError):
        store.start_upload(BUCKET, key, size=3)
    with contextlib.suppress(StorageError):
        store.delete(BUCKET, key)
    if key != "a/b/":
        for operation in (store.head, store.read):
            with pytest.raises(KeyNotSupported) as told:
                operation(BUCKET, key)
            assert repr(key) in str(told.value)
        with pytest.raises(KeyNotSupported):
            store.copy(BUCKET, store.head(BUCKET, "x").entry, BUCKET, key)
        assert [entry.key for entry in store.list(BUCKET, key) if isinstance(entry, Entry)] == []
        before.pop(b"a") if key.startswith("a/") and b"a" not in tree(base) else None
    else:
        before.pop(b"a")  # went with the marker that was in it
    assert tree(base) == before


@pytest.mark.parametrize("bucket", ["..", ".", "", "a/b", "../other", "/etc", ".hidden", "a\0"])
def test_buckets_that_lead_elsewhere(store: LocalStore, bucket: str):
    assert not store.bucket_exists(bucket)
    for attempt in (
        lambda: store.put(bucket, "x", b"new", size=3),
        lambda: store.delete(bucket, "x"),
        lambda: store.delete_bucket(bucket),
        lambda: list(store.list(bucket)),
        lambda: store.read(bucket, "x"),
    ):
        with pytest.raises(BucketNotFound):
            attempt()
    with pytest.raises(KeyNotSupported):
        store.create_bucket(bucket)


def links(base: Path, outside: Path) -> None:
    """Links out of the bucket, planted in it."""
    (base / "in").mkdir()
    (base / "folder").symlink_to(outside)
    (base / "in" / "up").symlink_to("../../..")
    (base / "file").symlink_to(outside / "kept")
    (base / "dangling").symlink_to(outside / "new")


@pytest.mark.parametrize("policy", ["follow", "skip", "copy"])
def test_links_planted_in_the_destination(root: Path, base: Path, outside: Path, policy):
    links(base, outside)
    store = LocalStore(root, links=policy)
    for key in ("folder/evil", "folder/deep/evil", "in/up/evil", "folder/kept", "file/evil"):
        with pytest.raises(ObjectError, match="symbolic link"):
            put(store, key)
        with pytest.raises(ObjectError, match="symbolic link"):
            store.start_upload(BUCKET, key, size=1)
        with pytest.raises(StorageError):
            store.delete(BUCKET, key)
        with pytest.raises(StorageError):
            get(store, key)
    # A link with the object's own name is itself replaced; what it leads to stays.
    put(store, "file", b"new")
    put(store, "dangling", b"new")
    assert not (base / "file").is_symlink()
    assert get(store, "file") == get(store, "dangling") == b"new"
    with pytest.raises(KeyNotSupported, match="a file and a folder of one name"):
        store.put(BUCKET, "file/", b"", size=0)
    store.delete(BUCKET, "folder")
    assert not (base / "folder").is_symlink()


def test_a_folder_marker_through_a_link(store: LocalStore, base: Path, outside: Path):
    links(base, outside)
    for key in ("folder/", "folder/new/"):
        with pytest.raises(ObjectError):
            store.put(BUCKET, key, b"", size=0)
    with contextlib.suppress(StorageError):
        store.delete(BUCKET, "folder/")
    assert (base / "folder").is_symlink()


def test_a_bucket_that_is_a_link(store: LocalStore, root: Path, outside: Path):
    (root / "linked").symlink_to(outside)
    assert not store.bucket_exists("linked")
    assert "linked" not in [bucket.name for bucket in store.list_buckets()]
    for attempt in (
        lambda: put(store, "x", bucket="linked"),
        lambda: store.delete("linked", "kept"),
        lambda: store.delete_bucket("linked"),
        lambda: list(store.list("linked")),
        lambda: get(store, "kept", bucket="linked"),
    ):
        with pytest.raises(ObjectError, match="is a symbolic link"):
            attempt()
    (root / "linked").unlink()


SWAPPER = """
import ctypes, os, sys
real, link = (os.fsencode(name) for name in sys.argv[1:])
rename = ctypes.CDLL(None, use_errno=True).renameat2
print("ready", flush=True)
while True:
    if rename(-100, real, -100, link, 2):  # AT_FDCWD, RENAME_EXCHANGE
        raise OSError(ctypes.get_errno(), "renameat2")
"""


def test_links_swapped_in_by_another_process(store: LocalStore, base: Path, outside: Path):
    """A folder and a link to the outside change places, all the time, while it is written to."""
    (base / "real").mkdir()
    (base / "link").symlink_to(outside)
    process = subprocess.Popen(
        [sys.executable, "-c", SWAPPER, str(base / "real"), str(base / "link")],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    stored = refused = read = 0
    try:
        for n in range(400):
            try:
                put(store, f"real/{n % 7}", b"data")
                stored += 1
                if n % 3 == 0:
                    store.delete(BUCKET, "real/kept")
            except StorageError:
                refused += 1
            with contextlib.suppress(StorageError):
                assert get(store, "real/0") == b"data"
                read += 1
            with contextlib.suppress(StorageError):
                get(store, "real/kept")
                raise AssertionError("what is outside was read")
    finally:
        assert process.poll() is None, "the other process must have swapped to the end"
        process.kill()
        process.wait()
        process.stdout.close()
    assert stored
    assert refused
    assert read


def test_a_folder_is_not_taken_for_a_key_by_prefix(store: LocalStore, base: Path, outside: Path):
    put(store, "a/b")
    links(base, outside)
    for prefix in ("../", "a/../", "/", "./", "folder/", "in/up/", "a\0"):
        found, _ = listing(store, prefix)
        assert found == []


def test_single_folder_has_no_way_out(tmp_path: Path, outside: Path):
    store = LocalStore.for_folder(tmp_path / "data")
    for key in ("../x", "/x", "a/../../x"):
        with pytest.raises(KeyNotSupported):
            store.put("", key, b"new", size=3)
    with pytest.raises(BucketNotFound):
        store.put("other", "x", b"new", size=3)
    assert store.local_path("", "a/b") == str(tmp_path / "data" / "a" / "b")
    with pytest.raises(KeyNotSupported):
        store.local_path("", "../x")


def test_the_root_itself_may_be_a_link(tmp_path: Path, root: Path):
    link = root / BUCKET / "root-link"
    link.symlink_to(root)
    store = LocalStore(link)
    put(store, "a/b", b"x")
    assert get(store, "a/b") == b"x"
    link.unlink()
    assert keys(LocalStore(root)) == ["a/b"]


def test_delete_never_goes_above_the_bucket(store: LocalStore, base: Path):
    put(store, "a/b/c")
    store.delete(BUCKET, "a/b/c")
    assert tree(base) == {}
    assert base.is_dir()
    with pytest.raises(ObjectNotFound):
        store.head(BUCKET, "a/b/c")
