"""Passes over real folders and real storages: what goes where, and what never does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from svstorage.errors import BucketNotFound, ConnectionFailed, UsageError
from svstorage.jupyter.names import conflict_of

from .conftest import Bay, Desk

Make = Callable[..., Desk]

NAMES = ["plain.ipynb", "with space.ipynb", "Überblick – 概要.ipynb", "a:b.txt", "sub/ü/x y.txt",
         "100%.csv", "a+b&c#d.txt", "quote'\".txt", "😀.md", "e\u0301.txt",
         "\u00e9.txt"]  # fmt: skip


def conflicts(names: object) -> list[str]:
    return [key for key in names if conflict_of(key)]  # type: ignore[attr-defined]


def test_both_ways(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna")
    anna.write("a.ipynb", "from the folder")
    bay.put("b.ipynb", b"from the storage")
    account = anna.sync()
    assert (account.pushed, account.pulled, account.clean) == (1, 1, True)
    expected = {"a.ipynb": b"from the folder", "b.ipynb": b"from the storage"}
    assert anna.held() == bay.held() == expected
    anna.write("a.ipynb", "edited here")
    bay.put("b.ipynb", b"edited there")
    anna.sync()
    assert anna.held() == bay.held() == {"a.ipynb": b"edited here", "b.ipynb": b"edited there"}
    account = anna.sync()
    assert (account.moved, account.in_step) == (0, 2)


def test_names_are_exact(bay: Bay, desk: Make) -> None:
    names = [n for n in NAMES if not (bay.kind == "azure" and n == "quote'\".txt")]
    anna, ben = desk(bay, "anna"), desk(bay, "ben")
    for number, name in enumerate(names):
        anna.write(name, f"content {number}")
    assert anna.sync().pushed == len(names)
    assert ben.sync().pulled == len(names)
    assert anna.held() == ben.held() == bay.held()
    assert sorted(anna.held()) == sorted(names)


def test_a_conflict_keeps_both(bay: Bay, desk: Make) -> None:
    anna, ben = desk(bay, "anna"), desk(bay, "ben")
    anna.write("x.ipynb", "start")
    anna.sync()
    ben.sync()
    anna.write("x.ipynb", "by anna")
    ben.write("x.ipynb", "by ben!")
    anna.sync()
    account = ben.sync()
    (copy,) = account.new_conflicts
    assert conflict_of(copy).original == "x.ipynb"
    for _ in range(3):  # no ping-pong: nothing moves any more
        anna_account, ben_account = anna.sync(), ben.sync()
    assert anna_account.moved == ben_account.moved == 0
    expected = {"x.ipynb": b"by anna", copy: b"by ben!"}
    assert anna.held() == ben.held() == bay.held() == expected
    assert [one.key for one in anna_account.conflicts] == [copy]


def test_new_on_both_sides(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna")
    bay.put("same.txt", b"the same")
    bay.put("other.txt", b"of equal size 1")
    anna.write("same.txt", "the same")
    anna.write("other.txt", "of equal size 2")
    account = anna.sync()
    assert account.pulled == 0
    (copy,) = account.new_conflicts
    assert anna.held() == bay.held()
    assert anna.held()[copy] == b"of equal size 2"
    assert len(anna.held()) == 3


def test_deletions_go_both_ways(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna")
    for name in ("keep", "here/deep/gone", "there"):
        anna.write(name, name)
    anna.sync()
    (anna.root / "here/deep/gone").unlink()
    bay.delete("there")
    account = anna.sync()
    assert (account.deleted_remote, account.deleted_local) == (1, 1)
    assert anna.held() == bay.held() == {"keep": b"keep"}


def test_an_edit_outweighs_a_deletion(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna")
    for name in ("a", "b", "c"):
        anna.write(name, name)
    anna.sync()
    (anna.root / "a").unlink()
    bay.put("a", b"edited there")
    anna.write("b", "edited here")
    bay.delete("b")
    anna.sync()
    assert anna.held() == bay.held() == {"a": b"edited there", "b": b"edited here", "c": b"c"}


def test_an_empty_folder_deletes_nothing(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna")
    anna.write("a", "a")
    anna.write("b", "b")
    anna.sync()
    for path in anna.root.glob("?"):
        path.unlink()
    account = anna.sync()
    assert (account.deleted_remote, account.clean) == (0, False)
    assert "pull --undo-deletes" in account.held[0]
    assert set(bay.held()) == {"a", "b"}
    # It fills up again: what was held is still held, until somebody says so.
    anna.write("new", "new")
    assert anna.sync().held
    assert set(bay.held()) == {"a", "b", "new"}
    anna.sync("pull", deletes="undo")
    assert set(anna.held()) == {"a", "b", "new"}
    (anna.root / "a").unlink()
    assert anna.sync().deleted_remote == 1


def test_an_empty_storage_deletes_nothing(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna")
    anna.write("a", "a")
    anna.sync()
    bay.delete("a")
    account = anna.sync()
    assert (account.deleted_local, set(anna.held())) == (0, {"a"})
    assert "push --undo-deletes" in account.held[0]
    bay.put("b", b"b")
    anna.sync()
    assert set(anna.held()) == {"a", "b"}
    anna.sync("pull", deletes="accept")
    assert set(anna.held()) == {"b"}


def test_a_folder_that_lost_its_memory_deletes_nothing(disk: Bay, desk: Make) -> None:
    """The disk under the folder was not mounted: neither files nor manifest are there."""
    anna = desk(disk, "anna")
    anna.write("a", "a")
    anna.sync()
    os.rename(anna.root, anna.root.with_name("unmounted"))
    anna.root.mkdir()
    anna.write("b", "b")
    account = anna.sync()
    assert (account.deleted_remote, account.held) == (0, [])
    assert set(disk.held()) == set(anna.held()) == {"a", "b"}


def test_another_storage_is_another_memory(disk: Bay, s3: Bay, desk: Make) -> None:
    """The folder was in step with one storage; in the next one nothing of it looks deleted."""
    anna = desk(disk, "anna")
    anna.write("a", "a")
    anna.sync()
    moved = desk(s3, "anna")
    s3.put("other", b"other")
    account = moved.sync()
    assert account.deleted_local == 0
    assert set(s3.held()) == set(moved.held()) == {"a", "other"}


def test_a_missing_bucket_deletes_nothing(bay: Bay, desk: Make, tmp_path: Path) -> None:
    anna = desk(bay, "anna")
    anna.write("a", "a")
    anna.sync()
    other = Bay(bay.kind, bay.env, "no-such-bucket-here", bay.files, bay.write, bay.remove)
    lost = desk(other, "anna")
    with pytest.raises(BucketNotFound):
        lost.sync()
    assert set(anna.held()) == {"a"}


def test_moved_files_are_not_sent_again(s3: Bay, desk: Make, fault_proxy: Callable) -> None:
    proxy = fault_proxy(s3.server.endpoint)
    s3.env = s3.server.at(proxy.endpoint).env()
    anna, ben = desk(s3, "anna"), desk(s3, "ben")
    big = os.urandom(200_000)
    anna.write("data/big.bin", big)
    anna.write("stays", "x")
    anna.sync()
    ben.sync()
    proxy.requests.clear()
    (anna.root / "data").rename(anna.root / "renamed")
    account = anna.sync()
    assert (account.copied, account.pushed, account.deleted_remote) == (1, 0, 1)
    assert sum(request.sent for request in proxy.requests) < 10_000
    proxy.requests.clear()
    time.sleep(2.1)  # the memory of a file that was just written counts only for a look
    ben.sync()
    ben.sync()
    assert ben.held() == s3.held() == {"renamed/big.bin": big, "stays": b"x"}


def test_a_move_there_is_not_fetched_again(s3: Bay, desk: Make, fault_proxy: Callable) -> None:
    proxy = fault_proxy(s3.server.endpoint)
    s3.env = s3.server.at(proxy.endpoint).env()
    ben = desk(s3, "ben")
    big = os.urandom(200_000)
    ben.write("big.bin", big)
    ben.write("stays", "x")
    ben.sync()
    time.sleep(2.1)
    ben.sync()
    s3.put("moved.bin", big)
    s3.delete("big.bin")
    proxy.requests.clear()
    account = ben.sync()
    assert (account.pulled, account.deleted_local) == (1, 1)
    assert ben.held() == {"moved.bin": big, "stays": b"x"}
    assert sum(request.received for request in proxy.requests) < 20_000


def test_ignored_files_stay_where_they_are(disk: Bay, desk: Make) -> None:
    anna = desk(disk, "anna")
    left = [".ipynb_checkpoints/x-checkpoint.ipynb", "sub/.git/HEAD", ".venv/lib/a.py",
            "env3/pyvenv.cfg", "env3/lib/b.py", "mine/secret.tmp", ".~draft.ipynb"]  # fmt: skip
    for name in [*left, "x.ipynb", "sub/y.py"]:
        anna.write(name, name)
    anna.write(".svstorageignore", "*.tmp\n!keep.tmp\n/data/\n")
    anna.write("data/d", "d")
    anna.write("sub/data/e", "e")
    anna.write("keep.tmp", "k")
    for name in ("there.tmp", "data/there", "env3/there", ".svstorage/evil", ".git/hooks/evil"):
        disk.put(name, b"there")
    anna.sync()
    sent = {"x.ipynb", "sub/y.py", ".svstorageignore", "sub/data/e", "keep.tmp"}
    foreign = {"there.tmp", "data/there", "env3/there", ".svstorage/evil", ".git/hooks/evil"}
    assert set(disk.held()) == sent | foreign
    assert not (anna.root / ".git").exists()
    assert not (anna.root / "there.tmp").exists()
    # A file that becomes ignored is deleted nowhere.
    anna.write(".svstorageignore", "*.tmp\n*.py\n")
    anna.sync()
    (anna.root / "sub/y.py").unlink()
    anna.sync()
    assert "sub/y.py" in disk.held()


def test_a_bad_ignore_file_stops_everything(disk: Bay, desk: Make) -> None:
    anna = desk(disk, "anna")
    anna.write("x", "x")
    (anna.root / ".svstorageignore").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"\.svstorageignore"):
        anna.sync()
    assert disk.held() == {}


def test_settings_are_not_sent(disk: Bay, desk: Make) -> None:
    """The .env file that was read holds the keys to the storage."""
    anna = desk(disk, "anna")
    file = disk.env_file(anna.root / ".env")
    from svstorage.jupyter.cycle import Cycle
    from svstorage.jupyter.place import find_target
    from svstorage.storage import connect

    anna.write("project/.env", "MINE=1")
    with connect(env_file=file) as storage:
        Cycle(anna.root, find_target(storage)).until_done(settle=0)
    assert set(disk.held()) == {"project/.env"}


def test_large_files_are_named(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna", max_size=1000)
    anna.write("big.bin", b"x" * 1001)
    anna.write("fits.bin", b"x" * 1000)
    bay.put("there.bin", b"y" * 2000)
    account = anna.sync()
    assert set(account.problems) == {"big.bin", "there.bin"}
    assert "1001 bytes" in account.problems["big.bin"]
    assert set(bay.held()) == {"fits.bin", "there.bin"}
    assert set(anna.held()) == {"fits.bin", "big.bin"}
    # A file that has grown over the limit keeps what is there.
    anna.write("fits.bin", b"z" * 1001)
    anna.sync()
    assert bay.held()["fits.bin"] == b"x" * 1000


def test_what_a_disk_cannot_hold_is_named(s3: Bay, desk: Make, moto_server) -> None:
    bucket = moto_server.new_bucket()
    from .conftest import make_s3

    bay = make_s3(moto_server, bucket)
    bad = ["a//b", "../escape", "dir/../../up", "n" * 300, "file/inside"]
    for key in [*bad, "file", "fine"]:
        bay.put(key, b"data")
    anna = desk(bay, "anna")
    account = anna.sync()
    assert set(account.problems) == set(bad)
    assert set(anna.held()) == {"file", "fine"}
    assert not (anna.root.parent / "escape").exists()
    assert anna.sync().moved == 0
    assert {key.removeprefix("jupyter/anna/") for key in moto_server.keys(bucket)} == {
        *bad, "file", "fine",
    }  # fmt: skip
    moto_server.drop_bucket(bucket)


def test_odd_things_in_the_folder(disk: Bay, desk: Make) -> None:
    anna = desk(disk, "anna")
    anna.write("a", "a")
    anna.write("b", "b")
    anna.sync()
    outside = anna.root.with_name("outside")
    outside.write_text("not ours")
    (anna.root / "a").unlink()
    (anna.root / "a").symlink_to(outside)
    os.mkfifo(anna.root / "pipe")
    (anna.root / "loop").symlink_to(anna.root)
    disk.put("loop/x", b"x")
    account = anna.sync()
    assert set(account.left_out) == {"a", "pipe", "loop"}
    assert disk.held() == {"a": b"a", "b": b"b", "loop/x": b"x"}
    assert outside.read_text() == "not ours"


def test_a_touched_file_is_not_sent(s3: Bay, desk: Make, fault_proxy: Callable) -> None:
    proxy = fault_proxy(s3.server.endpoint)
    s3.env = s3.server.at(proxy.endpoint).env()
    anna = desk(s3, "anna")
    path = anna.write("a", "a" * 5000)
    anna.sync()
    for moment in (0, time.time() + 3600, time.time() - 3600):
        os.utime(path, (moment, moment))
        os.chmod(path, 0o600)
        proxy.requests.clear()
        account = anna.sync()
        assert (account.moved, account.clean) == (0, True)
        assert not [r for r in proxy.requests if r.method == "PUT"]


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_times_decide_nothing(bay: Bay, desk: Make, skew: int) -> None:
    """Each side's edits are found and the right one goes over, however wrong the clocks are."""
    anna, ben = desk(bay, "anna"), desk(bay, "ben")
    first = time.time() - 10_000
    path = anna.write("x", "one")
    os.utime(path, (first, first))
    anna.sync()
    ben.sync()
    later = first + skew
    # Same size, and a time that is older than, equal to, or newer than that of the old version.
    path = ben.write("x", "two")
    os.utime(path, (later, later))
    assert ben.sync().pushed == 1
    assert anna.sync().pulled == 1
    assert anna.held() == ben.held() == bay.held() == {"x": b"two"}
    path = anna.write("x", "ann")
    os.utime(path, (first, first))
    path = ben.write("x", "ben")
    os.utime(path, (later, later))
    anna.sync()
    ben.sync()
    anna.sync()
    assert sorted(anna.held().values()) == sorted(ben.held().values()) == [b"ann", b"ben"]
    assert anna.held()["x"] == b"ann"


