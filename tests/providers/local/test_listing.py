"""Listings of the disk: order, odd names, links, and things that are no objects."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path

import pytest

from svstorage.errors import BucketNotFound, ObjectError, ObjectNotFound
from svstorage.model import Problem, key_order
from svstorage.providers.local import names
from svstorage.providers.local.store import LocalStore
from tests.providers.local.conftest import (
    AS_NOBODY,
    BUCKET,
    get,
    keys,
    listing,
    put,
    run,
    tree,
)

# Order


def test_a_folder_sorts_as_its_name_with_a_slash(store: LocalStore):
    wanted = ["a", "a!", "a-b", "a.b", "a/x", "a0", "aa/a", "b/", "b0", "é", "\uff5e", "😀/1"]
    for key in random.Random(1).sample(wanted, len(wanted)):
        if key == "b/":
            store.put(BUCKET, key, b"", size=0)
        elif key != "a":
            put(store, key)
    assert keys(store) == wanted[1:]
    assert wanted[1:] == sorted(wanted[1:], key=key_order)


def test_order_of_random_trees(store: LocalStore, base: Path):
    seed = random.randrange(10**6)
    print(f"{seed=}")
    draw = random.Random(seed)
    letters = ["a", "b", "-", ".x", "0", "~", " ", "é", "\udcff", "\udc80", "\uffee", "😀"]
    made = set()
    for _ in range(400):
        key = "/".join(
            "".join(draw.choices(letters, k=draw.randint(1, 3))) for _ in range(draw.randint(1, 4))
        )
        if any(part in (".", "..") for part in key.split("/")):
            continue
        with contextlib.suppress(ObjectError):
            put(store, key)
            made.add(key)
    wanted = sorted(made, key=key_order)
    assert keys(store) == wanted
    for start in draw.sample(wanted, 20):
        after = [row.key for row in store.list(BUCKET, start_after=start)]
        assert after == [key for key in wanted if key_order(key) > key_order(start)]
        stem = start[: draw.randint(0, len(start))]
        if stem.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == stem:
            assert keys(store, stem) == [key for key in wanted if key.startswith(stem)]


def test_a_folder_too_large_to_sort_in_memory(store: LocalStore, base: Path, monkeypatch):
    monkeypatch.setattr(names, "RUN", 100)
    wanted = sorted((f"n{n * 7919 % 1009:x}\udcfe" for n in range(1009)), key=key_order)
    for name in wanted:
        (base / name).touch()
    (base / "n5-folder").mkdir()
    (base / "n5-folder" / "x").touch()
    wanted = sorted([*wanted, "n5-folder/x"], key=key_order)
    assert keys(store) == wanted
    assert keys(store, "n5") == [key for key in wanted if key.startswith("n5")]


# Names


def test_names_that_are_not_utf8(store: LocalStore, base: Path):
    name = b"caf\xe9\xff"
    Path(os.fsdecode(os.fsencode(base) + b"/" + name)).write_bytes(b"latin")
    key = "caf\udce9\udcff"
    assert keys(store) == [key]
    assert get(store, key) == b"latin"
    put(store, f"{key}-folder/x", b"new")
    assert tree(base)[name + b"-folder/x"] == b"new"
    store.delete(BUCKET, key)
    assert keys(store) == [f"{key}-folder/x"]


def test_text_that_would_be_a_second_name_of_a_file(store: LocalStore, base: Path):
    put(store, "é")
    with pytest.raises(ObjectError, match="not text that a file name can hold"):
        put(store, "\udcc3\udca9")  # the escapes of the bytes of é
    assert keys(store) == ["é"]


def test_unicode_forms_and_case_stay_apart(store: LocalStore):
    for key in ("e\u0301", "é", "A", "a"):
        put(store, key, key.encode())
    assert {key: get(store, key).decode() for key in keys(store)} == {
        key: key for key in ("e\u0301", "é", "A", "a")
    }


@pytest.mark.parametrize("letter", ["n", "é", "\udcff"])
def test_names_up_to_255_bytes(store: LocalStore, base: Path, letter: str):
    length = len(letter.encode("utf-8", "surrogateescape"))
    name = (letter * 255)[: 255 // length]
    put(store, f"{name}/{name}", b"long")
    assert get(store, f"{name}/{name}") == b"long"
    upload = store.start_upload(BUCKET, f"{name}/{name}", size=3)
    part = store.put_part(BUCKET, f"{name}/{name}", upload, number=1, offset=0, size=3, body=b"abc")
    store.complete_upload(BUCKET, f"{name}/{name}", upload, [part])
    assert get(store, f"{name}/{name}") == b"abc"
    with pytest.raises(ObjectError, match="longer than 255 bytes"):
        put(store, name + letter * 2)


def test_paths_of_4096_bytes(store: LocalStore, base: Path, either_way):
    room = 4095 - len(str(base)) - 1
    parts = ["d" * 200] * (room // 201)
    key = "/".join([*parts, "f" * (room - 201 * len(parts))])
    assert len(f"{base}/{key}") == 4095
    put(store, key, b"deep")
    assert get(store, key) == b"deep"
    assert keys(store) == [key]
    with pytest.raises(ObjectError, match="longer than 4095 bytes"):
        put(store, key + "f")
    store.delete(BUCKET, key)
    assert tree(base) == {}


def test_paths_beyond_4096_bytes_made_by_others_are_named(store: LocalStore, base: Path):
    put(store, "a")
    put(store, "z")
    here = os.getcwd()
    os.chdir(base)
    try:
        for _ in range(25):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        Path("f").write_bytes(b"x")
        found, problems = listing(store)
        assert [entry.key for entry in found] == ["a", "z"]
        (problem,) = problems
        assert problem.severity == "error"
        assert problem.key.startswith("d" * 200 + "/")
    finally:
        os.chdir(here)
        # pytest's own removal of the folder cannot reach so deep.
        os.rename(base / ("d" * 200), base.parent / "d")
        while (base.parent / "d" / ("d" * 200)).exists():
            os.rename(base.parent / "d" / ("d" * 200), base.parent / "e")
            for left in (base.parent / "d").iterdir():
                left.unlink()
            (base.parent / "d").rmdir()
            os.rename(base.parent / "e", base.parent / "d")


# What is no object


def test_pipes_sockets_and_devices_are_never_opened(store: LocalStore, base: Path, monkeypatch):
    put(store, "a-file")
    os.mkfifo(base / "pipe")
    monkeypatch.chdir(base)  # the name of a socket may have no more than 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    odd = ["pipe", "socket"]
    with contextlib.suppress(PermissionError):  # takes root
        os.mknod(base / "device", 0o600 | 0o020000, os.makedev(1, 3))
        odd = ["device", *odd]
    opened: list[object] = []
    real_open = os.open

    def noted(path, *rest, **more):
        opened.append(path)
        return real_open(path, *rest, **more)

    monkeypatch.setattr(os, "open", noted)
    found, problems = listing(store)
    assert [entry.key for entry in found] == ["a-file"]
    assert [problem.key for problem in problems] == odd
    assert {problem.severity for problem in problems} == {"skipped"}
    for key in odd:
        for operation in (store.head, store.read):
            with pytest.raises(ObjectError, match="it is no file"):
                operation(BUCKET, key)
    level = [row for row in store.list_level(BUCKET) if isinstance(row, Problem)]
    assert [row.key for row in level] == odd
    assert not [path for path in opened if os.fsdecode(path).rpartition("/")[2] in odd]
    put(store, "pipe", b"a file now")
    assert get(store, "pipe") == b"a file now"


def test_empty_folders_are_markers(store: LocalStore, base: Path):
    (base / "empty" / "deep").mkdir(parents=True)
    (base / "full").mkdir()
    (base / "full" / "x").touch()
    found, problems = listing(store)
    assert [(entry.key, entry.size, entry.is_folder_marker) for entry in found] == [
        ("empty/deep/", 0, True),
        ("full/x", 0, False),
    ]
    assert problems == []
    assert store.head(BUCKET, "empty/deep/").entry == found[0]
    assert get(store, "empty/deep/") == b""
    assert keys(store, "empty/") == ["empty/deep/"]
    assert keys(store, "empty/deep/") == ["empty/deep/"]
    store.put(BUCKET, "new/folder/", b"", size=0, modified_ns=10**18)
    assert store.head(BUCKET, "new/folder/").entry.modified_ns == 10**18
    with pytest.raises(ObjectError, match="only as an empty folder, and this object has 5 bytes"):
        store.put(BUCKET, "x/", b"bytes", size=5)
    store.delete(BUCKET, "full/")
    store.delete(BUCKET, "empty/deep/")
    assert keys(store) == ["full/x", "new/folder/"]


def test_a_key_and_keys_below_it(store: LocalStore, base: Path):
    put(store, "a", b"file")
    for key in ("a/b", "a/b/c", "a/"):
        with pytest.raises(ObjectError, match="a file and a folder of one name") as told:
            store.put(BUCKET, key, b"", size=0)
        assert repr(key) in str(told.value)
    put(store, "d/e")
    with pytest.raises(ObjectError, match="a file and a folder of one name"):
        put(store, "d")
    with pytest.raises(ObjectError, match="a file and a folder of one name"):
        upload = store.start_upload(BUCKET, "d", size=0)
        store.complete_upload(BUCKET, "d", upload, [])
    for operation in (store.head, store.read):
        with pytest.raises(ObjectNotFound):
            operation(BUCKET, "a/b")
    store.delete(BUCKET, "a/b")
    store.delete(BUCKET, "d")
    assert keys(store) == ["a", "d/e"]


def test_unreadable_folders_and_files(open_folder: Path):
    bucket = open_folder / BUCKET
    for name in ("a", "locked/inside", "no-entry/inside", "secret", "z"):
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_bytes(b"x")
    (bucket / "locked").chmod(0o000)
    (bucket / "no-entry").chmod(0o444)
    (bucket / "secret").chmod(0o000)
    run(
        f"""
