"""Keys, endpoints, certificates: what is wrong is said by exit 3 or 2, nothing is touched."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import Cli, Done
from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import sample
from tests.servers.process import free_port

pytestmark = pytest.mark.faults

MakeJourney = Callable[..., Journey]


def settings(path: Path, **values: str) -> Path:
    path.write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    path.chmod(0o600)
    return path


def up(cli: Cli, source: Path, file: Path, bucket: str, **how: Any) -> Done:
    return cli.run("-v", "sync", "--to-env", file, source, f"sv://{bucket}/", timeout=30, **how)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "one").write_bytes(b"1")
    return folder


HERE = "127.0.0.1"


def at(endpoint: str, **more: str) -> dict[str, str]:
    return {"STORAGE_ENDPOINT": endpoint, **more}


# Name: what is changed, the exit codes, a word that must be said.
WRONG: dict[str, tuple[dict[str, str], set[int], str]] = {
    "wrong secret": ({"STORAGE_SECRET_KEY": "wrongsecretkey"}, {3}, ""),
    "wrong access key": ({"STORAGE_ACCESS_KEY": "wrongaccesskey"}, {3}, ""),
    "wrong port": (at("http://127.0.0.1:{free}"), {3}, "refused"),
    "TLS to a plain port": (at("127.0.0.1:{port}", STORAGE_USE_SSL="true"), {3}, "TLS"),
    "unknown host": (at("http://no-such-host.test:9000"), {3}, "host"),
    "port that is no number": (at(HERE, STORAGE_PORT="abc"), {2}, "STORAGE_PORT"),
    "port 0": (at(HERE, STORAGE_PORT="0"), {2}, "STORAGE_PORT"),
    "port 70000": (at(HERE, STORAGE_PORT="70000"), {2}, "STORAGE_PORT"),
    "http to a public host": (at("http://storage.example.com"), {2}, "STORAGE_INSECURE"),
    "http by port to a public host": (
        at("storage.example.com", STORAGE_PORT="9000"), {2}, "STORAGE_INSECURE",
    ),
    "http on port 443": (at("http://127.0.0.1:443"), {2}, "443"),
    "a user in the URL": (at("http://me:sesame@127.0.0.1"), {2}, "STORAGE_ENDPOINT"),
    "instance metadata as endpoint": (at("http://169.254.169.254"), {2}, "metadata"),
    "its address in another form": (at("http://2852039166"), {2}, "STORAGE_ENDPOINT"),
    "a provider that is a typo": ({"STORAGE_PROVIDER": "minoi"}, {2}, "minio"),
    "no secret": ({"STORAGE_SECRET_KEY": ""}, {2, 3}, "STORAGE_SECRET_KEY"),
    "a CA file that is none": ({"STORAGE_CA_BUNDLE": "/etc/hostname"}, {2}, "STORAGE_CA_BUNDLE"),
}  # fmt: skip


@row("M50", "wrong secret, key, port, host, scheme; missing bucket; settings that cannot be meant",
     "exit 3 or 2, the mend named, nothing touched")  # fmt: skip
@pytest.mark.parametrize("how", list(WRONG))
def test_wrong_settings(
    how: str, cli: Cli, rclone_s3: Any, new_bucket: Any, source: Path, tmp_path: Path
) -> None:
    bucket = new_bucket(rclone_s3)
    changed, codes, word = WRONG[how]
    filled = {
        k: v.replace("{free}", str(free_port())).replace("{port}", str(rclone_s3.port))
        for k, v in changed.items()
    }
    env = settings(tmp_path / "wrong.env", **{**rclone_s3.env(), **filled})
    began = time.monotonic()
    done = up(cli, source, env, bucket)
    assert done.code in codes, done.explained
    assert word.lower() in done.stderr.lower(), done.explained
    assert time.monotonic() - began < 20
    assert "sesame" not in done.stderr
    assert rclone_s3.secret_key not in done.stderr
    assert rclone_s3.keys(bucket) == {}


@row("M50", "wrong secret, key, port, host, scheme; missing bucket; settings that cannot be meant",
     "exit 3 or 2, the mend named, nothing touched")  # fmt: skip
@pytest.mark.parametrize("server", ["rclone_s3", "azurite"])
def test_missing_bucket(server: str, cli: Cli, request: Any, source: Path, tmp_path: Path) -> None:
    running = request.getfixturevalue(server)
    env = running.write_env(tmp_path / "good.env")
    done = up(cli, source, env, "no-such-bucket-here")
    assert done.code in (1, 3), done.explained
    assert "no-such-bucket-here" in done.stderr
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "kept").write_bytes(b"k")
    down = cli.run(
        "sync", "--delete", "--max-delete", "9", "--from-env", env, "sv://no-such-bucket-here/",
        tmp_path / "there",
    )  # fmt: skip
    assert down.code in (1, 3), down.explained
    assert (tmp_path / "there" / "kept").exists()


@row("M50", "wrong secret, key, port, host, scheme; missing bucket; settings that cannot be meant",
     "exit 3 or 2, the mend named, nothing touched")  # fmt: skip
def test_azure_wrong_key(cli: Cli, azurite: Any, source: Path, tmp_path: Path) -> None:
    import base64

    env = azurite.write_env(
        tmp_path / "wrong.env", STORAGE_SECRET_KEY=base64.b64encode(b"wrong" * 12).decode()
    )
    text = env.read_text().splitlines()
    env.write_text("\n".join(x for x in text if azurite.key not in x) + "\n")
    done = up(cli, source, env, "whatever")
    assert done.code == 3, done.explained


@pytest.mark.slow
@row("M50r", "a key that may only read", "exit 3 or 1, says so; reading works")
def test_read_only_key(
    cli: Cli, seaweed_s3: Any, new_bucket: Any, source: Path, tmp_path: Path
) -> None:
    bucket = new_bucket(seaweed_s3)
    seaweed_s3.client().put_object(Bucket=bucket, Key="there", Body=b"t")
    env = settings(
        tmp_path / "ro.env",
        **{**seaweed_s3.env(), "STORAGE_ACCESS_KEY": "readonlykey",
           "STORAGE_SECRET_KEY": "readonlysecret"},
    )  # fmt: skip
    done = up(cli, source, env, bucket)
    assert done.code in (1, 3), done.explained
    assert "403" in done.stderr or "denied" in done.stderr.lower()
    assert set(seaweed_s3.keys(bucket)) == {"there"}
    down = cli.run("sync", "--from-env", env, f"sv://{bucket}/", tmp_path / "down")
    assert down.code == 0, down.explained


@row("M46", "a certificate nobody vouches for; http to a TLS port",
     "exit 3, the mend named; with STORAGE_CA_BUNDLE exit 0")  # fmt: skip
def test_certificates(
    cli: Cli, azurite_tls: Any, new_bucket: Any, source: Path, tmp_path: Path
) -> None:
    bucket = new_bucket(azurite_tls)
    good = azurite_tls.write_env(tmp_path / "good.env")
    bad = tmp_path / "bad.env"
    bad.write_text("".join(x for x in good.open() if not x.startswith("STORAGE_CA_BUNDLE")))
    bad.chmod(0o600)
    done = up(cli, source, bad, bucket)
    assert done.code == 3, done.explained
    assert "certificate" in done.stderr.lower()
    assert "STORAGE_CA_BUNDLE" in done.stderr
    plain = tmp_path / "plain.env"
    plain.write_text(bad.read_text().replace("https://", "http://"))
    plain.chmod(0o600)
    done = up(cli, source, plain, bucket)
    assert done.code == 3, done.explained
    assert up(cli, source, good, bucket).code == 0
    assert azurite_tls.keys(bucket) == {"one": 1}


@row("M64", "hostile AWS_*, AZURE_*, proxy variables and profiles in the environment",
     "not used: our own endpoint and keys are")  # fmt: skip
@pytest.mark.parametrize("way", ["up-s3", "down-s3", "s3-azure"])
def test_ambient(way: str, journey: MakeJourney, seed: int) -> None:
    copy = journey(way, sample(seed, small=4), proxy=False)
    trap = f"http://127.0.0.1:{free_port()}"
    aws = copy.cli.folder / "home" / ".aws"
    aws.mkdir(parents=True)
    (aws / "credentials").write_text("[default]\naws_access_key_id=x\naws_secret_access_key=y\n")
    done = copy.run(
        env={
            "AWS_ACCESS_KEY_ID": "ambient", "AWS_SECRET_ACCESS_KEY": "ambient",
            "AWS_SESSION_TOKEN": "ambient", "AWS_ENDPOINT_URL": trap, "AWS_ENDPOINT_URL_S3": trap,
            "AWS_REGION": "eu-west-9", "AWS_PROFILE": "none-such", "HTTP_PROXY": trap,
            "http_proxy": trap, "HTTPS_PROXY": trap, "ALL_PROXY": trap,
            "AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;AccountKey=ambient",
            "AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "YW1iaWVudA==",
            "AZURE_STORAGE_SAS_TOKEN": "sv=ambient",
        }
    )  # fmt: skip
    copy.check(done, 0)


@row(
    "M64k", "no keys of our own, but ambient ones there", "exit 2 or 3; they go to no other service"
)
def test_ambient_keys_stay_home(cli: Cli, scripted_s3: Any, source: Path, tmp_path: Path) -> None:
    service = scripted_s3()
    env = settings(
        tmp_path / "keyless.env", STORAGE_PROVIDER="minio", STORAGE_ENDPOINT=service.endpoint
    )
    done = up(
        cli, source, env, "bucket",
        env={"AWS_ACCESS_KEY_ID": "ambientkey", "AWS_SECRET_ACCESS_KEY": "ambientsecret"},
    )  # fmt: skip
    assert done.code in (2, 3), done.explained
    assert not any("ambientkey" in str(asked.headers) for asked in service.requests)


@row("M68", "two sides with keys of their own and a bucket of one name",
     "each service sees only its own access key")  # fmt: skip
def test_each_side_its_own_keys(cli: Cli, scripted_s3: Any, tmp_path: Path) -> None:
    one, two = scripted_s3(), scripted_s3()
    one.access_key, one.secret_key = "firstaccesskey", "firstsecretkey"
    two.access_key, two.secret_key = "secondaccesskey", "secondsecretkey"
    one.objects.update({f"k{n}": b"%d" % n * 50_000 for n in range(20)})
    done = cli.run(
        "sync", "--from-env", one.write_env(tmp_path / "1.env"),
        "--to-env", two.write_env(tmp_path / "2.env"), "sv://bucket/", "sv://bucket/",
    )  # fmt: skip
    assert done.code == 0, done.explained
    assert two.objects == one.objects
    for service, own, other in ((one, "first", "second"), (two, "second", "first")):
        for asked in service.requests:
            assert f"{own}accesskey" in asked.headers["authorization"]
            assert f"{other}accesskey" not in str(asked.headers)


ROLES: dict[str, tuple[dict[str, Any], str]] = {
    "another role attached": ({"roles": {}}, "role"),
    "version 1 only": ({"v1_only": True}, ""),
    "refuses": ({"status": 403}, ""),
    "fails": ({"status": 500}, ""),
    "no JSON": ({"raw": "<html>"}, ""),
    "slow": ({"delay": 30.0}, ""),
}


@row("M69", "instance metadata slow, absent, version 1 only, of another role, broken",
     "exit 3 within 15 seconds, the role named")  # fmt: skip
@pytest.mark.parametrize("how", [*ROLES, "absent"])
def test_instance_metadata(
    how: str, cli: Cli, imds: Any, rclone_s3: Any, new_bucket: Any, source: Path, tmp_path: Path
) -> None:
    bucket = new_bucket(rclone_s3)
    for name, value in ROLES.get(how, ({}, ""))[0].items():
        setattr(imds, name, value)
    env = settings(
        tmp_path / "role.env",
        STORAGE_PROVIDER="minio", STORAGE_ENDPOINT=rclone_s3.endpoint,
        STORAGE_IAM_ROLE="test-role",
    )  # fmt: skip
    where = imds.env()
    if how == "absent":
        where = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    began = time.monotonic()
    done = up(cli, source, env, bucket, env={**where, "AWS_EC2_METADATA_DISABLED": "false"})
    assert done.code == 3, done.explained
    assert time.monotonic() - began < 15
    assert "test-role" in done.stderr or "metadata" in done.stderr.lower(), done.explained


@row("M70", "credentials of a role that expire during a copy",
     "renewed before they expire; exit 0; one renewal for all threads")  # fmt: skip
def test_role_expires(
    cli: Cli, imds: Any, rclone_s3: Any, fault_proxy: Any, new_bucket: Any, tmp_path: Path
) -> None:
    from tests.servers.faultproxy import delay
    from tests.servers.imds import Role

    bucket = new_bucket(rclone_s3)
    proxy = fault_proxy(rclone_s3.endpoint)
    proxy.rules.append(delay(0.05, method="PUT"))
    imds.roles["test-role"] = Role(lifetime=2)
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(120):
        (folder / f"f{n:03}").write_bytes(b"f")
    env = settings(
        tmp_path / "role.env",
        STORAGE_PROVIDER="minio", STORAGE_ENDPOINT=proxy.endpoint, STORAGE_IAM_ROLE="test-role",
    )  # fmt: skip
    done = cli.run(
        "sync", "--concurrency", "2", "--to-env", env, folder, f"sv://{bucket}/",
        env={**imds.env(), "AWS_EC2_METADATA_DISABLED": "false"},
    )  # fmt: skip
    assert done.code == 0, done.explained
    assert len(rclone_s3.keys(bucket)) == 120
    assert imds.count("security-credentials/test-role") >= 2