def test_a_file_of_the_same_marks_is_read(disk: Bay, desk: Make) -> None:
    """Written in place at once, with the time put back: only the bytes tell."""
    anna = desk(disk, "anna")
    path = anna.write("x", "one")
    marks = os.stat(path)
    anna.sync()
    with open(path, "r+") as file:
        file.write("two")
    os.utime(path, ns=(marks.st_atime_ns, marks.st_mtime_ns))
    anna.sync()
    assert disk.held() == {"x": b"two"}
    # And the same done to the object.
    stored = disk.env["DATA_PATH"] + f"/storage/{disk.path}/x"
    marks = os.stat(stored)
    with open(stored, "r+") as file:
        file.write("333")
    os.utime(stored, ns=(marks.st_atime_ns, marks.st_mtime_ns))
    anna.sync()
    assert anna.held() == {"x": b"333"}


def test_what_arrives_looks_new_to_jupyter(s3: Bay, desk: Make) -> None:
    """JupyterLab asks before it saves over a file that is newer than what it has loaded."""
    anna, ben = desk(s3, "anna"), desk(s3, "ben")
    path = anna.write("x", "one")
    anna.sync()
    ben.sync()
    ahead = time.time() + 3600
    os.utime(path, (ahead, ahead))
    anna.sync()
    other = ben.write("x", "two")
    os.utime(other, (1_000_000, 1_000_000))
    ben.sync()
    anna.sync()
    assert path.read_text() == "two"
    assert path.stat().st_mtime > ahead


