"""The fixtures themselves: each server answers, refuses a wrong key, and is what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError

from tests.servers.azure import AzureServer
from tests.servers.imds import InstanceMetadata, Role
from tests.servers.process import ServerFailed, listens, running
from tests.servers.s3 import MotoServer, S3Server
from tests.servers.ssh import SshServer


@pytest.fixture(params=["rclone_s3", "seaweed_s3", "moto_server"])
def s3(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = request.getfixturevalue(request.param)
    return server


def test_s3_stores_and_lists(s3: S3Server, new_bucket: Any) -> None:
    bucket = new_bucket(s3)
    s3.client().put_object(Bucket=bucket, Key="a/b c+d.bin", Body=b"12345")
    assert s3.keys(bucket) == {"a/b c+d.bin": 5}


@pytest.mark.parametrize("name", ["rclone_s3", "seaweed_s3"])
def test_s3_refuses_a_wrong_secret(name: str, request: pytest.FixtureRequest) -> None:
    from dataclasses import replace

    server = replace(request.getfixturevalue(name), secret_key="wrongwrongwrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        server.client().list_buckets()


def test_seaweed_read_only_key_cannot_write(seaweed_s3: S3Server, new_bucket: Any) -> None:
    from dataclasses import replace

    bucket = new_bucket(seaweed_s3)
    reader = replace(seaweed_s3, access_key="readonlykey", secret_key="readonlysecret")
    assert reader.keys(bucket) == {}
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.client().put_object(Bucket=bucket, Key="a", Body=b"")


def test_moto_has_sts(moto_server: MotoServer) -> None:
    assert moto_server.service("sts").get_caller_identity()["Account"]


def test_env_file_is_private(rclone_s3: S3Server, tmp_path: Any) -> None:
    path = rclone_s3.write_env(tmp_path / "x.env", DATA_PATH="/d")
    assert path.stat().st_mode & 0o77 == 0
    assert f"STORAGE_ENDPOINT={rclone_s3.endpoint}\n" in path.read_text()
    assert "DATA_PATH=/d\n" in path.read_text()


def test_azurite_two_accounts(azurite: AzureServer, new_bucket: Any) -> None:
    bucket = new_bucket(azurite)
    azurite.client().get_blob_client(bucket, "a//b").upload_blob(b"123")
    assert azurite.keys(bucket) == {"a//b": 3}
    other = azurite.second_account()
    assert bucket not in [c.name for c in other.client().list_containers()]


def test_azurite_sas_may_be_read_only(azurite: AzureServer, new_bucket: Any) -> None:
    from azure.core.exceptions import HttpResponseError
    from azure.storage.blob import BlobServiceClient

    bucket = new_bucket(azurite)
    client = BlobServiceClient(azurite.endpoint, credential=azurite.sas(permissions="rl"))
    assert list(client.get_container_client(bucket).list_blobs()) == []
    with pytest.raises(HttpResponseError) as refused:
        client.get_blob_client(bucket, "x").upload_blob(b"")
    assert refused.value.status_code == 403


def test_azurite_tls_takes_bearer_tokens(azurite_tls: AzureServer, new_bucket: Any) -> None:
    from azure.core.credentials import AccessToken
    from azure.core.exceptions import HttpResponseError, ServiceRequestError
    from azure.storage.blob import BlobServiceClient

    bucket = new_bucket(azurite_tls)

    class Fixed:
        def __init__(self, token: str) -> None:
            self.token = token

        def get_token(self, *scopes: str, **_: Any) -> AccessToken:
            return AccessToken(self.token, 2**40)

    def containers(token: str, **more: Any) -> list[str]:
        client = BlobServiceClient(
            azurite_tls.endpoint, credential=Fixed(token), retry_total=0, **more
        )
        return [c.name for c in client.list_containers()]

    ca = str(azurite_tls.ca_bundle)
    assert bucket in containers(azurite_tls.bearer_token(), connection_verify=ca)
    with pytest.raises(HttpResponseError):
        containers(azurite_tls.bearer_token(seconds=-30), connection_verify=ca)
    with pytest.raises(ServiceRequestError, match=r"(?i)certificate"):
        containers(azurite_tls.bearer_token())


def test_sshd_serves_files(sshd: SshServer, tmp_path: Any) -> None:
    sftp = shutil.which("sftp")
    assert sftp
    (tmp_path / "up.txt").write_text("hello")
    command = [
        sftp, "-q", "-b", "-", "-P", str(sshd.port), "-i", str(sshd.key_file),
        "-F", "none", "-o", f"UserKnownHostsFile={sshd.known_hosts}", "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
        f"{sshd.user}@{sshd.host}",
    ]  # fmt: skip
    batch = f"put {tmp_path}/up.txt {sshd.data}/there.txt\n"
    subprocess.run(command, input=batch, text=True, check=True, timeout=20)
    assert (sshd.data / "there.txt").read_text() == "hello"


def _ask(service: InstanceMetadata, path: str, method: str = "GET", **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(service.endpoint + path, method=method, headers=named)
    with urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


_ROLES = "/latest/meta-data/iam/security-credentials/"


def _token(service: InstanceMetadata, seconds: int = 60) -> str:
    return _ask(
        service,
        "/latest/api/token",
        "PUT",
        X_aws_ec2_metadata_token_ttl_seconds=str(seconds),
    )


def test_imds_v2(imds: InstanceMetadata) -> None:
    with pytest.raises(HTTPError, match="401"):
        _ask(imds, _ROLES)
    with pytest.raises(HTTPError, match="401"):
        _ask(imds, _ROLES, X_aws_ec2_metadata_token="made-up")
    with pytest.raises(HTTPError, match="400"):
        _token(imds, 0)
    token = _token(imds)
    assert _ask(imds, _ROLES, X_aws_ec2_metadata_token=token) == "test-role"
    imds.roles["test-role"] = Role(token="T", lifetime=-5)
    got = json.loads(_ask(imds, _ROLES + "test-role", X_aws_ec2_metadata_token=token))
    assert (got["Code"], got["Token"]) == ("Success", "T")
    assert imds.count("security-credentials") == 4
    imds.forget_tokens()
    with pytest.raises(HTTPError, match="401"):
        _ask(imds, _ROLES, X_aws_ec2_metadata_token=token)


def test_imds_v1_and_faults(imds: InstanceMetadata) -> None:
    imds.v1_only = True
    with pytest.raises(HTTPError, match="404"):
        _token(imds)
    assert _ask(imds, _ROLES) == "test-role"
    imds.roles["test-role"].code = "Failed"
    assert "AccessKeyId" not in json.loads(_ask(imds, _ROLES + "test-role"))
    imds.raw = "<html>"
    assert _ask(imds, _ROLES + "test-role") == "<html>"
    imds.status, imds.fail_times = 500, 2
    for _ in range(2):
        with pytest.raises(HTTPError, match="500"):
            _ask(imds, _ROLES)
    assert _ask(imds, _ROLES) == "test-role"


def test_imds_is_found_by_the_vendors_own_sdk(
    imds: InstanceMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore is the judge of our service: it finds, asks and accepts it as the real one."""
    import botocore.session

    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    for name, value in imds.env().items():
        monkeypatch.setenv(name, value)
    credentials = botocore.session.Session().get_credentials()
    assert credentials.method == "iam-role"
    assert credentials.access_key == imds.roles["test-role"].access_key


def test_azure_imds_is_found_by_the_vendors_own_sdk(
    imds: InstanceMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.identity import ManagedIdentityCredential

    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.endpoint)
    token = ManagedIdentityCredential().get_token("https://storage.azure.com/.default")
    assert token.token == "testazuretoken"


def test_a_server_that_fails_shows_its_log(tmp_path: Any) -> None:
    with (
        pytest.raises(ServerFailed, match="no such thing"),
        running(
            ["sh", "-c", "echo no such thing; exit 3"], folder=tmp_path / "x", ready=lambda: False
        ),
    ):
        pass


def test_a_server_ends_with_its_block(tmp_path: Any) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        running(["sleep", "600"], folder=tmp_path / "x", ready=lambda: True) as process,
    ):
        assert process.poll() is None
        raise ZeroDivisionError
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_nothing_of_the_tester_is_seen() -> None:
    assert not [n for n in os.environ if n.startswith(("STORAGE_", "SVSTORAGE_", "AZURE_"))]
    assert not [n for n in os.environ if n.upper().endswith("_PROXY")]
    assert [n for n in os.environ if n.startswith("AWS_")] == ["AWS_EC2_METADATA_DISABLED"]
    assert not listens(1)
