"""Days in the life of a folder that a server keeps in step: what people do to it, and what happens
to the storage meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest

from svstorage.jupyter.keeper import Keeper
from svstorage.jupyter.names import conflict_of
from tests.servers.faultproxy import FaultProxy, cut, status

from .conftest import Bay, Desk
from .test_keeper import Keep, keep, wait_until  # noqa: F401 - a fixture

Make = Callable[..., Desk]
QUICK = {"poll": 0.5, "settle": 0.1, "debounce": 0.1}


@pytest.fixture
def proxied(s3: Bay, fault_proxy: Callable[..., FaultProxy]) -> FaultProxy:
    """The proxy between the folder and its storage."""
    proxy = fault_proxy(s3.server.endpoint)
    s3.env = s3.server.at(proxy.endpoint).env()
    return proxy


def at_rest(keeper: Keeper, desk: Desk, bay: Bay) -> Callable[[], bool]:
    return lambda: keeper.status.state == "in step" and desk.held() == bay.held()


def test_a_big_notebook_and_a_renamed_folder(
    s3: Bay,
    proxied: FaultProxy,
    desk: Make,
    keep: Keep,  # noqa: F811
) -> None:
    """20 MB of outputs are sent once; a folder with another name is copied in the storage."""
    anna = desk(s3, "anna", **QUICK)
    keeper = keep(anna)
    cell = {"cell_type": "code", "outputs": [{"data": {"image/png": "x" * 20_000_000}}]}
    anna.write("plots/big.ipynb", json.dumps({"cells": [cell]}))
    for number in range(50):
        anna.write(f"plots/deep/{number}.csv", f"{number}\n" * 100)
    wait_until(lambda: len(s3.held()) == 51)
    wait_until(at_rest(keeper, anna, s3))
    proxied.requests.clear()
    (anna.root / "plots").rename(anna.root / "figures 2026")
    wait_until(lambda: set(s3.held()) == set(anna.held()))
    wait_until(at_rest(keeper, anna, s3))
    assert len(s3.held()) == 51
    puts = [request.headers for request in proxied.requests if request.method == "PUT"]
    assert len(puts) == 51
    assert all("x-amz-copy-source" in headers for headers in puts)


def test_files_deleted_while_the_storage_was_away(
    s3: Bay,
    proxied: FaultProxy,
    desk: Make,
    keep: Keep,  # noqa: F811
) -> None:
    anna = desk(s3, "anna", **QUICK)
    keeper = keep(anna)
    for name in ("stays", "goes", "edited there", "goes there, edited here"):
        anna.write(name, name)
    wait_until(lambda: len(s3.held()) == 4)
    wait_until(at_rest(keeper, anna, s3))
    proxied.rules.append(cut("request-head"))
    wait_until(lambda: keeper.status.state == "offline")
    (anna.root / "goes").unlink()
    (anna.root / "edited there").unlink()
    anna.write("goes there, edited here", "edit")
    s3.put("edited there", b"edit")
    s3.delete("goes there, edited here")
    proxied.rules.clear()
    wait_until(at_rest(keeper, anna, s3))
    assert anna.held() == {
        "stays": b"stays", "edited there": b"edit", "goes there, edited here": b"edit",
    }  # fmt: skip


def test_git_in_the_folder(s3: Bay, desk: Make, keep: Keep) -> None:  # noqa: F811
    """Branches come and go: the files of the work tree follow, the repository stays at home."""

    def git(*words: str) -> None:
        command = ["git", "-c", "user.name=anna", "-c", "user.email=anna@example.org", *words]
        subprocess.run(command, cwd=anna.root, check=True, capture_output=True)

    if shutil.which("git") is None:
        pytest.skip("git is not here")
    anna = desk(s3, "anna", **QUICK)
    keeper = keep(anna)
    git("init", "-b", "main")
    anna.write("model.py", "main")
    git("add", ".")
    git("commit", "-m", "one")
    git("checkout", "-b", "try")
    anna.write("model.py", "try")
    anna.write("only on try/notes.md", "notes")
    git("add", ".")
    git("commit", "-m", "two")
    wait_until(lambda: s3.held() == {"model.py": b"try", "only on try/notes.md": b"notes"})
    git("checkout", "main")
    wait_until(lambda: s3.held() == {"model.py": b"main"})
    git("checkout", "try")
    wait_until(lambda: s3.held() == {"model.py": b"try", "only on try/notes.md": b"notes"})
    assert keeper.status.conflicts == []
    git("fsck", "--strict")


def test_links_are_told_and_not_followed(s3: Bay, desk: Make, keep: Keep) -> None:  # noqa: F811
    anna = desk(s3, "anna", **QUICK)
    elsewhere = anna.root.parent / "data sets"
    elsewhere.mkdir()
    (elsewhere / "huge.bin").write_text("huge")
    (anna.root / "data").symlink_to(elsewhere)
    (anna.root / "loop").symlink_to(anna.root)
    (anna.root / "dangling").symlink_to("nowhere")
    anna.write("x", "x")
    keeper = keep(anna)
    wait_until(lambda: keeper.status.state == "in step")
    assert s3.held() == {"x": b"x"}
    assert {"data", "loop", "dangling"} <= set(keeper.status.left_out)
    # Nothing is written through a link either.
    s3.put("data/from elsewhere", b"x")
    wait_until(lambda: keeper.status.state == "problem")
    assert "what the storage holds there is not fetched" in keeper.status.problems["data"]
    assert [path.name for path in elsewhere.iterdir()] == ["huge.bin"]


def test_a_bucket_that_vanishes(s3: Bay, desk: Make, keep: Keep) -> None:  # noqa: F811
    """Its absence deletes nothing, nor does the empty one that takes its place."""
    anna = desk(s3, "anna", **QUICK)
    keeper = keep(anna)
    anna.write("x", "x")
    wait_until(lambda: s3.held() == {"x": b"x"})
    wait_until(at_rest(keeper, anna, s3))
    s3.server.drop_bucket(s3.bucket)
    wait_until(lambda: keeper.status.state not in ("in step", "syncing"))
    assert s3.bucket in keeper.status.message
    anna.write("y", "made meanwhile")
    s3.server.client().create_bucket(Bucket=s3.bucket)
    wait_until(lambda: keeper.status.held)
    assert "push --undo-deletes" in keeper.status.held[0]
    assert anna.held() == {"x": b"x", "y": b"made meanwhile"}
    wait_until(lambda: s3.held() == {"y": b"made meanwhile"})
    anna.sync("push", deletes="undo")
    wait_until(at_rest(keeper, anna, s3))
    assert s3.held() == {"x": b"x", "y": b"made meanwhile"}


def test_credentials_that_end(
    s3: Bay,
    proxied: FaultProxy,
    desk: Make,
    keep: Keep,  # noqa: F811
) -> None:
    """The service refuses them from one moment to the next, and takes them (or new ones) later."""
    anna = desk(s3, "anna", **QUICK)
    keeper = keep(anna)
    anna.write("x", "x")
    wait_until(at_rest(keeper, anna, s3))
    expired = b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"
    proxied.rules.append(status(400, body=expired))
    anna.write("x", "saved meanwhile")
    s3.put("z", b"from elsewhere")
    wait_until(lambda: "have expired" in keeper.status.message)
    assert keeper.status.state not in ("in step", "syncing")
    wait_until(lambda: keeper.status.pending == ["x"])
    proxied.rules.clear()
    wait_until(at_rest(keeper, anna, s3))
    assert s3.held() == {"x": b"saved meanwhile", "z": b"from elsewhere"}


def test_two_servers_and_one_notebook(s3: Bay, desk: Make, keep: Keep) -> None:  # noqa: F811
    """Saved in both within a moment, again and again: the last save of each is in both."""
    desks = [desk(s3, name, **QUICK) for name in ("anna", "ben")]
    keepers = [keep(one) for one in desks]
    for number in range(3):
        for one in desks:
            one.write("shared.ipynb", f"{one.root.name} {number}")

    def alike() -> bool:
        held = s3.held()
        calm = {keeper.status.state for keeper in keepers} <= {"in step", "conflict"}
        both = {b"anna 2", b"ben 2"} <= set(held.values())
        return calm and both and all(one.held() == held for one in desks)

    wait_until(alike)
    assert {conflict_of(key).original for key in s3.held() if conflict_of(key)} == {"shared.ipynb"}