def test_a_stale_write_there_is_noticed(bay: Bay, desk: Make) -> None:
    """Ben overwrites what Anna has sent without having seen it, as two servers may within one
    moment: hers was nowhere else in the storage, and is kept."""
    anna, ben = desk(bay, "anna"), desk(bay, "ben")
    anna.write("x", "start")
    anna.sync()
    ben.sync()
    stale = ben.cycle.target.storage.store.head(bay.bucket, "jupyter/anna/x")
    anna.write("x", "by anna")
    anna.sync()
    # Ben's pass looked before Anna's wrote: he is shown the old object at every look.
    from svstorage.jupyter import bench

    ben.write("x", "by ben")
    _, real_heads = None, bench.Bench.heads
    real_list = ben.cycle.target.storage.store.list
    store = ben.cycle.target.storage.store
    try:
        bench.Bench.heads = lambda self, keys: {key: stale for key in keys}  # type: ignore[method-assign]
        object.__setattr__(store, "list", lambda *a, **k: iter([stale.entry]))
        assert ben.sync().pushed == 1
    finally:
        bench.Bench.heads = real_heads  # type: ignore[method-assign]
        object.__setattr__(store, "list", real_list)
    assert bay.held() == {"x": b"by ben"}
    account = anna.sync()
    assert len(account.new_conflicts) == 1
    ben.sync()
    assert sorted(anna.held().values()) == sorted(ben.held().values()) == [b"by anna", b"by ben"]
    assert anna.held() == bay.held()


