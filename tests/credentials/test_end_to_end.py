"""Credentials that end and are renewed while the command works, against real S3 servers.

The front before the server refuses session tokens that have ended and keeps a log; the server
behind it (rclone) checks the signatures.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

import svstorage
from tests.cli.conftest import run
from tests.credentials.conftest import CANARY
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY

ROLE = "test-role"


def write_env(path: Path, **values: str) -> Path:
    path.write_text("STORAGE_PROVIDER=minio\n" + "".join(f"{k}={v}\n" for k, v in values.items()))
    path.chmod(0o600)
    return path


@pytest.fixture
def role(rclone_s3, front, imds, monkeypatch, tmp_path):
    """A front that takes only what the metadata service gave out, and its settings file."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.endpoint)
    imds.rotate = True
    before = front(rclone_s3.endpoint)
    before.ends = imds.issued
    env = write_env(tmp_path / ".env.role", STORAGE_ENDPOINT=before.endpoint, STORAGE_IAM_ROLE=ROLE)
    return before, env


@pytest.fixture
def bucket(rclone_s3, new_bucket) -> str:
    return new_bucket(rclone_s3)


def files(folder: Path, count: int, size: int = 20_000) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03d}").write_bytes(bytes([number % 251]) * size)
    return folder


def test_role_writes_and_reads(role, bucket, imds, tmp_path):
    front, env = role
    (tmp_path / "a.bin").write_bytes(b"by the role")
    run("--env-file", env, "cp", tmp_path / "a.bin", f"sv://{bucket}/a.bin").ok()
    assert run("--env-file", env, "cat", f"sv://{bucket}/a.bin").ok().out == "by the role"
    assert [asked.method for asked in imds.requests][:2] == ["PUT", "GET"], "no IMDSv2 session"
    assert imds.requests[1].headers["x-aws-ec2-metadata-token"] in imds.tokens
    assert front.log
    assert {sent.token for sent in front.log} <= set(imds.issued)
    assert front.access_keys == {ACCESS_KEY}
    assert front.expired == []


def test_config_check_names_the_role(role, bucket):
    _, env = role
    done = run("--env-file", env, "--json", "config", "check").ok()
    assert "iam-role" in done.said
    assert SECRET_KEY not in done.said
    assert "testsessiontoken" not in done.said


