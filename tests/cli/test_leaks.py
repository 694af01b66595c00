"""No secret is ever shown: seeded ones are searched in everything a run leaves behind."""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.conftest import Store, command, run, spawn
from tests.servers.azure import DEV_KEY
from tests.servers.process import free_port
from tests.servers.s3 import SECRET_KEY

NEW = Callable[..., Store]
TOKEN = "canary/session+token=with%odd$chars"
WRONG = base64.b64encode(b"a wrong key, but one that looks well-formed: canary!").decode()


def _forms(secret: str) -> list[bytes]:
    """A secret as it may slip out: as it is, quoted for a URL, encoded, in hex."""
    raw = secret.encode()
    return [raw, quote(secret, safe="").encode(), base64.b64encode(raw), raw.hex().encode()]


def _assert_none(data: bytes, secrets: list[str], where: str) -> None:
    for secret in secrets:
        for form in _forms(secret):
            assert form not in data, f"a secret in {where}: {data!r}"


def _left_behind(*folders: Path, but: Path) -> bytes:
    return b"\n".join(
        path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path != but
    )


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_in_runs_that_go_well(new_store: NEW, kind: str, tree: Path, tmp_path: Path) -> None:
    store = new_store(kind)
    secret = SECRET_KEY if kind == "s3" else DEV_KEY
    log = tmp_path / "out" / "log"
    report = tmp_path / "out" / "report"
    log.parent.mkdir()
    for words in (
        ["config", "show"], ["config", "check"], ["--json", "config", "show"],
        ["cp", "-r", f"{tree}/", "public:", "--report", report], ["ls", "-lR", "public:"],
        ["migrate", "--to-env", new_store("disk").env_file, "--buckets", store.public],
    ):  # fmt: skip
        done = store("-vv", "--log-file", log, *words).ok()
        _assert_none(done.said.encode(), [secret], " ".join(map(str, words)))
    left = _left_behind(log.parent, Path.home(), but=store.env_file)
    assert "6 copied" in log.read_text()
    assert "ended with exit code 0" in log.read_text()
    _assert_none(left, [secret], "log, report or journal")


@pytest.mark.parametrize("kind", ["s3", "azure"])
@pytest.mark.parametrize("fault", ["secret", "port", "host", "session"])
def test_in_runs_that_fail(new_store: NEW, kind: str, fault: str, tmp_path: Path) -> None:
    store = new_store(kind, make=False)
    changed = {
        "secret": {},
        "port": {"STORAGE_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
        "host": {"STORAGE_ENDPOINT": "https://storage.invalid"},
        "session": {"STORAGE_SESSION_TOKEN": TOKEN},
    }[fault]
    env_file = store.write_env(tmp_path / "wrong.env", STORAGE_SECRET_KEY=WRONG, **changed)
    log = tmp_path / "log"
    copy = ["--json", "cp", env_file, "public:x", "--retries", "0"]
    for words in (["config", "check"], copy):
        done = run("--env-file", env_file, "-vv", "--log-file", log, *words)
        assert done.code == 3, done.said
        _assert_none(done.said.encode(), [WRONG, TOKEN], " ".join(map(str, words)))
    _assert_none(log.read_bytes(), [WRONG, TOKEN], "the log")


def test_in_tracebacks(disk: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # A mock: no real fault raises an error of ours with a secret in it on purpose.
    from svstorage.cli.commands import mb

    def fail(*_: object) -> None:
        raise RuntimeError(f"the service echoed {WRONG} and sig=abc%2Fdef&x=1")

    env_file = disk.write_env(disk.env_file, STORAGE_SECRET_KEY=WRONG)
    monkeypatch.setattr(mb, "locate_bucket", fail)
    monkeypatch.setenv("STORAGE_SECRET_KEY", WRONG)
    done = run("--env-file", env_file, "-vv", "mb", "sv://x")
    assert done.code == 1
    assert "Traceback" in done.err
    assert "***" in done.err
    _assert_none(done.said.encode(), [WRONG, "abc%2Fdef"], "a traceback")


def test_in_lines_of_a_broken_file(tmp_path: Path) -> None:
    env_file = tmp_path / "broken.env"
    bare = WRONG.rstrip("=")
    for text in (
        f"STORAGE_SECRET_KEY {bare}\n",
        f"STORAGE_SECRET_KEY='{WRONG}\n",
        f"A=1\nexport {bare}\n",
        f"STORAGE_PROVIDER=minio\nSTORAGE_PORT={WRONG}\n",
    ):
        env_file.write_text(text)
        done = run("--env-file", env_file, "-vv", "config", "check")
        assert done.code == 2, done.said
        _assert_none(done.said.encode(), [bare], text)


def test_a_presigned_url_reaches_no_log(new_store: NEW, tmp_path: Path) -> None:
    store = new_store("s3")
    store.write("x", b"1")
    log = tmp_path / "log"
    url = store("-vv", "--log-file", log, "presign", "public:x").ok().out.strip()
    signature = url.rpartition("X-Amz-Signature=")[2]
    assert len(signature) == 64
    assert signature.encode() not in log.read_bytes()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_in_the_process_table(new_store: NEW, tmp_path: Path) -> None:
    store = new_store("s3")
    big = tmp_path / "big"
    big.write_bytes(bytes(4 << 20))
    words = command("--env-file", store.env_file, "cp", "--bwlimit", "2M", big, "public:big")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        time.sleep(0.7)
        assert process.poll() is None
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"svstorage" in seen
        _assert_none(seen, [SECRET_KEY], "the arguments")
    finally:
        process.kill()
        process.communicate()


def test_secret_files_are_for_the_owner(new_store: NEW, tree: Path, tmp_path: Path) -> None:
    store = new_store("s3")
    store.env_file.chmod(0o644)
    done = store("ls").ok()
    assert "chmod 600" in done.err
    store.env_file.chmod(0o600)
    log, report = tmp_path / "log", tmp_path / "report"
    words = ["--env-file", store.env_file, "--log-file", log, "cp", "-r", "--report", report]
    spawn(*words, f"{tree}/", "public:", umask=0).ok()
    assert log.stat().st_mode & 0o077 == 0
    assert report.stat().st_mode & 0o077 == 0
    shutil.rmtree(tree)
