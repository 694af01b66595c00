"""A real Jupyter server, driven over its REST API, with the extension that comes by installing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pytest

from tests.servers.s3 import S3Server

from .conftest import Bay, make_s3
from .lab import Lab
from .test_keeper import wait_until

SERVER = ("-m", "jupyter_server")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    folder, home = tmp_path / "notebooks", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    return folder, home


def test_saves_over_rest(bay: Bay, places: tuple[Path, Path], tmp_path: Path) -> None:
    """Any Jupyter server: the variables alone switch it on."""
    folder, home = places
    bay.put("sub/there before.txt", b"before the start")
    env_file = bay.env_file(
        tmp_path / ".env",
        STORAGE_JUPYTER_SYNC="true",
        JUPYTER_DOWNLOAD_FILES_BEFORE_START="true",
    )
    lab = Lab(folder, env_file, home, command=SERVER).wait()
    try:
        found = lab.ask("api/contents/sub/there%20before.txt?content=1")
        assert found["content"] == "before the start"
        text = {"type": "file", "format": "text", "content": "made over REST"}
        for name in ("new.txt", "mit%20Leerzeichen%20%C3%BC%3A1.txt"):
            lab.ask(f"api/contents/{name}", "PUT", text)
        wait_until(lambda: len(bay.held()) == 3)
        assert bay.held()["mit Leerzeichen ü:1.txt"] == b"made over REST"
        lab.ask("api/contents/new.txt", "PATCH", {"path": "renamed.txt"})
        wait_until(lambda: {"renamed.txt"} == set(bay.held()) & {"new.txt", "renamed.txt"})
        lab.ask("api/contents/renamed.txt", "DELETE")
        wait_until(lambda: "renamed.txt" not in bay.held())
        bay.put("sub/there before.txt", b"changed there")
        wait_until(lambda: (folder / "sub/there before.txt").read_bytes() == b"changed there")
        wait_until(lambda: lab.status()["state"] == "in step")
        assert lab.status()["in_step"] == 2
        with pytest.raises(urllib.error.HTTPError, match="403"):
            lab.ask("svstorage/status", token=None)
        assert lab.ask("svstorage/sync", "POST")["watching"] is True
        lab.ask("api/contents/last.txt", "PUT", text)
    finally:
        lab.end()
    assert bay.held()["last.txt"] == b"made over REST"
    secret = bay.env.get("STORAGE_SECRET_KEY", "no secret here")
    kept = lab.log.read_text() + (folder / ".svstorage/status.json").read_text()
    assert secret not in kept


def test_the_commands(disk: Bay, places: tuple[Path, Path], tmp_path: Path) -> None:
    folder, _ = places
    env_file = disk.env_file(tmp_path / ".env")

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "svstorage.cli", "--env-file", str(env_file), "jupyter"]
        done = subprocess.run([*command, *words], capture_output=True, text=True, cwd=folder)
        assert done.returncode == code, done.stderr
        return done

    assert "never" in run("status").stdout
    (folder / "x.ipynb").write_text("x")
    assert "1 sent" in run("push").stderr
    disk.put("y.ipynb", b"y")
    assert json.loads(run("--json", "pull").stdout)["pulled"] == 1
    assert run("sync").stderr.strip() == "2 files in step"
    assert run("status").stdout.startswith("in step: 2 files in step")
    (folder / "x.ipynb").write_text("changed")
    assert json.loads(run("status", "--json", code=1).stdout)["pending"] == ["x.ipynb"]
    assert "there is no such folder" in run("push", "nowhere", code=2).stderr
    run("pull", "made-by-pull")
    assert (folder / "made-by-pull/y.ipynb").read_text() == "y"
    assert "is no size" in run("sync", "--max-size", "huge", code=2).stderr
    assert "contradict" in run("sync", "--accept-deletes", "--undo-deletes", code=2).stderr
    (folder / "big").write_text("x" * 100)
    assert "100 bytes" in run("sync", "--max-size", "99", code=1).stderr
    assert "no bucket" in run("sync", "--path", "not-there/x", code=1).stderr


def test_the_magic(disk: Bay, places: tuple[Path, Path], tmp_path: Path) -> None:
    """In a kernel's shell, from a folder below the one that is kept in step."""
    folder, home = places
    (folder / "sub").mkdir()
    (folder / "sub/x.ipynb").write_text("x")
    env_file = disk.env_file(tmp_path / ".env")
    lines = [
        "%load_ext svstorage.jupyter",
        f"%svstorage push {folder}",
        "%svstorage status",
        "%svstorage sync",
        "%svstorage nonsense",
    ]
    environment = {**os.environ, "SVSTORAGE_ENV_FILE": str(env_file), "HOME": str(home),
                   "IPYTHONDIR": str(home / "ipython")}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=NoColor"],
        input="\n".join(lines), capture_output=True, text=True, cwd=folder / "sub",
        env=environment,
    )  # fmt: skip
    assert "1 sent" in done.stdout, done.stdout + done.stderr
    assert "in step: 1 file in step" in done.stdout
    assert "UsageError: %svstorage status|pull|push|sync [FOLDER]" in done.stdout + done.stderr
    assert disk.held() == {"sub/x.ipynb": b"x"}


