"""The commands, with nothing but settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.ssh import SshServer


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    (folder / "sub").mkdir()
    (folder / "a.txt").write_text("one")
    (folder / "sub" / "b.bin").write_bytes(os.urandom(1_000_000))
    (folder / "empty").mkdir()
    return folder


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "svstorage.cli", *words],
        env={**{name: os.environ[name] for name in ("PATH", "HOME")}, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def done(env: dict[str, str], *words: str) -> str:
    result = run(env, *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_copy_sync_check(env: dict[str, str], root: Path, tree: Path, tmp_path: Path) -> None:
    done(env, "mb", "sv://data")
    done(env, "cp", "-r", str(tree), "sv://data/x/")
    assert (root / "data/x/sub/b.bin").read_bytes() == (tree / "sub/b.bin").read_bytes()
    assert (root / "data/x/empty").is_dir()
    done(env, "check", str(tree), "sv://data/x/")
    done(env, "sync", str(tree), "sv://data/x/")
    again = json.loads(done(env, "--json", "sync", str(tree), "sv://data/x/").splitlines()[-1])
    assert again.get("copied", 0) == 0, again
    before = (root / "data/x/a.txt").stat().st_mtime
    assert before == int((tree / "a.txt").stat().st_mtime), "the time is carried along"
    (tree / "a.txt").write_text("two")
    differs = run(env, "check", "--checksum", str(tree), "sv://data/x/")
    assert differs.returncode == 1
    done(env, "sync", str(tree), "sv://data/x/")
    assert done(env, "cat", "sv://data/x/a.txt") == "two"
    done(env, "cp", "-r", "sv://data/x", str(tmp_path / "back"))
    assert (tmp_path / "back/sub/b.bin").read_bytes() == (tree / "sub/b.bin").read_bytes()
    done(env, "mv", "sv://data/x/a.txt", "sv://data/y/a.txt")
    assert sorted(os.listdir(root / "data")) == ["x", "y"]
    done(env, "rm", "-r", "sv://data/x/", "sv://data/y/")
    assert os.listdir(root / "data") == []


def test_config_check(env: dict[str, str]) -> None:
    done(env, "mb", "-p", "sv://checked")
    said = done(env, "config", "check")
    assert "key" in said


def test_python(env: dict[str, str]) -> None:
    program = (
        "import fsspec\n"
        "with fsspec.open('sv://py/deep/x.txt', 'w') as file: file.write('words')\n"
        "print(fsspec.open('sv://py/deep/x.txt', 'r').open().read())\n"
    )
    done(env, "mb", "sv://py")
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**{name: os.environ[name] for name in ("PATH", "HOME")}, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == "words\n", result.stderr


def test_a_wrong_host_key_ends_with_3(env: dict[str, str], sshd: SshServer, tmp_path: Path) -> None:
    other = sshd.key_file.with_name("client_key.pub").read_text()  # any key but the host's
    hosts = tmp_path / "hosts"
    hosts.write_text(f"[127.0.0.1]:{sshd.port} {other}")
    refused = run({**env, "STORAGE_SFTP_KNOWN_HOSTS": str(hosts)}, "ls", "sv://")
    assert refused.returncode == 3
    assert "is not the one known for it" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"STORAGE_ENDPOINT": ""}, "STORAGE_ENDPOINT"),
        ({"STORAGE_ENDPOINT": "https://host"}, "the scheme is not sftp"),
        ({"STORAGE_ENDPOINT": "sftp://bob:hunter2@host"}, "STORAGE_ACCESS_KEY"),
        ({"STORAGE_ENDPOINT": "sftp://host/srv"}, "STORAGE_SFTP_ROOT"),
        ({"STORAGE_ENDPOINT": "host:99999"}, "cannot be read"),
        ({"STORAGE_PORT": "1"}, "STORAGE_PORT"),
        ({"STORAGE_ACCESS_KEY": ""}, "STORAGE_ACCESS_KEY"),
        ({"STORAGE_CREDENTIALS_PATH": "/nowhere"}, "STORAGE_CREDENTIALS_PATH"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_settings_end_with_2(env: dict[str, str], changes: dict[str, str], said: str) -> None:
    refused = run({**env, **changes}, "ls", "sv://")
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr
    assert "hunter2" not in refused.stderr
