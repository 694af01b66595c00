"""No secret travels: not in tasks, not in the scheduler's memory, not in logs."""

from __future__ import annotations

import os
import pickle
import re
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import pytest

import svstorage
from svstorage.errors import SettingsError, UsageError
from svstorage.transfer import spread
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.reopening import refer


@pytest.fixture
def tasks(monkeypatch) -> list:
    """The tasks that runs of this process make."""
    made: list = []
    plain = spread.TreeTask

    def note(**fields):
        made.append(plain(**fields))
        return made[-1]

    monkeypatch.setattr(spread, "TreeTask", note)
    return made


def memory_of(pid: int) -> bytes:
    found = []
    maps = Path(f"/proc/{pid}/maps").read_text()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
            memory.seek(int(start, 16))
            try:
                found.append(memory.read(int(end, 16) - int(start, 16)))
            except (OSError, ValueError):
                continue  # a page that is none
    return b"".join(found)


def test_the_scheduler_never_sees_a_secret(
    run, cluster, rclone_s3, make_tree, tmp_path, tasks, monkeypatch
):
    bucket = rclone_s3.new_bucket()
    env = rclone_s3.write_env(tmp_path / ".env.s3")
    secret = rclone_s3.secret_key.encode()
    make_tree(tmp_path / "src", 300)
    monkeypatch.setenv("SVSTORAGE_STATE_PATH", str(cluster.state))
    options = TransferOptions(engine="dask", engine_options={"scheduler": cluster.address})
    with svstorage.connect(env_file=env) as storage:
        report = svstorage.sync("src", f"sv://{bucket}/", destination=storage, options=options)
    rclone_s3.drop_bucket(bucket)
    assert report.exit_code == 0, report
    graph = pickle.dumps(tasks)
    assert os.fsencode(env) in graph, "the search is worth nothing if it finds nothing"
    assert secret not in graph
    memory = memory_of(cluster.scheduler.pid)
    assert os.fsencode(env) in memory
    assert secret not in memory
    for log in cluster.folder.rglob("*.log"):
        assert secret not in log.read_bytes()
    for kept in cluster.state.rglob("*"):
        assert not kept.is_file() or secret not in kept.read_bytes()


def test_a_secret_as_an_argument_is_refused(rclone_s3, make_tree, tmp_path):
    make_tree(tmp_path / "src", 3)
    bucket = rclone_s3.new_bucket()
    options = TransferOptions(engine="dask", engine_options={"workers": "1"})
    with (
        svstorage.connect(
            provider="minio", endpoint=rclone_s3.endpoint,
            access_key=rclone_s3.access_key, secret_key=rclone_s3.secret_key,
        ) as storage,
        pytest.raises(UsageError, match=r"STORAGE_.*_KEY was given as an argument") as caught,
    ):  # fmt: skip
        svstorage.sync("src", f"sv://{bucket}/", destination=storage, options=options)
    assert rclone_s3.secret_key not in str(caught.value)
    rclone_s3.drop_bucket(bucket)


def test_settings_of_the_environment_go_by_their_names(tmp_path, monkeypatch):
    from svstorage.ends import Opener

    (tmp_path / "data/storage/b").mkdir(parents=True)
    monkeypatch.setenv("STORAGE_PROVIDER", "http")
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "data"))
    storage = svstorage.connect()
    from svstorage.strategies.base import End

    place = Opener(lambda: storage).open("sv://b/")
    end = End(place.store, place.bucket, "", location=place.text, base=place.base)
    reference = refer(end, lambda: storage, "follow")
    assert str(tmp_path).encode() not in pickle.dumps(reference.storage)
    assert reference.open().store.identity == place.store.identity
    # A worker whose settings lead elsewhere touches nothing.
    monkeypatch.setenv("DATA_PATH", str(tmp_path / "other"))
    (tmp_path / "other/storage/b").mkdir(parents=True)
    with pytest.raises(SettingsError, match="another storage"):
        reference.open()
    monkeypatch.delenv("DATA_PATH")
    with pytest.raises(SettingsError, match="DATA_PATH"):
        reference.open()


def test_a_worker_without_the_settings_file_fails_clean(run, rclone_s3, make_tree, tmp_path):
    """Seen from the command: exit 2, the file named, nothing written."""
    bucket = rclone_s3.new_bucket()
    make_tree(tmp_path / "src", 3)
    # Only the command has these variables.
    done = run("sync", "src", f"sv://{bucket}/", **rclone_s3.env())
    assert done.code == 2
    assert "not in the environment of this worker" in done.err
    assert rclone_s3.keys(bucket) == {}
    rclone_s3.drop_bucket(bucket)


def test_the_embedded_cluster_answers_nobody_else(tmp_path):
    """Whoever may talk to a scheduler may run programs as its user."""
    import psutil
    from distributed import Client

    from svstorage_dask.crew import DaskCrew

    me = psutil.Process()

    def listening() -> set[tuple[str, int]]:
        return {
            tuple(connection.laddr)
            for process in (me, *me.children(recursive=True))
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }

    before = listening()  # the servers of other tests
    crew = DaskCrew(SimpleNamespace(run="nobody"), {"workers": "1"})
    try:
        found = listening() - before
        assert len(found) >= 4
        for host, port in found:
            assert host == "127.0.0.1"
            for path in ("/", "/health", "/info/main/workers.html", "/metrics", "/api/v1"):
                with pytest.raises((OSError, HTTPException)):  # 404, reset, or a TLS alert
                    urlopen(f"http://127.0.0.1:{port}{path}", timeout=5)
        address = crew._client.scheduler.address.replace("tls", "tcp")
        with pytest.raises((OSError, TimeoutError)):
            Client(address, timeout=1, set_as_default=False)
    finally:
        crew.close()
