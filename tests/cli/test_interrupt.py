"""Ctrl-C: exit 130, nothing half-written, and the same command goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from svstorage.cli import outcome
from svstorage.cli.moving import Mover
from svstorage.cli.state import State
from svstorage.transfer.plan import DONE_BEFORE
from svstorage.transfer.report import Result
from tests.cli.conftest import KINDS, Store, command, run, spawn

MIB = 1 << 20


def _interrupted(words: list[str], report: Path, *signals: int) -> tuple[int, str]:
    """Signals a copy under way. The report file is there once the work begins."""
    argv = [*words, "--report", str(report)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while not report.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        time.sleep(0.6)
        assert process.poll() is None, process.communicate()
        for number in signals:
            process.send_signal(number)
            time.sleep(0.1)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, err.decode()


@pytest.fixture
def big(tmp_path: Path) -> Path:
    folder = tmp_path / "big"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.bin").write_bytes(os.urandom(2 * MIB))
    (folder / "parts.bin").write_bytes(os.urandom(20 * MIB))
    return folder


@pytest.mark.parametrize(
    ("store", "number"),
    [*((kind, signal.SIGINT) for kind in KINDS), ("disk", signal.SIGTERM)],
    indirect=["store"],
)
def test_once_then_again(store: Store, big: Path, number: int) -> None:
    words = ["--env-file", store.env_file, "cp", "-r", f"{big}/", "public:"]
    code, err = _interrupted(command(*words, "--bwlimit", "8M"), big.parent / "r", number)
    assert code == 130, err
    assert "stopping" in err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    whole = {path.name: path.stat().st_size for path in big.iterdir()}
    for name, size in store.holds().items():
        assert size == whole[name]
        assert store.read(name) == (big / name).read_bytes()
    spawn(*words).ok()
    assert store.holds() == whole
    assert all(store.read(name) == (big / name).read_bytes() for name in whole)
    leftovers = [path for path in big.parent.rglob("*") if ".svstorage" in path.name]
    assert not [path for path in leftovers if path.is_file()], leftovers


def test_twice_ends_at_once(disk: Store, big: Path) -> None:
    words = ["--env-file", disk.env_file, "cp", "-r", f"{big}/", "public:", "--bwlimit", "1M"]
    started = time.monotonic()
    code, _ = _interrupted(command(*words), big.parent / "r", signal.SIGINT, signal.SIGINT)
    assert code == 130
    assert time.monotonic() - started < 20  # the copy itself would take half a minute
    assert all(size == (big / name).stat().st_size for name, size in disk.holds().items()
               if not name.startswith(".svstorage"))  # fmt: skip


def test_migrate(store: Store, big: Path, tmp_path: Path) -> None:
    store("cp", "-r", f"{big}/", "public:").ok()
    target = tmp_path / "target.env"
    target.write_text(f"STORAGE_PROVIDER=http\nDATA_PATH={tmp_path}/new\n")
    words = ["--env-file", store.env_file, "migrate", "--to-env", target, "--bwlimit", "8M"]
    code, err = _interrupted(command(*words), tmp_path / "r", signal.SIGINT)
    assert code == 130, err
    done = spawn(*words[:-2]).ok()
    assert "Migration complete" in done.out
    for path in big.iterdir():
        assert (tmp_path / "new/storage" / store.public / path.name).read_bytes() == (
            path.read_bytes()
        )


@pytest.mark.parametrize("words", [["ls"], ["cp", "x", "public:x"], ["config", "check"]], ids=str)
def test_a_storage_that_never_answers(tmp_path: Path, words: list[str]) -> None:
    # A mock: no real server can be told to accept a connection and say nothing at all.
    (tmp_path / "x").write_bytes(b"1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        env_file = tmp_path / "silent.env"
        env_file.write_text(
            "STORAGE_PROVIDER=minio\nSTORAGE_ACCESS_KEY=key\nSTORAGE_SECRET_KEY=secret\n"
            f"STORAGE_ENDPOINT=http://127.0.0.1:{server.getsockname()[1]}\n"
            "STORAGE_BUCKETS_PREFIX=silent\n"
        )
        env_file.chmod(0o600)
        argv = command("--env-file", env_file, *words)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            server.settimeout(60)
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1000).startswith((b"GET", b"HEAD"))
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"interrupted" in err
    assert b"Traceback" not in err


def test_a_reader_that_goes_away(disk: Store) -> None:
    for number in range(1000):  # more than a pipe holds
        disk.write(f"{number:04}-{'x' * 200}", b"1")
    words = command("--env-file", disk.env_file, "ls", "-R", "public:")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(30) == 141
    assert err == b""


_KILLED = """
import os
from svstorage.cli import main, moving
from svstorage.transfer.journal import Journal

