"""The local disk as source and as destination: full, forbidden, changing, full of odd things."""

from __future__ import annotations

import os
import random
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import MINIATURE, Cli, Done
from tests.faults.journey import Journey, difference
from tests.faults.rows import row
from tests.faults.sides import KIB, LocalSide, Tree, sample
from tests.servers.faultproxy import throttle

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]


def names_only(copy: Journey, done: Done, *keys: str, left: bool = False) -> Tree:
    """Exit 1, exactly these failed by name, everything else is there."""
    found = copy.check(done, 1, left=left)
    assert set(copy.failed_keys()) == set(keys), done.explained
    assert not set(copy.tree) - set(found) - set(keys)
    return found


# -- the source ----------------------------------------------------------------------------------


def odd_things(root: Path) -> dict[str, str]:
    """Makes one of each; name to a word of what must be said about it."""
    os.mkfifo(root / "fifo")
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(root)  # the path of a socket has 107 bytes at most
    try:
        server.bind("socket")
    finally:
        os.chdir(here)
        server.close()
    made = {"fifo": "pipe", "socket": "socket"}
    if os.geteuid() == 0:
        os.mknod(root / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))  # like /dev/zero
        made["device"] = "device"
    return made


@row(
    "M16",
    "a FIFO, a socket, a device in the source",
    "never opened; each told with a word; the rest copied",
)
def test_odd_things(journey: MakeJourney, seed: int) -> None:  # fmt: skip
    copy = journey("up-s3", sample(seed, big=False), proxy=False)
    assert isinstance(copy.source, LocalSide)
    made = odd_things(copy.source.root)
    done = copy.run(timeout=20)
    assert done.code in (0, 1), done.explained
    assert not difference(copy.tree, copy.destination.read())
    told = {r["key"]: r for r in copy.report}
    for name, word in made.items():
        assert word in (told[name]["reason"] or "") + (told[name]["error"] or ""), told[name]
    copy.adds_up(done)


@row(
    "M17",
    "symbolic links: to a file, a folder, outside, dangling, in a loop",
    "by --links: followed within the source, skipped, or copied as links; never outside",
)
@pytest.mark.parametrize("policy", ["follow", "skip", "copy"])
def test_links(policy: str, journey: MakeJourney, side: Any, tmp_path: Path) -> None:
    copy = journey("up-s3", proxy=False)
    copy.destination = side("local")
    copy.fill({"real/one": b"1", "real/two": b"2"})
    assert isinstance(copy.source, LocalSide)
    assert isinstance(copy.destination, LocalSide)
    source, root = copy.source.root, copy.destination.root
    secret = tmp_path / "outside" / "secret"
    copy.watch(secret, b"not to be copied\n")
    (source / "file").symlink_to("real/one")
    (source / "folder").symlink_to("real")
    (source / "outside").symlink_to(secret)
    (source / "outside-folder").symlink_to(secret.parent)
    (source / "dangling").symlink_to("nowhere")
    (source / "loop").symlink_to(".")
    done = copy.run("--links", policy, timeout=20)
    assert done.code in (0, 1), done.explained
    found = copy.destination.read()
    assert b"not to be copied\n" not in found.values()
    assert found["real/one"] == b"1"
    if policy == "follow":
        assert done.code == 1, "what could not be followed is a failure"
        assert found["file"] == b"1"
        assert found["folder/two"] == b"2"
        assert {"outside", "dangling"} <= {k.rstrip("/") for k in copy.failed_keys()}
    elif policy == "skip":
        assert set(found) == {"real/one", "real/two"}
    else:
        assert os.readlink(root / "file") == "real/one"
        assert os.readlink(root / "dangling") == "nowhere"
    assert not (root / "outside").is_file() or policy == "copy"
    copy.adds_up(done)


@row("M18", "a file that shrinks, grows, is replaced or vanishes while it is copied",
     "copied again or named; never a short or mixed object", contract="7")  # fmt: skip
