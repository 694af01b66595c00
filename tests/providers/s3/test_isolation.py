"""Credentials and data go to the service that the settings name, and to nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

import svstorage
from svstorage.errors import SettingsError, StorageError
from tests.cli.conftest import run
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY

CANARY = "canaryAmbient0123456789"
CANARIES = {
    "AWS_ACCESS_KEY_ID": f"AKIA{CANARY}",
    "AWS_SECRET_ACCESS_KEY": f"secret{CANARY}",
    "AWS_SESSION_TOKEN": f"token{CANARY}",
    "AWS_SECURITY_TOKEN": f"older{CANARY}",
    "AWS_REGION": "eu-canary-1",
    "AWS_DEFAULT_REGION": "eu-canary-1",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy",
}


@pytest.fixture
def ambient(monkeypatch, tmp_path, front):
    """A machine full of AWS settings that are not ours; a front that is the wrong address."""
    wrong = front()
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    for name, text in (
        (
            "credentials",
            f"[default]\naws_access_key_id=AKIA{CANARY}\naws_secret_access_key=p{CANARY}\n",
        ),
        ("config", f"[default]\nregion=eu-canary-1\nendpoint_url={wrong.endpoint}\n"),
    ):
        (home / ".aws" / name).write_text(text)
    monkeypatch.setenv("HOME", str(home))
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "http_proxy",
                 "HTTPS_PROXY", "ALL_PROXY"):  # fmt: skip
        monkeypatch.setenv(name, wrong.endpoint)
    return wrong


def settings(path: Path, endpoint: str, **more: str) -> Path:
    values = {
        "STORAGE_PROVIDER": "minio",
        "STORAGE_ENDPOINT": endpoint,
        "STORAGE_ACCESS_KEY": ACCESS_KEY,
        "STORAGE_SECRET_KEY": SECRET_KEY,
        **more,
    }
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items() if value))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("way", ["store", "s3fs", "obstore", "command"])
def test_ambient_settings_have_no_say(ambient, rclone_s3, new_bucket, front, tmp_path, way):
    bucket = new_bucket(rclone_s3)
    ours = front(rclone_s3.endpoint)
    env = settings(tmp_path / ".env", ours.endpoint)
    storage = svstorage.connect(env_file=env)
    if way == "store":
        storage.store.put(bucket, "k", b"data", size=4)
        assert bytes(storage.store.read(bucket, "k").read()) == b"data"
    elif way == "s3fs":
        fs = storage.provider_fs()
        fs.pipe_file(f"{bucket}/k", b"data")
        assert fs.cat_file(f"{bucket}/k") == b"data"
        assert fs.find(bucket) == [f"{bucket}/k"]
    elif way == "obstore":
        store = storage.store.native(bucket)  # type: ignore[attr-defined]
        store.put("k", b"data")
        assert bytes(store.get("k").bytes()) == b"data"
    else:
        (tmp_path / "k").write_bytes(b"data")
        run("--env-file", env, "cp", tmp_path / "k", f"sv://{bucket}/k").ok()
    storage.close()
    assert ours.log
    assert ours.access_keys == {ACCESS_KEY}
    assert {sent.token for sent in ours.log} == {""}
    assert CANARY not in ours.text()
    assert "eu-canary-1" not in ours.text()
    assert SECRET_KEY not in ours.text()
    assert ambient.log == []


def test_ambient_credentials_are_not_offered_to_other_services(ambient, front, tmp_path):
    """Row 64: no keys of our own, and the endpoint is not AWS."""
    ours = front()
    env = settings(tmp_path / ".env", ours.endpoint, STORAGE_ACCESS_KEY="", STORAGE_SECRET_KEY="")
    done = run("--env-file", env, "ls")
    assert done.code in (2, 3)
    assert "STORAGE_CREDENTIALS" in done.err or "STORAGE_ACCESS_KEY" in done.err
    assert ours.log == []
    assert ambient.log == []
    assert CANARY not in done.said


def test_ambient_credentials_go_there_when_named(ambient, front, moto_server, tmp_path):
    ours = front(moto_server.endpoint)
    env = settings(
        tmp_path / ".env", ours.endpoint, STORAGE_ACCESS_KEY="", STORAGE_SECRET_KEY="",
        STORAGE_CREDENTIALS="environment",
    )  # fmt: skip
    run("--env-file", env, "ls").ok()
    assert ours.access_keys == {CANARIES["AWS_ACCESS_KEY_ID"]}
    assert ambient.log == []


def test_anonymous_sends_nothing(ambient, front, moto_server, tmp_path):
    ours = front(moto_server.endpoint)
    env = settings(
        tmp_path / ".env", ours.endpoint, STORAGE_ACCESS_KEY="", STORAGE_SECRET_KEY="",
        STORAGE_CREDENTIALS="anonymous",
    )  # fmt: skip
    run("--env-file", env, "ls")
    assert ours.log
    assert all("authorization" not in sent.headers for sent in ours.log)
    assert CANARY not in ours.text()


# Row 45: redirects


@pytest.fixture(params=[301, 302, 303, 307, 308])
def redirecting(request, front):
    """(a service that sends everybody to another, that other one)."""
    other = front()
    first = front()
    first.answer = lambda handler: (
        request.param,
        {"Location": f"{other.endpoint}{handler.path}", "x-amz-bucket-region": "eu-west-1"},
        b"",
    )
    return first, other


@pytest.mark.parametrize("token", ["", "temporarytoken"], ids=["keys", "token"])
def test_redirects_are_not_followed(redirecting, tmp_path, token):
    first, other = redirecting
    env = settings(tmp_path / ".env", first.endpoint, STORAGE_SESSION_TOKEN=token)
    store = svstorage.connect(env_file=env).store
    calls = [
        store.list_buckets,
        lambda: list(store.list("bucket")),
        lambda: store.head("bucket", "k"),
        lambda: store.read("bucket", "k"),
        lambda: store.put("bucket", "k", b"the data", size=8),
        lambda: store.delete("bucket", "k"),
        lambda: store.start_upload("bucket", "k", size=1),  # type: ignore[attr-defined]
    ]
    for call in calls:
        with pytest.raises(StorageError) as told:
            call()
        assert "redirect" in str(told.value)
        assert told.value.exit_code == 3
    assert len(first.log) >= len(calls)
    assert other.log == []
    store.close()


def test_the_command_does_not_follow_either(front, tmp_path):
    other, first = front(), front()
    first.answer = lambda handler: (307, {"Location": f"{other.endpoint}{handler.path}"}, b"")
    env = settings(tmp_path / ".env", first.endpoint, STORAGE_SESSION_TOKEN="temporarytoken")
    (tmp_path / "k").write_bytes(b"secret data")
    for words in (
        ("cp", tmp_path / "k", "sv://bucket/k"),
        ("cat", "sv://bucket/k"),
    ):
        done = run("--env-file", env, *words)
        assert done.code in (1, 3), done.said
        assert "temporarytoken" not in done.said
    assert first.log
    assert other.log == []


def test_s3fs_does_not_follow(redirecting, tmp_path):
    first, other = redirecting
    env = settings(tmp_path / ".env", first.endpoint, STORAGE_SESSION_TOKEN="temporarytoken")
    storage = svstorage.connect(env_file=env)
    fs = storage.provider_fs()
    with pytest.raises(OSError, match=r"."):
        fs.cat_file("bucket/k")
    with pytest.raises(OSError, match=r"."):
        fs.pipe_file("bucket/k", b"the data")
    assert first.log
    assert other.log == []
    storage.close()


def test_obstore_follows_with_no_secret_of_ours(redirecting, tmp_path):
    """It cannot be kept from following; so it is not used where there is a session token."""
    first, other = redirecting
    env = settings(tmp_path / ".env", first.endpoint)
    storage = svstorage.connect(env_file=env)
    store = storage.store
    assert store.native_reads  # type: ignore[attr-defined]
    assert store.native_writes  # type: ignore[attr-defined]
    native = store.native("bucket")  # type: ignore[attr-defined]
    with pytest.raises(Exception, match=r"."):
        native.put("k", b"the data", use_multipart=False)
    with pytest.raises(Exception, match=r"."):
        native.get("k")
    assert "the data" not in other.text()
    assert all("authorization" not in sent.headers for sent in other.log)
    assert ACCESS_KEY not in other.text()
    storage.close()


@pytest.mark.parametrize(
    ("endpoint", "more", "usable"),
    [
        ("http://127.0.0.1:9", {}, True),
        ("http://127.0.0.1:9", {"STORAGE_SESSION_TOKEN": "t"}, False),
        ("https://minio.example", {"STORAGE_SESSION_TOKEN": "t"}, False),
        ("https://s3.eu-central-1.amazonaws.com", {"STORAGE_SESSION_TOKEN": "t"}, True),
    ],
)
def test_where_obstore_is_used(tmp_path, endpoint, more, usable):
    env = settings(tmp_path / ".env", endpoint, **more)
    store = svstorage.connect(env_file=env).store
    assert store.native_reads is usable  # type: ignore[attr-defined]
    assert store.native_writes is usable  # type: ignore[attr-defined]


def test_a_ca_bundle_that_is_none_is_told_as_a_setting(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nno certificate\n-----END CERTIFICATE-----\n")
    env = settings(tmp_path / ".env", "https://127.0.0.1:9", STORAGE_CA_BUNDLE=str(bundle))
    store = svstorage.connect(env_file=env).store
    with pytest.raises(SettingsError, match="STORAGE_CA_BUNDLE: its certificates cannot be read"):
        store.list_buckets()