def test_killed_and_started_again(disk: Bay, places: tuple[Path, Path], tmp_path: Path) -> None:
    """kill -9 of the whole server right after a save: it is sent at the next start."""
    folder, home = places
    env_file = disk.env_file(tmp_path / ".env", STORAGE_JUPYTER_SYNC="true")
    lab = Lab(folder, env_file, home, command=SERVER).wait()
    text = {"type": "file", "format": "text", "content": "saved before the kill"}
    lab.ask("api/contents/x.txt", "PUT", text)
    lab.end(signal.SIGKILL)
    lab = Lab(folder, env_file, home, command=SERVER).wait()
    try:
        wait_until(lambda: disk.held() == {"x.txt": b"saved before the kill"})
    finally:
        lab.end()


def test_a_storage_that_is_away_stops_no_work(
    s3: Bay, places: tuple[Path, Path], tmp_path: Path
) -> None:
    from tests.servers.process import free_port

    folder, home = places
    env = {**s3.env, "STORAGE_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    away = Bay(s3.kind, env, s3.bucket, s3.files, s3.write, s3.remove)
    env_file = away.env_file(
        tmp_path / ".env",
        STORAGE_JUPYTER_SYNC="true",
        JUPYTER_DOWNLOAD_FILES_BEFORE_START="true",
    )
    lab = Lab(folder, env_file, home, command=SERVER).wait()
    try:
        assert lab.status()["state"] == "offline"
        text = {"type": "file", "format": "text", "content": "work goes on"}
        lab.ask("api/contents/x.txt", "PUT", text)
    finally:
        lab.end()
    assert (folder / "x.txt").read_text() == "work goes on"
    assert "cannot be reached" in lab.log.read_text() or "refused" in lab.log.read_text()


def test_a_wrong_setting_stops_no_work(places: tuple[Path, Path], tmp_path: Path) -> None:
    folder, home = places
    env_file = tmp_path / ".env"
    env_file.write_text("STORAGE_JUPYTER_SYNC=perhaps\n")
    env_file.chmod(0o600)
    lab = Lab(folder, env_file, home, command=SERVER).wait()
    try:
        assert lab.ask("api/contents")["type"] == "directory"
        assert "STORAGE_JUPYTER_SYNC" in lab.log.read_text()
    finally:
        lab.end()
    done = subprocess.run(
        [sys.executable, "-m", "svstorage.cli", "--env-file", str(env_file), "jupyter", "lab"],
        capture_output=True, text=True, cwd=folder,
        env={**os.environ, "STORAGE_JUPYTER_MAX_FILE_SIZE": "much"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "STORAGE_JUPYTER_MAX_FILE_SIZE" in done.stderr


def test_a_settings_file_that_cannot_be_read_is_what_the_status_tells(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    """Not how the folder stood when it was last kept in step."""
    folder, home = places
    (folder / ".svstorage").mkdir()
    old = {"state": "in step", "message": "2 files in step", "folder": str(folder)}
    (folder / ".svstorage/status.json").write_text(json.dumps(old))
    env_file = tmp_path / ".env"
    env_file.write_text("STORAGE_JUPYTER_SYNC=true\nno setting at all\n")
    lab = Lab(folder, env_file, home, command=SERVER).wait()
    try:
        status = lab.status()
        assert status["state"] == "problem"
        assert "line 2" in status["message"]
    finally:
        lab.end()


@pytest.mark.slow
def test_ten_thousand_small_files(
    rclone_s3: S3Server, places: tuple[Path, Path], tmp_path: Path
) -> None:
    """They are pulled by the engine, in its threads, and nothing is pulled twice."""
    from svstorage.jupyter.cycle import Cycle
    from svstorage.jupyter.place import find_target

    folder, _ = places
    count = 10_000
    # This server's objects are files: put there by hand they cost no upload.
    assert rclone_s3.data is not None
    bucket = rclone_s3.data / "ten-thousand"
    rclone_s3.client().create_bucket(Bucket=bucket.name)
    s3 = make_s3(rclone_s3, bucket.name)
    for number in range(count):
        path = bucket / f"jupyter/anna/{number % 100:02}/{number:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%05d " % number * 20)
    with s3.storage(tmp_path) as storage:
        begun = time.monotonic()
        account = Cycle(folder, find_target(storage)).run("pull")
        print(f"{count} files pulled in {time.monotonic() - begun:.1f} s")
        assert (account.pulled, account.clean) == (count, True)
        assert Cycle(folder, find_target(storage)).run().moved == 0
    assert (folder / "99/09999.txt").read_bytes() == b"09999 " * 20
    shutil.rmtree(bucket)