noted = Journal._note

def note(self, row):
    noted(self, row)
    self._commit()

def heard(self, result):
    heard.count += 1
    if heard.count == 5:
        os._exit(9)

heard.count = 0
Journal._note = note
moving.Mover.__call__ = heard
main()
"""


@pytest.mark.parametrize("store", ["disk", "s3"], indirect=True)
def test_a_move_that_was_killed_is_ended_by_the_next(store: Store, tmp_path: Path) -> None:
    """Copied and not yet deleted when it died: exit 0 says that no source is left."""
    state = {"SVSTORAGE_STATE_PATH": str(tmp_path / "state")}
    (tmp_path / "in").mkdir()
    for number in range(9):
        (tmp_path / "in" / f"{number}").write_text(f"{number}")
    words = ["--env-file", str(store.env_file), "mv", "-r", f"{tmp_path}/in/", "public:moved/"]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, *words], env={**os.environ, **state}, check=False
    )
    assert killed.returncode == 9
    assert len(os.listdir(tmp_path / "in")) == 9
    again = subprocess.run(
        command(*words), env={**os.environ, **state}, check=False, capture_output=True
    )
    assert again.returncode == 0, again.stderr
    assert b"skipped" in again.stderr, "the journal has helped"
    assert os.listdir(tmp_path / "in") == []
    assert {key: store.read(key) for key in store.holds()} == {
        f"moved/{number}": f"{number}".encode() for number in range(9)
    }


def test_a_source_that_changes_after_a_killed_move_listed_it_stays(tmp_path: Path) -> None:
    for name in ("source", "destination", "still"):
        (tmp_path / name).write_text("same size")
    mover = Mover(State())
    time.sleep(0.02)
    (tmp_path / "source").write_text("other one")
    for name in ("source", "still"):
        mover(
            Result(
                "skip",
                "done",
                name,
                str(tmp_path / name),
                str(tmp_path / "destination"),
                size=9,
                reason=DONE_BEFORE,
            )
        )
    mover.finish()
    assert mover.exit_code == 1
    assert sorted(os.listdir(tmp_path)) == ["destination", "source"]


def test_migrate_between_its_buckets(
    new_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = new_store("disk"), new_store("disk", make=False)
    two.prefix, two.public, two.private = one.prefix, one.public, one.private
    two.write_env(two.env_file)
    one.write("x", b"public")
    one.write("y", b"private", one.private)
    real = outcome.Told.__call__

    def once(self: outcome.Told, result: Result) -> None:
        real(self, result)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)

    # The one object of the first bucket has been copied: nothing of that bucket is left to do.
    monkeypatch.setattr(outcome.Told, "__call__", once)
    words = ["migrate", "--from-env", one.env_file, "--to-env", two.env_file]
    done = run(*words)
    assert done.code == 130, done.said
    assert "Migration NOT complete" in done.out
    assert "a bucket that is not in the table was not begun" in done.out
    assert "failed or differs" not in done.out
    run(*words).ok()
    assert two.read("y", one.private) == b"private"
