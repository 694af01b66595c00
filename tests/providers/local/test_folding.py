"""Disks that fold names: each object under exactly its key, or a failure that says why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from svstorage.errors import KeyNotSupported, ObjectNotFound, StorageError
from svstorage.model import Attributes
from svstorage.providers.local import folding
from svstorage.providers.local.root import LINK_MARK
from svstorage.providers.local.store import LocalStore
from tests.servers.process import ServerFailed, clean_environment, running

from .conftest import BUCKET, get, keys, put, tree

FOLDINGFS = Path(__file__).parents[2] / "servers" / "foldingfs.py"
NFC = "caf\u00e9"
NFD = unicodedata.normalize("NFD", NFC)
PAIRS = [("A", "a"), (NFC, NFD), ("dir/x", "Dir/x"), ("dir/x", "Dir/y"), (NFC + "/x", NFD + "/y")]


@contextmanager
def mounted(folder: Path, folds: str) -> Iterator[Path]:
    """A folding disk, empty; skips the test where there can be none."""
    pytest.importorskip("mfusepy", reason="mfusepy, or the libfuse2 it loads, is not installed",
                        exc_type=(ImportError, OSError))  # fmt: skip
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or os.geteuid():
        pytest.skip("a file system of our own takes root and /dev/fuse")
    below, mount = folder / "below", folder / "mount"
    below.mkdir(parents=True)
    mount.mkdir()
    command = [sys.executable, str(FOLDINGFS), str(below), str(mount), folds]
    try:
        with running(
            command,
            folder=folder,
            ready=lambda: os.path.ismount(mount),
            env=clean_environment(folder),
        ):
            yield mount
    except ServerFailed as error:
        if "not permitted" in str(error):
            pytest.skip("mounting is not permitted here")
        raise
    finally:
        subprocess.run(["umount", "-l", mount], capture_output=True)  # after a kill


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    with ExitStack() as stack:
        made: dict[str, Path] = {}

        def disk(folds: str) -> Path:
            if folds not in made:
                folder = tmp_path_factory.mktemp("folding")
                made[folds] = stack.enter_context(mounted(folder, folds))
            return made[folds]

        yield disk


@pytest.fixture
def disk(disks: Callable[[str], Path], tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own on a disk that folds both case and Unicode forms."""
    folder = disks("case,forms") / f"{tmp_path.parent.name}-{tmp_path.name}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def root(disk: Path) -> Path:
    (disk / BUCKET).mkdir()
    return disk


def upload(store: LocalStore, key: str, data: bytes) -> None:
    upload_id = store.start_upload(BUCKET, key, size=len(data))
    part = store.put_part(BUCKET, key, upload_id, number=1, offset=0, size=len(data), body=data)
    store.complete_upload(BUCKET, key, upload_id, [part])


def put_new(store: LocalStore, key: str, data: bytes) -> None:
    store.put(BUCKET, key, data, size=len(data), if_none_match=True)


def put_link(store: LocalStore, key: str, data: bytes) -> None:
    store.put(BUCKET, key, data, size=len(data), attributes=Attributes(metadata={LINK_MARK: "1"}))


def copy_in(store: LocalStore, key: str, data: bytes) -> None:
    put(store, "of another name", data)
    entry = store.head(BUCKET, "of another name").entry
    try:
        store.copy(BUCKET, entry, BUCKET, key)
    finally:
        store.delete(BUCKET, "of another name")


def is_one_name(disk: Path) -> bool:
    (disk / "Probe").touch()
    try:
        return (disk / "pROBE").exists()
    finally:
        (disk / "Probe").unlink()


def test_the_disk_of_these_tests_folds(disk: Path, tmp_path: Path) -> None:
    assert is_one_name(disk)
    assert not is_one_name(tmp_path)
    (disk / NFC).write_text("one")
    assert (disk / NFD).read_text() == "one"
    assert os.listdir(disk) == [NFC]


@pytest.mark.parametrize("how", [put, put_new, upload, copy_in, put_link])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_later_of_two_is_refused(
    root: Path, how: Callable[..., None], first: str, second: str
) -> None:
    store = LocalStore(root, links="copy" if how is put_link else "follow")
    put(store, first, b"first")
    with pytest.raises(KeyNotSupported) as caught:
        how(store, second, b"second")
    # Both names, as the disk and the key spell them.
    for key in (first, second):
        assert repr(key.split("/")[0]) in str(caught.value)
    assert get(store, first) == b"first"
    assert keys(store) == [first]
    assert not any(b".svstorage" in name for name in tree(root))


