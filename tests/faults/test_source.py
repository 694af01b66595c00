"""The local disk as the source: changing, forbidden, full of odd things."""

from __future__ import annotations

import os
import random
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import MINIATURE
from tests.faults.journey import Journey, difference
from tests.faults.rows import row
from tests.faults.sides import KIB, LocalSide, sample
from tests.servers.faultproxy import throttle

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]


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