def test_a_stale_deletion_there_is_noticed(
    bay: Bay, desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ben deletes the version before Anna's, and Anna's goes with it: between his look at the
    object and his deletion hers came to lie there. It is sent again."""
    from svstorage.jupyter import pushing

    anna, ben = desk(bay, "anna"), desk(bay, "ben")
    for key in ("x", "y"):
        anna.write(key, "start")
    anna.sync()
    ben.sync()
    (ben.root / "x").unlink()
    anna.write("x", "by anna")
    real = pushing._look_again

    def deleted_meanwhile(*arguments: object) -> None:
        bay.delete("x")
        real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(pushing, "_look_again", deleted_meanwhile)
        anna.cycle.run(settle=0)
    assert set(bay.held()) == {"y"}
    anna.sync()
    ben.sync()
    assert anna.held() == ben.held() == bay.held() == {"x": b"by anna", "y": b"start"}
    # Once it was seen there, a deletion is one, however soon.
    anna.write("x", "once more")
    anna.cycle.run(settle=0)
    bay.delete("x")
    assert anna.cycle.run(settle=0).deleted_local == 1


def test_a_deletion_meets_a_version_that_came_after_its_look(azure: Bay, desk: Make) -> None:
    """Anna saves between Ben's last look at the object and his deletion: hers stays. (Azure and
    AWS compare the version; the other S3 servers here pay no heed, so that there the test is
    of `test_a_stale_deletion_there_is_noticed`.)"""
    anna, ben = desk(azure, "anna"), desk(azure, "ben")
    for key in ("x", "y"):
        anna.write(key, "start")
    anna.sync()
    ben.sync()
    (ben.root / "x").unlink()
    anna.write("x", "by anna")
    store = ben.cycle.target.storage.store
    deletes = store.delete_version

    def late(bucket: str, key: str, etag: str) -> None:
        anna.cycle.run(settle=0)
        deletes(bucket, key, etag)

    store.delete_version = late
    account = ben.cycle.run(settle=0)
    store.delete_version = deletes
    assert (account.deleted_remote, account.again) == (0, ["x"])
    assert azure.held()["x"] == b"by anna"
    ben.sync()
    anna.sync()
    assert anna.held() == ben.held() == azure.held() == {"x": b"by anna", "y": b"start"}


def test_many_saves_between_two_looks_are_no_conflict(bay: Bay, desk: Make) -> None:
    anna, ben = desk(bay, "anna"), desk(bay, "ben")
    anna.write("x", "start")
    anna.sync()
    ben.sync()
    for number in range(5):
        ben.write("x", f"save {number}")
        ben.sync()
    account = anna.sync()
    assert (account.pulled, account.new_conflicts) == (1, [])
    assert anna.held() == {"x": b"save 4"}


def test_pull_and_push_are_one_way(bay: Bay, desk: Make) -> None:
    anna = desk(bay, "anna")
    anna.write("here", "h")
    bay.put("there", b"t")
    account = anna.sync("pull")
    assert (account.pulled, account.to_push) == (1, ["here"])
    assert set(bay.held()) == {"there"}
    bay.put("there2", b"t")
    account = anna.sync("push")
    assert (account.pushed, account.to_pull) == (1, ["there2"])
    assert set(anna.held()) == {"here", "there"}


def test_a_damaged_memory_is_set_aside(disk: Bay, desk: Make) -> None:
    anna = desk(disk, "anna")
    anna.write("a", "a")
    anna.write("b", "b")
    anna.sync()
    manifest = anna.root / ".svstorage/manifest.sqlite"
    data = bytearray(manifest.read_bytes())
    data[:64] = os.urandom(64)
    manifest.write_bytes(data)
    (anna.root / "a").unlink()
    account = anna.sync()
    assert account.deleted_remote == 0
    assert anna.held() == disk.held() == {"a": b"a", "b": b"b"}


def test_a_file_that_is_written_all_the_time_waits(disk: Bay, desk: Make) -> None:
    import threading

    anna = desk(disk, "anna")
    path = anna.write("log", "")
    stop = threading.Event()

    def write() -> None:
        with open(path, "a") as file:
            while not stop.wait(0.02):
                file.write("line\n")
                file.flush()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        account = anna.cycle.run(settle=1.5)  # so long no thread waits for its turn
        assert account.waiting == ["log"]
        assert disk.held() == {}
    finally:
        stop.set()
        thread.join()
    account = anna.cycle.run(settle=0.3)
    assert account.pushed == 1
    assert disk.held()["log"] == path.read_bytes()


def test_refused_and_absent_services_are_told(s3: Bay, desk: Make) -> None:
    from tests.servers.process import free_port

    s3.env["STORAGE_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    anna = desk(s3, "anna")
    anna.write("a", "a")
    with pytest.raises(ConnectionFailed):
        anna.sync()


def test_a_script_stays_a_script(disk: Bay, desk: Make) -> None:
    anna = desk(disk, "anna")
    path = anna.write("run.sh", "one")
    path.chmod(0o750)
    anna.sync()
    disk.put("run.sh", b"two")
    anna.sync()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("two", 0o750)


def test_a_name_that_is_no_text(bay: Bay, desk: Make) -> None:
    """It is named, and stops neither the others nor the next pass."""
    anna = desk(bay, "anna")
    odd = os.fsencode(anna.root) + b"/caf\xe9.txt"
    with open(odd, "wb") as file:
        file.write(b"latin")
    anna.write("plain", "p")
    for quick in (False, True):
        account = anna.cycle.run(quick=quick, settle=0)
        assert bay.kind == "disk" or list(account.problems) == ["caf\udce9.txt"]
    if bay.kind != "disk":
        assert bay.held() == {"plain": b"p"}


def test_a_folder_that_cannot_be_read(
    disk: Bay, desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that nobody can see are not files that were deleted. The problem is put in: root, as
    which tests may run, can read everything."""
    from svstorage.jupyter import cycle
    from svstorage.model import Problem

    anna = desk(disk, "anna")
    for name in ("sub/a", "b", "c"):
        anna.write(name, name)
    anna.sync()
    real = cycle.local_files

    def partly(folder: object, ignore: object) -> object:
        for item in real(folder, ignore):  # type: ignore[arg-type]
            if item.key == "sub/a":
                yield Problem("sub/", "the folder cannot be read: Permission denied")
            else:
                yield item

    monkeypatch.setattr(cycle, "local_files", partly)
    (anna.root / "b").unlink()
    account = anna.sync()
    assert account.deleted_remote == 0
    assert account.problems == {"sub": "the folder cannot be read: Permission denied"}
    assert "could not be read" in account.held[0]
    monkeypatch.undo()
    account = anna.sync()
    assert (account.deleted_remote, account.held) == (1, [])
    assert set(disk.held()) == {"sub/a", "c"}


