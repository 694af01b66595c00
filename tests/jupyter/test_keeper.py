"""The thread that keeps a folder in step: hears, asks, waits, catches up, and ends well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svstorage.jupyter.keeper import Keeper
from svstorage.jupyter.status import read_status
from tests.servers.faultproxy import stall, status

from .conftest import Bay, Desk

Keep = Callable[..., Keeper]


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def keep() -> Iterator[Keep]:
    keepers: list[Keeper] = []

    def start(desk: Desk) -> Keeper:
        keeper = Keeper(desk.cycle)
        keepers.append(keeper)
        keeper.start()
        wait_until(lambda: keeper.status.last_pass or keeper.status.state == "offline")
        return keeper

    yield start
    for keeper in keepers:
        if keeper._thread.is_alive():
            keeper.stop(5)


def test_saves_go_up_and_changes_come_down(bay: Bay, desk: Callable, keep: Keep) -> None:
    anna = desk(bay, "anna", poll=0.5, settle=0.1, debounce=0.1)
    keeper = keep(anna)
    draft = anna.write(".~x.ipynb", "saved as Jupyter does")
    draft.rename(anna.root / "x.ipynb")
    wait_until(lambda: bay.held() == {"x.ipynb": b"saved as Jupyter does"})
    bay.put("y.ipynb", b"from elsewhere")
    wait_until((anna.root / "y.ipynb").exists)
    (anna.root / "x.ipynb").unlink()
    wait_until(lambda: set(bay.held()) == {"y.ipynb"})
    wait_until(lambda: keeper.status.state == "in step")
    seen = read_status(anna.root)
    assert (seen.watching, seen.pid, seen.in_step) == (True, os.getpid(), 1)


def test_half_a_file_is_not_sent(s3: Bay, desk: Callable, keep: Keep) -> None:
    anna = desk(s3, "anna", poll=60, settle=1.5, debounce=0.1)
    keep(anna)
    for number in range(10):
        name, pauses, before = f"slow-{number}.csv", [], time.monotonic()
        with open(anna.root / name, "w") as file:
            for _ in range(15):
                file.write("x" * 50 + "\n")
                file.flush()
                time.sleep(0.2)
                pauses.append(time.monotonic() - before)
                before = time.monotonic()
        held = s3.held()
        pauses.append(time.monotonic() - before)
        if max(pauses) < 1:  # else this machine was so busy that the file did stand still
            assert name not in held
            break
    else:
        pytest.skip("the machine is too busy")
    wait_until(lambda: s3.held().get(name) == b"".join([b"x" * 50 + b"\n"] * 15))


def test_offline_work_is_caught_up(
    s3: Bay, desk: Callable, keep: Keep, fault_proxy: Callable
) -> None:
    proxy = fault_proxy(s3.server.endpoint)
    s3.env = s3.server.at(proxy.endpoint).env()
    anna = desk(s3, "anna", poll=0.3, settle=0.1, debounce=0.1)
    keeper = keep(anna)
    gone = status(503)
    proxy.rules.append(gone)
    wait_until(lambda: keeper.status.state == "offline", 60)
    for number in range(3):
        anna.write(f"{number}.ipynb", "written offline")
    before = len(proxy.requests)
    time.sleep(2)
    assert len(proxy.requests) - before < 20, "it does not hammer a storage that is away"
    assert read_status(anna.root).state == "offline"
    wait_until(lambda: read_status(anna.root).pending == [f"{n}.ipynb" for n in range(3)])
    proxy.rules.remove(gone)
    wait_until(lambda: len(s3.held()) == 3, 60)
    wait_until(lambda: keeper.status.state == "in step")


def test_the_last_save_is_flushed(bay: Bay, desk: Callable, keep: Keep) -> None:
    anna = desk(bay, "anna", poll=60, settle=5, debounce=5)
    keeper = keep(anna)
    anna.write("last.ipynb", "one second before the end")
    assert keeper.stop(60) == []
    assert bay.held() == {"last.ipynb": b"one second before the end"}
    seen = read_status(anna.root)
    assert (seen.state, seen.watching) == ("stopped", False)


def test_what_is_not_flushed_is_told_and_picked_up(
    s3: Bay, desk: Callable, keep: Keep, fault_proxy: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = fault_proxy(s3.server.endpoint)
    s3.env = s3.server.at(proxy.endpoint).env()
    anna = desk(s3, "anna", poll=60, settle=5, debounce=5)
    keeper = keep(anna)
    anna.write("last.ipynb", "the storage is away")
    slow = stall("request-head", seconds=12)
    proxy.rules.append(slow)
    begun = time.monotonic()
    left = keeper.stop(1.5)
    assert left == ["last.ipynb"]
    assert time.monotonic() - begun < 12  # it did not wait for the storage
    assert "last.ipynb" in caplog.text
    seen = read_status(anna.root)
    assert seen.pending == ["last.ipynb"]
    assert "next start" in seen.message
    proxy.rules.clear()
    keep(anna)
    wait_until(lambda: s3.held() == {"last.ipynb": b"the storage is away"})


def test_conflicts_show_in_the_status(disk: Bay, desk: Callable, keep: Keep) -> None:
    anna, ben = desk(disk, "anna", poll=0.3, settle=0.1), desk(disk, "ben")
    anna.write("x", "start")
    keeper = keep(anna)
    wait_until(disk.held)
    ben.sync()
    ben.write("x", "ben")
    path = anna.write("y", "busy")
    ben.sync()
    ben.write("x", "ben again")
    anna.write("x", "anna")
    wait_until(lambda: disk.held()["x"] in (b"anna", b"ben"))
    ben.sync()
    wait_until(lambda: keeper.status.state == "conflict")
    (one,) = keeper.status.conflicts
    assert one["original"] == "x"
    (anna.root / one["key"]).unlink()
    wait_until(lambda: keeper.status.state == "in step")
    assert path.exists()


_SCANS = """
import sys, threading, time, logging
from pathlib import Path
from svstorage.jupyter.watching import Watcher
from svstorage.jupyter.place import Options
logging.basicConfig()
heard = threading.Event()
watcher = Watcher(Path(sys.argv[1]), Options(scan=0.2, debounce=0.1), heard.set)
watcher.start()
end = time.monotonic() + 40
while not watcher.scans and time.monotonic() < end:
    time.sleep(0.05)