def test_a_name_that_was_taken_while_an_upload_ran(root: Path) -> None:
    store = LocalStore(root)
    upload_id = store.start_upload(BUCKET, "a", size=4)
    part = store.put_part(BUCKET, "a", upload_id, number=1, offset=0, size=4, body=b"late")
    put(store, "A", b"first")
    with pytest.raises(KeyNotSupported, match="'a' and 'A'"):
        store.complete_upload(BUCKET, "a", upload_id, [part])
    assert get(store, "A") == b"first"
    store.abort_upload(BUCKET, "a", upload_id)
    assert tree(root / BUCKET) == {b"A": b"first"}


def test_listings_of_another_spelling(root: Path) -> None:
    store = LocalStore(root)
    put(store, "dir/deep/x")
    for prefix in ("Dir/", "dir/Deep/", "dir/Deep/x"):
        assert keys(store, prefix) == []
        assert list(store.list_level(BUCKET, prefix)) == []


def test_folder_markers(root: Path) -> None:
    store = LocalStore(root)
    put(store, "dir/", b"")
    with pytest.raises(KeyNotSupported, match="'Dir' and 'dir'"):
        put(store, "Dir/", b"")
    put(store, "dir/", b"")
    assert keys(store) == ["dir/"]


def test_the_same_name_is_replaced(root: Path) -> None:
    store = LocalStore(root)
    for data in (b"1", b"2", b"3"):
        for key in ("A", NFC, "Dir/b", NFD + "x/c"):
            put(store, key, data)
    upload(store, "A", b"4")
    assert get(store, "A") == b"4"
    assert get(store, "Dir/b") == b"3"
    assert keys(store) == sorted(["A", NFC, "Dir/b", NFD + "x/c"])


def test_the_other_spelling_may_follow_a_deletion(root: Path) -> None:
    store = LocalStore(root)
    for first, second in (("dir/A", "dir/a"), ("one/x", "One/x"), ("One/x", "one/y")):
        put(store, first)
        put(store, first)  # the listing that is kept for a while knows the name now
        store.delete(BUCKET, first)
        put(store, second, b"second")
        with pytest.raises(KeyNotSupported):
            put(store, first)
        assert keys(store) == [second]
        store.delete(BUCKET, second)
    assert keys(store) == []


@pytest.mark.parametrize("written", [True, False], ids=["written before", "only read"])
@pytest.mark.parametrize(("first", "second"), [("A", "a"), ("dir/x", "Dir/x"), ("dir/x", "dir/X")])
def test_another_spelling_is_not_there(root: Path, first: str, second: str, written: bool) -> None:
    put(LocalStore(root), first, b"first")
    store = LocalStore(root)
    if written:
        put(store, "something else")
    before = tree(root)
    with pytest.raises(ObjectNotFound):
        store.head(BUCKET, second)
    with pytest.raises(ObjectNotFound):
        store.read(BUCKET, second)
    store.delete(BUCKET, second)
    assert tree(root) == before
    assert get(store, first) == b"first"
    store.delete(BUCKET, first)
    with pytest.raises(ObjectNotFound):
        store.head(BUCKET, first)


def race(store: LocalStore, spellings: list[str]) -> dict[str, StorageError | None]:
    """Puts all of them at once; says how each ended."""
    start = threading.Barrier(len(spellings))

    def one(key: str) -> StorageError | None:
        start.wait()
        try:
            put(store, key, key.encode())
        except StorageError as error:
            return error
        return None

    with ThreadPoolExecutor(len(spellings)) as pool:
        return dict(zip(spellings, pool.map(one, spellings), strict=True))


@pytest.mark.parametrize("name", ["A", "dir/A"])
def test_two_threads_never_both_win(root: Path, name: str) -> None:
    spellings = sorted({name, name.lower(), name.upper(), name.swapcase()})
    for _ in range(8):
        store = LocalStore(root)
        outcomes = race(store, spellings)
        (winner,) = [key for key, error in outcomes.items() if error is None]
        losers = [error for error in outcomes.values() if error is not None]
        assert all(isinstance(error, KeyNotSupported) for error in losers), losers
        assert keys(store) == [winner]
        assert get(store, winner) == winner.encode()
        store.delete(BUCKET, winner)