def test_motos_own_metadata_service(moto_server, new_bucket, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", moto_server.endpoint)
    env = write_env(
        tmp_path / ".env", STORAGE_ENDPOINT=moto_server.endpoint, STORAGE_IAM_ROLE="default-role"
    )
    bucket = new_bucket(moto_server)
    (tmp_path / "a").write_bytes(b"moto")
    run("--env-file", env, "cp", tmp_path / "a", f"sv://{bucket}/a").ok()
    assert moto_server.keys(bucket) == {"a": 4}


def test_another_role_is_attached(role, bucket, imds, tmp_path):
    front, env = role
    imds.roles = {"the-real-one": imds.roles[ROLE]}
    (tmp_path / "a").write_bytes(b"x")
    done = run("--env-file", env, "cp", tmp_path / "a", f"sv://{bucket}/a")
    assert done.code == 3
    assert "the-real-one" in done.err
    assert ROLE in done.err
    assert front.log == []


def test_renewed_in_a_running_copy(role, bucket, imds, rclone_s3, tmp_path):
    front, env = role
    source = files(tmp_path / "source", 90)
    imds.roles[ROLE].lifetime = 3
    front.delay = 0.1
    done = run("--env-file", env, "cp", "-r", "--concurrency", "2", source, f"sv://{bucket}/d")
    done.ok()
    assert len(imds.issued) >= 3, "the copy was over too soon to need a renewal"
    assert front.expired == []
    assert len({sent.token for sent in front.log}) >= 3
    assert len(rclone_s3.keys(bucket)) == 90
    assert "testsessiontoken" not in done.said


def test_renewed_in_a_running_upload_of_parts(role, bucket, imds, rclone_s3, tmp_path):
    front, env = role
    big = tmp_path / "big"
    big.write_bytes(b"0123456789abcdef" * (4 * 1024 * 1024))
    imds.roles[ROLE].lifetime = 2
    front.delay = 0.8  # the parts go together
    run("--env-file", env, "cp", "--concurrency", "1", big, f"sv://{bucket}/big").ok()
    sent = [one for one in front.log if "upload" in one.path]
    assert len(sent) >= 6, "not sent in parts"
    assert len({one.token for one in sent}) >= 2
    assert front.expired == []
    stored = rclone_s3.client().get_object(Bucket=bucket, Key="big")["Body"].read()
    assert stored == big.read_bytes()


def test_a_refused_renewal_fails_clean_and_a_rerun_finishes(
    role, bucket, imds, rclone_s3, tmp_path
):
    front, env = role
    source = files(tmp_path / "source", 60)
    imds.roles[ROLE].lifetime = 2
    front.delay = 0.1
    words = ("--env-file", env, "sync", "--concurrency", "2", source, f"sv://{bucket}/d")

    def refuse() -> None:
        while len(front.log) < 20:
            time.sleep(0.01)
        imds.status = 403

    breaker = threading.Thread(target=refuse, daemon=True)
    breaker.start()
    done = run(*words)
    breaker.join(10)
    assert done.code in (1, 3), done.said
    assert "metadata service" in done.err
    held = rclone_s3.keys(bucket)
    assert 0 < len(held) < 60
    assert set(held.values()) == {20_000}, "something half-written"
    assert front.expired == [], "credentials that had ended were sent"

    imds.status = None
    imds.roles[ROLE].lifetime = 600
    front.delay = 0
    front.log.clear()
    run(*words).ok()
    sent_again = {sent.path.rpartition("/")[2] for sent in front.log if sent.method == "PUT"}
    assert not sent_again & {key.rpartition("/")[2] for key in held}
    assert len(rclone_s3.keys(bucket)) == 60


def test_expired_by_the_services_word(role, bucket, imds, rclone_s3, tmp_path):
    """The service ends a session early (a revoked one): renewed once, and the work goes on."""
    front, env = role
    storage = svstorage.connect(env_file=env)
    storage.store.put(bucket, "one", b"1", size=1)
    imds.issued.update(dict.fromkeys(imds.issued, 0.0))
    storage.store.put(bucket, "two", b"2", size=1)
    assert len(front.expired) == 1
    assert set(rclone_s3.keys(bucket)) == {"one", "two"}
    storage.close()


@pytest.mark.parametrize("library", ["s3fs", "obstore"])
def test_the_libraries_get_renewed_credentials(role, bucket, imds, library):
    front, env = role
    imds.roles[ROLE].lifetime = 2
    storage = svstorage.connect(env_file=env)
    if library == "s3fs":
        fs = storage.provider_fs()
        write, read = (
            lambda key, data: fs.pipe_file(f"{bucket}/{key}", data),
            lambda key: fs.cat_file(f"{bucket}/{key}"),
        )
    else:
        native = storage.store.native(bucket)  # type: ignore[attr-defined]
        write, read = (
            native.put,
            lambda key: bytes(native.get(key).bytes()),
        )
    write("k", b"first")
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        assert read("k") == b"first"
        time.sleep(0.2)
    write("k", b"second")
    assert read("k") == b"second"
    assert front.expired == []
    assert len({sent.token for sent in front.log}) >= 3
    assert {sent.token for sent in front.log} <= set(imds.issued)
    storage.close()


def test_two_sides_renew_each_for_itself(role, bucket, imds, moto_server, front, tmp_path):
    """Row 68: two services with logs; each sees its own credentials alone."""
    here, env = role
    there = front(moto_server.endpoint)
    target = moto_server.new_bucket()
    other = write_env(
        tmp_path / ".env.other",
        STORAGE_ENDPOINT=there.endpoint,
        STORAGE_ACCESS_KEY="othersidekey",
        STORAGE_SECRET_KEY=CANARY,
        STORAGE_SESSION_TOKEN="othersidetoken",
    )
    storage = svstorage.connect(env_file=env)
    for number in range(5):
        storage.store.put(bucket, f"k{number}", b"data", size=4)
    storage.close()
    run("cp", "-r", "--from-env", env, "--to-env", other, f"sv://{bucket}/", f"sv://{target}/").ok()
    assert len(moto_server.keys(target)) == 5
    assert here.access_keys == {ACCESS_KEY}
    assert there.access_keys == {"othersidekey"}
    assert {sent.token for sent in there.log} == {"othersidetoken"}
    assert "othersidetoken" not in here.text()
    assert "testsessiontoken" not in there.text()
    assert CANARY not in here.text() + there.text()
    moto_server.drop_bucket(target)


def test_one_account_copies_inside_only_with_itself(moto_server, front, tmp_path):
    """Two sets of credentials for one service: the source's never read for the destination."""
    both = front(moto_server.endpoint)
    source, target = moto_server.new_bucket(), moto_server.new_bucket()
    moto_server.client().put_object(Bucket=source, Key="k", Body=b"data")
    envs = [
        write_env(
            tmp_path / f".env.{name}",
            STORAGE_ENDPOINT=both.endpoint,
            STORAGE_ACCESS_KEY=name,
            STORAGE_SECRET_KEY=CANARY,
        )
        for name in ("readerkey", "writerkey")
    ]
    run("cp", "-r", "--from-env", envs[0], "--to-env", envs[1],
        f"sv://{source}/", f"sv://{target}/").ok()  # fmt: skip
    writes = [sent for sent in both.log if sent.method in ("PUT", "POST", "DELETE")]
    assert writes
    assert {sent.access_key for sent in writes} == {"writerkey"}
    assert all(f"/{source}" not in sent.path for sent in both.log if sent in writes)
    assert not any("x-amz-copy-source" in sent.headers for sent in both.log)
    reads = [sent for sent in both.log if sent.path.startswith(f"/{source}/k")]
    assert {sent.access_key for sent in reads} == {"readerkey"}
    for name in (source, target):
        moto_server.drop_bucket(name)


# The other resolvers, through the command


@pytest.fixture
def fronted(moto_server, front):
    return front(moto_server.endpoint), moto_server


def _cycle(env: Path, server: Any, tmp_path: Path) -> None:
    bucket = server.new_bucket()
    (tmp_path / "a").write_bytes(b"data")
    run("--env-file", env, "cp", tmp_path / "a", f"sv://{bucket}/a").ok()
    assert run("--env-file", env, "cat", f"sv://{bucket}/a").ok().out == "data"
    server.drop_bucket(bucket)


def test_session_token(fronted, tmp_path):
    front, server = fronted
    env = write_env(
        tmp_path / ".env", STORAGE_ENDPOINT=front.endpoint, STORAGE_ACCESS_KEY="tempkey",
        STORAGE_SECRET_KEY=CANARY, STORAGE_SESSION_TOKEN="temptoken",
    )  # fmt: skip
    front.ends = {"temptoken": time.time() + 600}
    _cycle(env, server, tmp_path)
    front.ends["temptoken"] = 0
    done = run("--env-file", env, "ls")
    assert done.code == 3
    assert "expired" in done.err
    assert "temptoken" not in done.err


def test_profile(fronted, monkeypatch, tmp_path):
    front, server = fronted
    config = tmp_path / "aws-credentials"
    config.write_text(
        f"[work]\naws_access_key_id = profilekey\naws_secret_access_key = {CANARY}\n"
        "aws_session_token = profiletoken\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "work")
    env = write_env(
        tmp_path / ".env", STORAGE_ENDPOINT=front.endpoint, STORAGE_CREDENTIALS="profile"
    )
    _cycle(env, server, tmp_path)
    assert front.access_keys == {"profilekey"}
    assert {sent.token for sent in front.log} == {"profiletoken"}


def test_container(fronted, imds, monkeypatch, tmp_path):
    front, server = fronted
    imds.rotate = True
    monkeypatch.setenv(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{imds.endpoint}/container/credentials"
    )
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", imds.container_token)
    env = write_env(
        tmp_path / ".env", STORAGE_ENDPOINT=front.endpoint, STORAGE_CREDENTIALS="container"
    )
    front.ends = imds.issued
    _cycle(env, server, tmp_path)
    assert front.access_keys == {ACCESS_KEY}


def test_web_identity(fronted, monkeypatch, tmp_path):
    front, server = fronted
    token = tmp_path / "token"
    token.write_text("eyJhbGciOiJub25lIn0." + "canary")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pods/reader")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.endpoint)
    env = write_env(
        tmp_path / ".env", STORAGE_ENDPOINT=front.endpoint, STORAGE_CREDENTIALS="web-identity"
    )
    _cycle(env, server, tmp_path)
    assert {key[:4] for key in front.access_keys} == {"ASIA"}
    assert all(sent.token for sent in front.log)
    assert "eyJhbGciOiJub25lIn0" not in front.text()
