"""config show, check and init: what is wrong, where it stands, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Store, run
from tests.servers.process import free_port

NEW = Callable[..., Store]


def shown(path: Path) -> str:
    """As messages name a file below the working directory."""
    return os.path.relpath(path)


def _broken(store: Store, name: str, value: str) -> Path:
    return store.write_env(store.env_file.with_name("broken.env"), **{name: value})


def test_check_goes_all_the_way_and_leaves_nothing(store: Store) -> None:
    done = store("config", "check").ok()
    steps = [line.split()[1] for line in done.out.splitlines()]
    assert steps == [
        "settings", "provider", "credentials", "connect", "bucket", "list", "write", "read",
        "delete",
    ]  # fmt: skip
    assert all(line.startswith("ok ") for line in done.out.splitlines())
    assert store.holds() == store.holds(store.private) == {}
    read_only = store("config", "check", "--read-only").ok()
    assert "write" not in read_only.out


def test_check_as_json(store: Store) -> None:
    page = store("--json", "config", "check").ok().json
    assert page["ok"] is True
    assert {step["step"] for step in page["steps"]} >= {"connect", "write", "delete"}


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_wrong_secret(new_store: NEW, kind: str) -> None:
    wrong = "d3JvbmctYnV0LXdlbGwtZm9ybWVk" * 2
    env_file = _broken(new_store(kind), "STORAGE_SECRET_KEY", wrong)
    done = run("--env-file", env_file, "config", "check")
    assert done.code == 3
    assert "FAILED  connect" in done.out
    assert f"STORAGE_SECRET_KEY (file {shown(env_file)} line 4)" in done.out
    assert wrong not in done.said
    assert "error: connect:" in done.err
    for words in (["ls"], ["cp", env_file, "public:x"]):
        refused = run("--env-file", env_file, *words)
        assert refused.code == 3, refused.said
        assert refused.err.startswith("error: ")


def test_wrong_access_key(new_store: NEW) -> None:
    env_file = _broken(new_store("s3"), "STORAGE_ACCESS_KEY", "nobody-knows-me")
    done = run("--env-file", env_file, "config", "check")
    assert done.code == 3
    assert f"STORAGE_ACCESS_KEY (file {shown(env_file)} line 3) is unknown" in done.out


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_wrong_port(new_store: NEW, kind: str) -> None:
    store = new_store(kind, make=False)
    path = "/devstoreaccount1" if kind == "azure" else ""
    env_file = _broken(store, "STORAGE_ENDPOINT", f"http://127.0.0.1:{free_port()}{path}")
    done = run("--env-file", env_file, "config", "check")
    assert done.code == 3
    assert "nothing listens there" in done.out
    assert f"STORAGE_ENDPOINT (file {shown(env_file)} line 2)" in done.out
    assert run("--env-file", env_file, "ls").code == 3


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_unknown_host(new_store: NEW, kind: str) -> None:
    store = new_store(kind, make=False)
    env_file = _broken(store, "STORAGE_ENDPOINT", "https://storage.invalid")
    done = run("--env-file", env_file, "config", "check")
    assert done.code == 3
    assert "storage.invalid" in done.out
    assert f"STORAGE_ENDPOINT (file {shown(env_file)} line 2) spelled right" in done.out


def test_tls_on_a_plain_port(new_store: NEW) -> None:
    store = new_store("s3", make=False)
    env_file = _broken(store, "STORAGE_ENDPOINT", f"https://127.0.0.1:{store.server.server.port}")
    done = run("--env-file", env_file, "config", "check")
    assert done.code == 3
    assert "STORAGE_USE_SSL" in done.out


def test_missing_bucket(store: Store) -> None:
    done = store("config", "check", "--bucket", "no-such-bucket")
    assert done.code == 1
    assert "no bucket 'no-such-bucket'" in done.out
    assert "mb sv://no-such-bucket" in done.out
    copy = store("cp", store.env_file, "sv://no-such-bucket/x")
    assert copy.code == 1
    assert "svstorage mb sv://no-such-bucket" in copy.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("STORAGE_PROVIDER=minoi\n", "minoi"),
        ("STORAGE_PROVIDER=minio\nSTORAGE_ENDPOINT=http://127.0.0.1:1\nSTORAGE_ACCESS_KEY=a\n",
         "STORAGE_SECRET_KEY"),
        ("STORAGE_PROVIDER=minio\nSTORAGE_PORT=99999\n", "STORAGE_PORT"),
        ("STORAGE_PROVIDER=minio\nSTORAGE_USE_SSL=perhaps\n", "STORAGE_USE_SSL"),
        ("STORAGE_PROVIDER\n", "line 1"),
        ("STORAGE_PROVIDER=http\nSTORAGE_PROVIDER=http\n", "line 2"),
        ("A='never closed\n", "line 1"),
    ],
    ids=["provider", "half-a-key", "port", "ssl", "bare-name", "twice", "quote"],
)  # fmt: skip
def test_wrong_settings_name_the_variable_or_line(tmp_path: Path, text: str, says: str) -> None:
    env_file = tmp_path / "wrong.env"
    env_file.write_text(text)
    for words in (["config", "check"], ["ls"], ["cp", env_file, "public:x"]):
        done = run("--env-file", env_file, *words)
        assert done.code == 2, done.said
        assert says in done.err
        assert shown(env_file) in done.err or "minoi" in text
        assert "Traceback" not in done.err


def test_show_masks_secrets_and_names_sources(
    new_store: NEW, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store("s3", make=False)
    monkeypatch.setenv("STORAGE_REGION", "eu-central-1")
    done = store("config", "show").ok()
    assert f"STORAGE_ENDPOINT={store.server.server.endpoint}" in done.out
    assert f"from file {shown(store.env_file)} line 2" in done.out
    assert "STORAGE_SECRET_KEY=***" in done.out
    assert store.server.server.secret_key not in done.said
    assert "STORAGE_REGION=eu-central-1\n    from environment" in done.out
    assert "DATA_PATH" not in done.out
    assert "DATA_PATH" in store("config", "show", "--all").ok().out
    page = store("--json", "config", "show").ok().json
    found = {one["name"]: one for one in page["settings"]}
    assert found["STORAGE_SECRET_KEY"]["value"] == "***"
    assert found["STORAGE_REGION"]["source"] == "environment"
    assert page["provider"] == "minio"


def test_typo_gets_a_warning_with_both_names(disk: Store) -> None:
    env_file = disk.write_env(disk.env_file, STORAGE_REGOIN="eu")
    done = run("--env-file", env_file, "config", "show").ok()
    assert "STORAGE_REGOIN" in done.err
    assert "STORAGE_REGION" in done.err


@pytest.mark.parametrize("provider", ["http", "minio", "azure", "local", "s3"])
def test_init_writes_what_show_reads(tmp_path: Path, provider: str) -> None:
    printed = run("config", "init", provider).ok().out
    assert "STORAGE_PROVIDER=" in printed
    path = tmp_path / "made.env"
    run("config", "init", provider, "--output", path).ok()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == printed
    run("--env-file", path, "config", "show").ok()
    again = run("config", "init", provider, "-o", path)
    assert again.code == 2
    assert "there already" in again.err
    assert run("config", "init", "no-such").code == 2


def test_check_reads_the_links_file(disk: Store, tmp_path: Path) -> None:
    links = tmp_path / "links.yml"
    links.write_text("cars: {provider: nosuch, acess_key: x, secret_key: y}\n")
    links.chmod(0o644)
    env_file = _broken(disk, "STORAGE_LINKS_FILE", str(links))
    done = run("--env-file", env_file, "config", "check").ok()
    assert "1 storage: cars" in done.out
    assert "cars.acess_key" in done.err
    assert "Did you mean access_key?" in done.err
    assert "chmod 600" in done.err
    named = run("--env-file", env_file, "ls", "sv://cars@b")
    assert named.code == 2
    assert f"is called 'nosuch' (from links file {shown(links)} line 1)" in named.err
    links.unlink()
    gone = run("--env-file", env_file, "config", "check")
    assert gone.code == 2
    assert "STORAGE_LINKS_FILE: there is no such file" in gone.err
    assert "ok      delete" in gone.out, "the storage itself is tried all the same"
