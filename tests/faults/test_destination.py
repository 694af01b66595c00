"""The local disk as the destination: full, forbidden, read-only, with things in the way."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.command import MINIATURE
from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import KIB, LocalSide, sample

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 4 MiB and 60 inodes."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a tmpfs")
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=60", "none", str(place)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@row(
    "M25",
    "the destination's disk is full",
    "exit 1, named; no file under that name, no leftovers; with more room a re-run completes",
    contract="1 4",
)
@pytest.mark.parametrize("size", [60 * KIB, 900 * KIB, 1400 * KIB])
def test_full_disk(size: int, small_disk: Path, journey: MakeJourney, seed: int) -> None:
    copy = journey("down-s3", proxy=False)
    copy.destination = LocalSide(small_disk / "data")
    copy.destination.root.mkdir()
    count = 5_000 * KIB // size
    draw = random.Random(seed)
    big = {f"big{n:02}.bin": draw.randbytes(size) for n in range(min(count, 40))}
    for n in range(count - len(big)):
        big[f"x{n:02}.bin"] = draw.randbytes(size)
    big = dict(list(big.items())[:45])
    if len(big) < count:
        big["huge.bin"] = draw.randbytes(5_000 * KIB - sum(map(len, big.values())))
    copy.fill({"small": b"s", **big})
    done = copy.run("--retries", "0")
    assert done.code == 1, done.explained
    found = copy.check(done, 1, left=size > 1024 * KIB or "huge.bin" in big)
    assert found["small"] == b"s"
    failed = copy.failed_keys()
    assert failed
    assert any("full" in reason.lower() for reason in failed.values()), failed
    assert set(found) == set(copy.tree) - set(failed)
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    copy.again()


@row("M26", "no room (ENOSPC, EDQUOT, EIO) only at fsync, at rename, in the journal",
     "as for a full disk", contract="1 4")  # fmt: skip
@pytest.mark.parametrize(
    ("call", "code"),
    [("os:fsync", "ENOSPC"), ("os:fsync", "EDQUOT"), ("os:fsync", "EIO"), ("os:rename", "ENOSPC"),
     ("os:fdatasync", "ENOSPC"), ("os:pwrite", "ENOSPC"), ("os:write", "ENOSPC")],
)  # fmt: skip
def test_fails_late(call: str, code: str, journey: MakeJourney, seed: int) -> None:
    before = {"m/streamed.bin": b"old", "m/parts.bin": b"old"}
    copy = journey("down-s3", sample(seed, small=6), before=before, proxy=False)
    done = copy.run("--retries", "0", tweaks={**MINIATURE, "fail": [call, 2, code, 2]})
    if done.code == 0:
        pytest.skip(f"this way never calls {call}")
    found = copy.check(done, 1, left=True)
    failed = copy.failed_keys()
    assert 1 <= len(failed) <= 2
    # Parts of a big file may wait for the next run, a failed file of one piece may not.
    assert not [path for path in copy.destination.leftovers() if ".svstorage-tmp-" in path]
    for key, data in copy.tree.items():
        if key not in failed:
            assert found[key] == data
    copy.again()


@row("M26j", "the journal's disk is full or read-only", "a word about it; the copy goes on; exit 0",
     contract="3")  # fmt: skip
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_journal_has_no_room(how: str, small_disk: Path, journey: MakeJourney, seed: int) -> None:
    copy = journey("down-s3", sample(seed, small=6), proxy=False)
    state = small_disk / "state"
    state.mkdir()
    if how == "full":
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = copy.run(env={"SVSTORAGE_STATE_PATH": str(state)})
    copy.check(done, 0)
    assert "journal" in done.stdout + done.stderr


@row("M27", "the destination is read-only, out of inodes, forbidden", "exit 1 or 3, says why")
@pytest.mark.parametrize("how", ["read-only", "inodes", "forbidden"])
def test_cannot_write(how: str, small_disk: Path, journey: MakeJourney, seed: int) -> None:
    copy = journey("down-s3", proxy=False)
    copy.destination = LocalSide(small_disk / "data")
    copy.destination.root.mkdir()
    copy.fill({f"k{n:03}": b"k" for n in range(100)})
    ordinary = False
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    elif how == "forbidden":
        copy.destination.root.chmod(0o555)
        ordinary = True
    done = copy.run("--retries", "0", ordinary=ordinary)
    copy.check(done, {1, 3})
    words = {"read-only": "read-only", "inodes": "full", "forbidden": "permission"}
    assert words[how] in (done.stdout + done.stderr).lower(), done.explained
    subprocess.run(["mount", "-o", "remount,rw,nr_inodes=1000", str(small_disk)], check=True)
    copy.destination.root.chmod(0o777)
    copy.again(ordinary=ordinary)


@row("M28", "a symbolic link in the destination on the way to a key", "exit 1, named; nothing is "
     "written through it", contract="1")  # fmt: skip
@pytest.mark.parametrize("victim", ["link/evil", "link/deep/evil", "file-link"])
@pytest.mark.parametrize("size", [10, 200 * KIB, 1500 * KIB])
def test_link_in_destination(victim: str, size: int, journey: MakeJourney, tmp_path: Path) -> None:
    copy = journey("down-s3", {"good": b"g", victim: b"v" * size}, proxy=False)
    outside = tmp_path / "elsewhere"
    copy.watch(outside / "canary")
    assert isinstance(copy.destination, LocalSide)
    (copy.destination.root / "link").symlink_to(outside)
    (copy.destination.root / "file-link").symlink_to(outside / "canary")
    done = copy.run()
    assert (outside / "canary").read_bytes() == b"canary\n"
    assert [p.name for p in outside.iterdir()] == ["canary"]
    if victim == "file-link":  # the link itself is replaced, as rename(2) does
        assert done.code == 0, done.explained
        assert not (copy.destination.root / "file-link").is_symlink()
    else:
        copy.failed_only(done, victim)


@row("M29", "a link swapped in for a folder, over and over, while a copy writes there",
     "nothing is ever written outside", contract="1")  # fmt: skip
def test_link_race(journey: MakeJourney, tmp_path: Path, seed: int) -> None:
    copy = journey("down-s3", {f"d/f{n:03}": b"f" for n in range(300)}, proxy=False)
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    assert isinstance(copy.destination, LocalSide)
    folder, stop = copy.destination.root / "d", threading.Event()
    link = tmp_path / "link"
    link.symlink_to(outside)
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        while not stop.is_set():
            try:
                os.rename(folder, f"{folder}-aside")
                os.rename(link, folder)
                os.rename(folder, link)
                os.rename(f"{folder}-aside", folder)
                swaps += 1
            except OSError:
                for one, two in ((folder, link), (f"{folder}-aside", folder)):
                    try:
                        if one == folder and not folder.is_symlink():
                            continue
                        os.rename(one, two)
                    except OSError:
                        continue

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(4):
            copy.run("--on-exists", "overwrite", "--retries", "0", "--journal", "none")
    finally:
        stop.set()
        swapper.join()
    print(f"{swaps} swaps")
    assert list(outside.iterdir()) == []


@row("M30", "in the place of the file: a folder, a FIFO, a file with a reader, a hard link",
     "folder: named; else replaced, and the reader and the other link keep the old bytes",
     contract="1")  # fmt: skip
@pytest.mark.parametrize("size", [10, 200 * KIB, 1500 * KIB])
def test_something_in_the_way(size: int, journey: MakeJourney, tmp_path: Path) -> None:
    tree = {name: b"n" * size for name in ("folder", "fifo", "read", "hard")}
    copy = journey("down-s3", tree, proxy=False)
    assert isinstance(copy.destination, LocalSide)
    root = copy.destination.root
    (root / "folder").mkdir()
    (root / "folder" / "inside").write_bytes(b"i")
    copy.before["folder/inside"] = b"i"
    os.mkfifo(root / "fifo")
    (root / "read").write_bytes(b"old")
    (root / "hard").write_bytes(b"old")
    os.link(root / "hard", tmp_path / "other")
    with (root / "read").open("rb") as reader:
        done = copy.run(timeout=20)
        assert reader.read() == b"old"
    assert (tmp_path / "other").read_bytes() == b"old"
    assert done.code == 1, done.explained
    failed = set(copy.failed_keys())
    assert "folder" in failed
    assert failed <= {"folder", "fifo"}
    found = copy.destination.read()
    assert found["read"] == found["hard"] == b"n" * size


@row("M31", "at most 64 open files", "waits instead of failing; exit 0")
@pytest.mark.parametrize("way", ["up-s3", "down-s3", "s3-azure"])
def test_few_open_files(way: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=120), proxy=False)
    done = copy.run(limits={"RLIMIT_NOFILE": 64})
    copy.check(done, 0)