def test_other_disks_are_asked_once_for_each_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / BUCKET).mkdir()
    asked: list[bytes] = []
    real = folding.shows
    monkeypatch.setattr(
        folding, "shows", lambda folder, name: asked.append(name) or real(folder, name)
    )
    for name in ("taking", "is_spelled", "_entries"):
        monkeypatch.setattr(folding, name, None)  # not called on a disk that does not fold
    store = LocalStore(tmp_path)
    for key in ("A", "a", "dir/x", "Dir/y", NFC, NFD):
        put(store, key, key.encode())
        assert get(store, key) == key.encode()
    upload(store, "b/c", b"parts")
    assert len(asked) == 4
    assert len(keys(store)) == 7
    store.delete(BUCKET, "a")
    assert len(asked) == 4
    assert len(tree(tmp_path)) == 10  # the bucket, three folders, six files: no trace of a probe


def test_two_links_to_one_file_are_two_names(tmp_path: Path) -> None:
    (tmp_path / BUCKET).mkdir()
    store = LocalStore(tmp_path)
    put(store, "a", b"one")
    os.link(tmp_path / BUCKET / "a", tmp_path / BUCKET / "A")
    fresh = LocalStore(tmp_path)
    assert get(fresh, "A") == b"one"
    put(fresh, "A", b"two")
    assert (get(fresh, "a"), get(fresh, "A")) == (b"one", b"two")


def test_two_processes_never_both_win(root: Path) -> None:
    """Each has looked before the other takes its name; the lock of the folder is in between."""
    script = (
        "import sys\n"
        "from svstorage.errors import KeyNotSupported\n"
        "from svstorage.providers.local.store import LocalStore\n"
        "store = LocalStore(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "won = []\n"
        "for number in range(40):\n"
        "    key = f'{number}{sys.argv[3]}'\n"
        "    try:\n"
        "        store.put(sys.argv[2], key, key.encode(), size=len(key))\n"
        "        won.append(key)\n"
        "    except KeyNotSupported:\n"
        "        pass\n"
        "print(' '.join(won))\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(root), BUCKET, letter],
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(root.parent),
        )
        for letter in "Aa"
    ]
    told = [child.communicate(timeout=60)[0].split()[1:] for child in children]
    won = sorted(key for keys_ in told for key in keys_)
    assert len(won) == 40  # just one of each pair
    store = LocalStore(root)
    assert keys(store) == won
    assert all(get(store, key) == key.encode() for key in won)


def test_copy_from_a_bucket(disk: Path, moto_server: Any, new_bucket: Any, tmp_path: Path) -> None:
    bucket = new_bucket(moto_server)
    client = moto_server.client()
    held = {key: f"it is {key}".encode() for key in ("A", "a", "dir/x", "Dir/y", NFC, NFD, "z")}
    for key, data in held.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)
    env = moto_server.write_env(tmp_path / ".env")
    target = disk / "target"
    done = svstorage(tmp_path, "--env-file", env, "cp", "-r", f"sv://{bucket}/", f"{target}/",
                     "--report", tmp_path / "report.jsonl")  # fmt: skip
    assert done.returncode == 1, done.stderr
    got = {os.fsdecode(name): data for name, data in tree(target).items() if data is not None}
    # Which of two comes first is nobody's promise; that just one is there, and whole, is.
    for pair in (("A", "a"), ("dir/x", "Dir/y"), (NFC, NFD)):
        (winner,) = set(pair) & set(got)
        (loser,) = set(pair) - set(got)
        assert got[winner] == held[winner]
        assert loser in done.stderr
        assert statuses(tmp_path)[loser] == "failed"
        assert statuses(tmp_path)[winner] == "done"
    assert got["z"] == held["z"]
    assert len(got) == 4
    # Run again, sync has the same to say.
    again = svstorage(tmp_path, "--env-file", env, "sync", f"sv://{bucket}/", f"{target}/")
    assert again.returncode == 1, again.stderr
    now = {os.fsdecode(name): data for name, data in tree(target).items() if data is not None}
    assert now == got


def statuses(folder: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (folder / "report.jsonl").read_text().splitlines()]
    return {row["source"].split("/", 3)[3]: row["status"] for row in rows if "source" in row}


def svstorage(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "svstorage"
    return subprocess.run(
        [program, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment(folder),
        timeout=60,
    )