import sys
from svstorage.errors import AccessRefused
from svstorage.model import Problem
from svstorage.providers.local.store import LocalStore
store = LocalStore(sys.argv[1])
{AS_NOBODY}
rows = list(store.list("bucket"))
problems = [row for row in rows if isinstance(row, Problem)]
assert [p.key for p in problems] == ["locked/", "no-entry/inside"], rows
assert all(p.severity == "error" and "cannot be read: Permission denied" in p.reason
           for p in problems), problems
assert [row.key for row in rows if row not in problems] == ["a", "secret", "z"], rows
level = [row for row in store.list_level("bucket", "locked/") if isinstance(row, Problem)]
assert [p.key for p in level] == ["locked/"], level
for attempt in (
    lambda: store.read("bucket", "secret"),
    lambda: store.read("bucket", "locked/inside"),
    lambda: store.put("bucket", "new", b"x", size=1),
    lambda: store.put("bucket", "a", b"x", size=1),
    lambda: store.put("bucket", "locked/new", b"x", size=1),
    lambda: store.put("bucket", "new/folder/x", b"x", size=1),
    lambda: store.delete("bucket", "a"),
    lambda: store.start_upload("bucket", "new", size=1),
    lambda: store.create_bucket("second"),
):
    try:
        attempt()
    except AccessRefused as error:
        assert "permissions" in str(error), error
    else:
        raise AssertionError(attempt)