@pytest.mark.parametrize("how", ["shrinks", "grows", "replaced", "rewritten", "vanishes"])
@pytest.mark.parametrize("size", [200 * KIB, 3000 * KIB])
def test_changes_while_copied(how: str, size: int, journey: MakeJourney, seed: int) -> None:
    copy = journey("up-s3", {"other": b"x", "victim.bin": random.Random(seed).randbytes(size)})
    assert isinstance(copy.source, LocalSide)
    assert copy.proxy is not None
    path = copy.source.root / "victim.bin"
    old = path.read_bytes()
    copy.proxy.rules.append(
        throttle("request-body", rate=300 * KIB, path=r"victim", method="PUT", times=4)
    )
    running = copy.start("--retries", "3")
    until(lambda: any("victim" in r.target for r in copy.proxy.requests))  # type: ignore[union-attr]
    time.sleep(0.15)
    new = old
    if how == "shrinks":
        new = old[: size // 2]
        os.truncate(path, size // 2)
    elif how == "grows":
        new = old + b"more"
        with path.open("ab") as file:
            file.write(b"more")
    elif how == "replaced":
        new = b"N" * size
        (copy.source.root / "fresh").write_bytes(new)
        os.replace(copy.source.root / "fresh", path)
    elif how == "rewritten":
        new = b"N" * size
        with path.open("r+b") as file:
            file.write(new)
    else:
        path.unlink()
    done = running.wait()
    found = copy.destination.read()
    assert found["other"] == b"x"
    assert found.get("victim.bin") in (None, old, new), "a mixture"
    assert done.code in (0, 1), done.explained
    if how == "vanishes":
        return
    if done.code == 1:
        assert set(copy.failed_keys()) == {"victim.bin"}
    copy.tree["victim.bin"] = new
    copy.again()


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@row("M19", "a file changed with size and time put back", "noticed by its inode change time",
     contract="7")  # fmt: skip
@pytest.mark.parametrize("to", ["s3", "local"])
def test_times_put_back(to: str, journey: MakeJourney, side: Any) -> None:
    copy = journey("up-s3", proxy=False)
    copy.destination = side(to)
    copy.fill({"a": b"first!", "b": b"b"})
    copy.check(copy.run(), 0)
    assert isinstance(copy.source, LocalSide)
    time.sleep(0.02)  # the clock of the file system ticks every few milliseconds
    path = copy.source.root / "a"
    before = path.stat()
    path.write_bytes(b"second")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.tree["a"] = b"second"
    copy.check(copy.run(), 0)


@row(
    "M20",
    "no permission on one file, on one folder",
    "named; exit 1; the rest copied; no deletion",
    contract="4 8",
)
def test_unreadable(journey: MakeJourney, side: Any, tmp_path: Path) -> None:
    copy = journey("up-s3", proxy=False)
    copy.fill({"good": b"g", "bad": b"b", "closed/x": b"x", "z": b"z"}, before={"extra": b"e"})
    assert isinstance(copy.source, LocalSide)
    (copy.source.root / "bad").chmod(0)
    (copy.source.root / "closed").chmod(0)
    done = copy.run("--delete", ordinary=True)
    (copy.source.root / "closed").chmod(0o755)
    assert done.code == 1, done.explained
    found = copy.destination.read()
    assert found == {"good": b"g", "z": b"z", "extra": b"e"}
    failed = {key.rstrip("/") for key in copy.failed_keys()}
    assert failed == {"bad", "closed"}


@row("M21", "a sparse file", "its content is equal, memory stays flat")
def test_sparse(journey: MakeJourney, side: Any) -> None:
    copy = journey("up-s3", proxy=False)
    copy.destination = side("local")
    copy.fill({"small": b"s"})
    assert isinstance(copy.source, LocalSide)
    assert isinstance(copy.destination, LocalSide)
    with (copy.source.root / "holes").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(500_000_000)
        file.write(b"island")
    done = copy.run(tweaks={}, timeout=60)
    assert done.code == 0, done.explained
    held = copy.destination.root / "holes"
    assert held.stat().st_size == 1 << 30
    with held.open("rb") as file:
        file.seek(500_000_000)
        assert file.read(6) == b"island"
        file.seek(900_000_000)
        assert file.read(1000) == bytes(1000)


@row("M22", "the disk fails to read (EIO)", "named; exit 1; no object", contract="4")
@pytest.mark.parametrize("call", ["os:read", "os:readv"])
def test_read_error(call: str, journey: MakeJourney, seed: int) -> None:
    copy = journey("up-s3", {"one.bin": b"1" * 200 * KIB}, proxy=False)
    done = copy.run(tweaks={**MINIATURE, "fail": [call, 1, "EIO", 10_000]})
    if done.code == 0:
        pytest.skip(f"files of this size are not read by {call}")
    copy.check(done, 1)
    assert not copy.destination.read()
    copy.again()


@row(
    "M23", "folders renamed and removed while they are listed", "no crash; what is missing is named"
)
def test_tree_in_motion(journey: MakeJourney, seed: int) -> None:  # fmt: skip
    copy = journey("up-s3", proxy=False)
    tree = {f"d{n % 20:02}/f{n:03}": b"%d" % n for n in range(400)}
    copy.fill(tree)
    assert isinstance(copy.source, LocalSide)
    root, stop = copy.source.root, threading.Event()
    draw = random.Random(seed)

    def move() -> None:
        while not stop.is_set():
            name = root / f"d{draw.randrange(20):02}"
            other = root / f"{name.name}-moved"
            try:
                if name.exists():
                    name.rename(other)
                    if draw.random() < 0.2:
                        shutil.rmtree(other)
                elif other.exists():
                    other.rename(name)
            except OSError:
                continue

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(3):
            done = copy.run("--delete", "--max-delete", "400")
            assert done.code in (0, 1), done.explained
            assert "internal error" not in done.stderr
            copy.adds_up(done)
    finally:
        stop.set()
        mover.join()
    for key, data in copy.destination.read().items():
        assert data == b"%d" % int(key[-3:])
    copy.tree = copy.source.read()
    copy.again("--delete", "--max-delete", "400")


# -- the destination -----------------------------------------------------------------------------


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
        names_only(copy, done, victim)


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


@row("D1", "empty files, empty folders, hard links, names of 255 bytes, deep paths, odd names",
     "copied exactly, up and down again")  # fmt: skip
def test_odd_names_round_trip(journey: MakeJourney, side: Any, cli: Cli) -> None:
    copy = journey("up-s3", server="moto_server", proxy=False)
    tree: Tree = {
        "empty": b"",
        "n" * 255: b"255",
        "é" * 127: b"254 bytes",
        "/".join(["deep"] * 60): b"d",
        "-rf": b"option",
        "*[x]?": b"glob",
        "file#1": b"#",
        "x.partial": b"p",
        ".svstorage-tmp-x": b"looks like ours",
        "CON": b"c",
        "a.": b"dot",
        " blank ": b"b",
        "tab\tnew\nline\x1b": b"control",
        "e\u0301": b"NFD",
        "\u00e9": b"NFC",
        "A": b"upper",
        "a": b"lower",
        "%2F%20+&": b"percent",
        "back\\slash": b"\\",
        "\u202egnp": b"bidi",
    }
    copy.fill(tree)
    assert isinstance(copy.source, LocalSide)
    os.link(copy.source.root / "A", copy.source.root / "linked")
    copy.tree["linked"] = b"upper"
    copy.check(copy.run(), 0)
    back = Journey(cli, copy.destination, side("local"), secrets=copy.secrets)
    back.tree = copy.tree
    back.runs = copy.runs
    back.check(back.run(), 0)


@row("D2", "a file name that is not UTF-8; a path over 4,096 bytes; names of 256 bytes",
     "named with escapes; exit 1; the rest copied", contract="4")  # fmt: skip
def test_impossible_names(journey: MakeJourney, side: Any) -> None:
    copy = journey("up-s3", {"good": b"g"}, proxy=False)
    assert isinstance(copy.source, LocalSide)
    odd = os.fsencode(copy.source.root) + b"/\xff\xfe"
    with open(odd, "wb") as file:
        file.write(b"odd")
    done = copy.run()
    assert done.code == 1, done.explained
    assert copy.destination.read() == {"good": b"g"}
    assert "\udcff" not in done.stderr
    assert len(copy.failed_keys()) == 1
    down = journey("down-s3", server="moto_server", proxy=False)
    down.fill({"good": b"g", "n" * 256: b"n", "/".join(["d" * 200] * 5): b"deep"})
    assert isinstance(down.destination, LocalSide)
    down.destination.root = Path(f"{down.destination.root}/{'/'.join(['p' * 200] * 16)}")
    names_only(down, down.run(), "n" * 256, "/".join(["d" * 200] * 5))
