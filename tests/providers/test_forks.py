"""A forked child has connections and locks of its own, whatever the parent was doing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import svstorage
from svstorage import forks
from svstorage.credentials.base import AwsCredentials, RefreshingCredentials
from svstorage.providers.base import NativeStore, WholeStore
from svstorage.providers.fsspec_store import FsspecStore
from svstorage.settings import Secret
from svstorage.strategies.native import BUDGET, NativeStrategy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
LONGEST = 30.0
"""Seconds after which a child is taken to hang; it needs a small part of one."""


def in_child(work: Callable[[], None]) -> str:
    """What went wrong with ``work`` in a forked process; empty where nothing did."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            work()
            text = ""
        except BaseException as error:
            text = repr(error)
        os.write(theirs, text.encode() + b"\n")
        os._exit(0)
    os.close(theirs)
    until = time.monotonic() + LONGEST
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > until:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(ours)
            return "it hangs"
        time.sleep(0.01)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read().decode()
    return said.removesuffix("\n") if said else "it died"


@pytest.fixture(params=["rclone_s3", "azurite"])
def storage(request: pytest.FixtureRequest) -> Iterator[svstorage.Storage]:
    server = request.getfixturevalue(request.param)
    named = {k.removeprefix("STORAGE_").lower(): v for k, v in server.env().items()}
    made = svstorage.connect(**named)
    yield made
    made.close()


@pytest.fixture
def bucket(storage: svstorage.Storage) -> Iterator[str]:
    name = f"forks-{os.urandom(4).hex()}"
    storage.store.create_bucket(name)
    yield name
    for entry in list(storage.store.list(name)):
        storage.store.delete(name, entry.key)  # type: ignore[union-attr]
    storage.store.delete_bucket(name)


def _locks(one: object, seen: set[int], depth: int = 0) -> Iterator[Any]:
    """Every lock that an object of ours holds, however deep."""
    if id(one) in seen or depth > 6:
        return
    seen.add(id(one))
    if isinstance(one, type(threading.Lock())):
        yield one
    elif type(one).__module__.startswith("svstorage"):
        for value in getattr(one, "__dict__", {}).values():
            yield from _locks(value, seen, depth + 1)
    elif isinstance(one, dict):
        for value in one.values():
            yield from _locks(value, seen, depth + 1)


def test_with_connections_in_use_and_every_lock_held(
    storage: svstorage.Storage, bucket: str
) -> None:
    """Parent and children talk at once, and none gets what another asked for."""
    store = storage.store
    for name in "abc":
        store.put(bucket, name, name.encode() * 1000, size=1000)

    def reads(name: str) -> None:
        for _ in range(30):
            with store.read(bucket, name) as reader:
                assert reader.read() == name.encode() * 1000
            if isinstance(store, WholeStore):
                data, _ = store.read_whole(bucket, store.head(bucket, name).entry)
                assert bytes(data) == name.encode() * 1000
        store.put(bucket, f"of-{name}", b"x", size=1)
        assert len(list(store.list(bucket))) >= 3
        store.delete(bucket, f"of-{name}")

    reads("a")
    with ExitStack() as held:
        found = list(_locks(store, set()))
        assert found
        for lock in found:
            held.enter_context(lock)
        assert in_child(lambda: reads("b")) == ""

    failed: list[BaseException] = []

    def of_parent() -> None:
        try:
            reads("a")
        except BaseException as error:
            failed.append(error)

    meanwhile = threading.Thread(target=of_parent)
    meanwhile.start()
    assert in_child(lambda: reads("c")) == ""
    meanwhile.join(LONGEST)
    assert not failed


def test_obstore_is_left_alone_after_the_parent_has_used_it(
    storage: svstorage.Storage, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call of it would hang: its threads are the parent's. Copies take another way."""
    import obstore

    monkeypatch.setattr(forks, "_runtime_used", False)
    store = storage.store
    assert isinstance(store, NativeStore)
    store.put(bucket, "a", b"x" * 1000, size=1000)
    obstore.get(store.native(bucket), "a").bytes()
    assert store.native_reads

    def copies() -> None:
        assert not store.native_reads
        report = svstorage.copy(f"sv://{bucket}/a", str(tmp_path / "a"), source=storage)
        assert report.ok
        assert (tmp_path / "a").read_bytes() == b"x" * 1000

    assert in_child(copies) == ""
    assert store.native_reads


def test_credentials_that_are_being_renewed() -> None:
    fetching, go_on = threading.Event(), threading.Event()

    def fetch() -> AwsCredentials:
        fetching.set()
        assert go_on.wait(LONGEST)
        return AwsCredentials("key", Secret("secret"), None)

    source = RefreshingCredentials("test", fetch)
    thread = threading.Thread(target=source.get)
    thread.start()
    assert fetching.wait(LONGEST)

    def gets() -> None:
        go_on.set()  # the child's own copy of it
        assert source.get().access_key == "key"

    try:
        assert in_child(gets) == ""
    finally:
        go_on.set()
        thread.join(LONGEST)


def test_the_memory_that_the_parents_threads_hold_is_theirs() -> None:
    strategy = NativeStrategy()
    strategy._budget.take(BUDGET)

    def takes() -> None:
        strategy._budget.take(BUDGET)

    assert in_child(takes) == ""


def test_a_filesystem_of_fsspec(rclone_s3: Any) -> None:
    """Those built on asyncio refuse to work in a child, whose event loop has no thread."""
    from s3fs import S3FileSystem

    store = FsspecStore(
        S3FileSystem(
            key=rclone_s3.access_key,
            secret=rclone_s3.secret_key,
            endpoint_url=rclone_s3.endpoint,
            config_kwargs={"s3": {"addressing_style": "path"}, "proxies": {}},
        )
    )
    bucket = f"forks-{os.urandom(4).hex()}"
    store.create_bucket(bucket)
    store.put(bucket, "a", b"of the parent", size=13)

    def reads() -> None:
        assert store.head(bucket, "a").entry.size == 13
        with store.read(bucket, "a") as reader:
            assert reader.read() == b"of the parent"

    reads()
    assert in_child(reads) == ""
    reads()


def test_one_thread_at_a_time_and_a_fork() -> None:
    import fsspec

    store = FsspecStore(fsspec.filesystem("memory", skip_instance_cache=True))
    bucket = f"forks-{os.urandom(4).hex()}"
    store.create_bucket(bucket)
    store.put(bucket, "a", b"x", size=1)
    held, go_on = threading.Event(), threading.Event()

    def holds() -> None:
        with store._lock():
            held.set()
            go_on.wait(LONGEST)

    thread = threading.Thread(target=holds)
    thread.start()
    assert held.wait(LONGEST)
    try:
        assert in_child(lambda: store.head(bucket, "a")) == ""
    finally:
        go_on.set()
        thread.join(LONGEST)