print("scans", watcher.scans, "heard", heard.wait(15))
"""


def test_without_watches_the_folder_is_walked(tmp_path: Path) -> None:
    """In a user namespace that may have two watches, over a folder that needs more."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not here")
    folder = tmp_path / "many"
    for number in range(20):
        (folder / str(number)).mkdir(parents=True)
    limit = 'echo 2 > /proc/sys/user/max_inotify_watches && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", limit, "sh",
               sys.executable, "-c", _SCANS, str(folder)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr or "/proc/sys/user" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert "scans True heard True" in done.stdout, done.stderr
    assert "is walked every 0.2 seconds" in done.stderr


def test_a_watcher_leaves_ignored_folders_alone(tmp_path: Path) -> None:
    from svstorage.jupyter.place import Options
    from svstorage.jupyter.watching import Watcher

    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    heard = threading.Event()
    watcher = Watcher(tmp_path, Options(debounce=0.1), heard.set)
    watcher.start()

    def is_at_work() -> bool:
        (tmp_path / "sub/probe").write_text("x")
        return heard.wait(0.5)

    wait_until(is_at_work)
    while heard.wait(1):  # until it has told all of that
        heard.clear()
    (tmp_path / ".git/index").write_text("x")
    (tmp_path / ".svstorage").mkdir()
    (tmp_path / ".svstorage/status.json").write_text("x")
    assert not heard.wait(1)
    (tmp_path / "sub/x.ipynb").write_text("x")
    assert heard.wait(60)
    watcher.stop()
    heard.clear()
    (tmp_path / "sub/x.ipynb").write_text("y")
    assert not heard.wait(0.5)


def test_another_folder_in_its_place_is_left_alone(disk: Bay, desk: Callable, keep: Keep) -> None:
    """The disk was unmounted while the server ran: what lies below is not the folder."""
    anna = desk(disk, "anna", poll=0.2, settle=0)
    anna.write("a", "a")
    keeper = keep(anna)
    wait_until(disk.held)
    away = anna.root.with_name("away")
    anna.root.rename(away)
    anna.root.mkdir()
    wait_until(lambda: keeper.status.state == "problem")
    assert "still mounted" in keeper.status.message
    time.sleep(0.5)
    assert disk.held() == {"a": b"a"}
    assert anna.held() == {}
    import shutil as tools

    tools.rmtree(anna.root)
    away.rename(anna.root)
    wait_until(lambda: keeper.status.state == "in step")


def test_saves_without_end_do_not_hide_the_storage(disk: Bay, desk: Callable, keep: Keep) -> None:
    anna = desk(disk, "anna", poll=1, settle=0, debounce=0.05)
    keep(anna)
    disk.put("there.txt", b"from elsewhere")
    end = time.monotonic() + 60
    number = 0
    while not (anna.root / "there.txt").exists():
        assert time.monotonic() < end
        number += 1
        anna.write("busy.log", f"line {number}")
        time.sleep(0.1)


def test_two_servers_come_to_rest(disk: Bay, desk: Callable, keep: Keep) -> None:
    """On one prefix, both saving, also the same file: then both have all, and nothing moves."""
    options = {"poll": 0.3, "settle": 0.1, "debounce": 0.1}
    desks = [desk(disk, name, **options) for name in ("anna", "ben")]
    keepers = [keep(one) for one in desks]
    seen: set[bytes] = set()
    """What somebody had in the folder and wrote over: no version that could be missed."""
    for number in range(5):
        for one in desks:
            seen.add(one.held().get("shared.ipynb", b""))
            one.write("shared.ipynb", f"{one.root.name} {number}")
            one.write(f"{one.root.name}.ipynb", f"{number}")
            time.sleep(0.15)

    def alike() -> bool:
        states = {keeper.status.state for keeper in keepers}
        held = disk.held()
        return states <= {"in step", "conflict"} and all(one.held() == held for one in desks)

    def counted() -> list[tuple[int, int]]:
        return [(keeper.status.pushed, keeper.status.pulled) for keeper in keepers]

    def at_rest() -> bool:
        before, held = counted(), disk.held()
        time.sleep(1.5)  # several passes of each
        return alike() and counted() == before and disk.held() == held

    wait_until(alike)
    wait_until(at_rest)
    held = disk.held()
    assert {"anna.ipynb", "ben.ipynb", "shared.ipynb"} <= set(held)
    assert {b"anna 4", b"ben 4"} - seen <= set(held.values())