""",
        open_folder,
    )
    assert get(LocalStore(open_folder), "a") == b"x" or os.geteuid()


def test_a_folder_that_may_be_written_but_not_read(open_folder: Path):
    """A drop box: files go in, and nobody may look."""
    box = open_folder / BUCKET / "box"
    box.mkdir(parents=True)
    box.chmod(0o333)
    (open_folder / BUCKET).chmod(0o333)
    run(
        f"""
import sys
from svstorage.providers.local.store import LocalStore
store = LocalStore(sys.argv[1])
{AS_NOBODY}
store.put("bucket", "box/x", b"dropped", size=7)
store.put("bucket", "y", b"dropped", size=7)
assert store.read("bucket", "box/x").read() == b"dropped"
store.close()
""",
        open_folder,
    )
    assert (box / "x").read_bytes() == b"dropped"


def test_a_bucket_that_is_missing_or_a_file(store: LocalStore, root: Path):
    (root / "file").touch()
    (root / ".hidden").mkdir()
    assert [bucket.name for bucket in store.list_buckets()] == [BUCKET]
    for name in ("absent", "file"):
        assert not store.bucket_exists(name)
        with pytest.raises(BucketNotFound):
            store.list(name)
    assert LocalStore(root / "not-there").list_buckets() == []
    assert not LocalStore(root / "not-there").bucket_exists("x")