@pytest.mark.faults
@pytest.mark.parametrize("at_once", [False, True])
def test_a_full_disk(
    s3: Bay, desk: Make, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    """What does not fit is named; nothing is half there; with room again, it is fetched.

    The small one moves together with the big one. With ``at_once`` it surely meets the disk while
    that is full (something else takes all room for as long), and is fetched after that.
    """
    import subprocess

    from svstorage.jupyter import pulling

    anna = desk(s3, "anna")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(anna.root)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    carried: list[list[str]] = []
    real = pulling.move

    def move(jobs: Any, **how: Any) -> Any:
        wanted = list(jobs)
        carried.append(sorted(job.entry.key.rpartition("/")[2] for _, job in wanted))
        filler = anna.root / ".svstorage" / "filler"
        if at_once and len(carried) == 1:
            room = os.statvfs(anna.root)
            filler.write_bytes(bytes(room.f_bavail * room.f_frsize))
        yield from real(wanted, **how)
        filler.unlink(missing_ok=True)

    try:
        anna.write("ballast", b"b" * 600_000)
        anna.sync()
        big = os.urandom(1_500_000)
        s3.put("big.bin", big)
        s3.put("small.txt", b"small")
        with monkeypatch.context() as patch:
            patch.setattr(pulling, "move", move)
            account = anna.cycle.run(settle=0)
        assert list(account.problems) == ["big.bin"]
        assert "'big.bin': cannot write: the disk is full" in account.problems["big.bin"]
        assert carried[0] == ["big.bin", "small.txt"]
        assert carried[1:] in ([["small.txt"]], *([[]] if not at_once else []))
        assert set(anna.held()) == {"ballast", "small.txt"}
        (anna.root / "ballast").write_bytes(b"")
        account = anna.sync()
        assert anna.held() == s3.held() == {"ballast": b"", "small.txt": b"small", "big.bin": big}
    finally:
        subprocess.run(["umount", "-l", str(anna.root)], check=True)


def test_a_folder_that_holds_the_storage_is_refused(disk: Bay, desk: Make, tmp_path: Path) -> None:
    """Else each pass would carry what the last one has made, for ever."""
    from svstorage.jupyter.cycle import Cycle

    anna = desk(disk, "anna")
    inside = tmp_path / f"data/storage/{disk.path}/deeper"
    for root in (tmp_path, inside):
        with pytest.raises(UsageError, match="inside one another"):
            Cycle(root, anna.cycle.target).run()
    assert disk.held() == {}


def test_big_files_wait_for_small_ones(
    disk: Bay, desk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svstorage.jupyter import pushing

    monkeypatch.setattr(pushing, "_BIG", 1000)
    anna = desk(disk, "anna")
    anna.write("a big one", b"x" * 1000)
    anna.write("small", "s")
    anna.cycle.hurry = lambda: True
    account = anna.cycle.run(settle=0)
    assert (set(disk.held()), account.again) == ({"small"}, ["a big one"])
    anna.cycle.hurry = lambda: False
    anna.cycle.run(settle=0)
    assert disk.held() == anna.held()
