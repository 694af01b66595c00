"""Profiles of the shared AWS files, read by botocore; moto plays STS for an assumed role."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from svstorage.errors import CredentialsError, SettingsError
from tests.credentials.conftest import AWS, CANARY, OTHER


@pytest.fixture
def aws_files(monkeypatch, tmp_path):
    """``aws_files(credentials=..., config=...)`` writes the two files."""

    def write(credentials: str = "", config: str = "") -> None:
        for variable, name, text in (
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials", credentials),
            ("AWS_CONFIG_FILE", "config", config),
        ):
            path = tmp_path / name
            path.write_text(text)
            monkeypatch.setenv(variable, str(path))

    return write


def keys(name: str, access_key: str, more: str = "") -> str:
    return f"[{name}]\naws_access_key_id = {access_key}\naws_secret_access_key = {CANARY}\n{more}\n"


def test_the_default_profile(find_s3, aws_files):
    aws_files(keys("default", "DEFAULT", "aws_session_token = tok"))
    found = find_s3(STORAGE_ENDPOINT=AWS)
    assert found.resolver == "profile"
    value = found.source.get()
    assert (value.access_key, value.secret_key.reveal()) == ("DEFAULT", CANARY)
    assert value.session_token.reveal() == "tok"


def test_in_the_home_folder(find_s3):
    folder = Path.home() / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(keys("default", "HOME"))
    assert find_s3(STORAGE_ENDPOINT=AWS).source.get().access_key == "HOME"


def test_a_named_profile(find_s3, aws_files, monkeypatch):
    aws_files(keys("default", "DEFAULT") + keys("prod", "PROD"))
    monkeypatch.setenv("AWS_PROFILE", "prod")
    assert find_s3(STORAGE_ENDPOINT=AWS).source.get().access_key == "PROD"


def test_the_environment_does_not_shadow_the_profile(find_s3, aws_files, monkeypatch):
    aws_files(keys("default", "DEFAULT"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    found = find_s3(STORAGE_ENDPOINT=AWS, STORAGE_CREDENTIALS="profile")
    assert found.source.get().access_key == "DEFAULT"


def test_a_named_profile_that_is_missing(find_s3, aws_files, monkeypatch):
    aws_files(keys("default", "DEFAULT"))
    monkeypatch.setenv("AWS_PROFILE", "prod")
    with pytest.raises(SettingsError, match="AWS_PROFILE: there is no profile of this name"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_no_files(find_s3, monkeypatch):
    with pytest.raises(SettingsError, match="no credentials were found"):
        find_s3(STORAGE_ENDPOINT=AWS)
    monkeypatch.setenv("AWS_PROFILE", "prod")
    with pytest.raises(SettingsError, match="AWS_PROFILE: neither"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_a_profile_with_a_region_only_passes(find_s3, aws_files):
    aws_files(config="[default]\nregion = eu-west-1\n")
    with pytest.raises(SettingsError, match="profile: the default profile holds no credentials"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_a_file_that_does_not_parse_is_not_quoted(find_s3, aws_files):
    aws_files(f"aws_secret_access_key = {CANARY}\n")
    with pytest.raises(SettingsError, match="cannot be read: ConfigParseError") as caught:
        find_s3(STORAGE_ENDPOINT=AWS)
    assert CANARY not in str(caught.value)


def test_what_another_tool_wrote_since_is_seen(find_s3, aws_files):
    aws_files(keys("default", "FIRST"))
    source = find_s3(STORAGE_ENDPOINT=AWS).source
    used = source.get()
    aws_files(keys("default", "SECOND"))
    assert source.get() is used, "no reading of files for each request"
    source.expired(used)
    assert source.get().access_key == "SECOND"


@pytest.mark.parametrize("through", ["", "source_profile"])
def test_a_program_runs_only_when_the_resolver_is_named(
    find_s3, aws_files, monkeypatch, tmp_path, through
):
    """credential_process is code execution: a file that lies about is no consent."""
    ends = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
    ran = tmp_path / "ran"
    program = tmp_path / "program.py"
    program.write_text(
        "import json, pathlib\n"
        f"pathlib.Path({str(ran)!r}).touch()\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': 'PROCESS', 'SecretAccessKey': 's',"
        f" 'SessionToken': 't', 'Expiration': {ends!r}}}))\n"
    )
    process = f"credential_process = {sys.executable} {program}\n"
    if through:
        config = (
            "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n"
            f"[profile base]\n{process}"
        )
    else:
        config = f"[default]\n{process}"
    aws_files(config=config)
    with pytest.raises(SettingsError, match="STORAGE_CREDENTIALS=profile would allow"):
        find_s3(STORAGE_ENDPOINT=AWS)
    monkeypatch.setenv("AWS_PROFILE", "default")
    with pytest.raises(SettingsError, match="AWS_PROFILE: this profile runs a program"):
        find_s3(STORAGE_ENDPOINT=AWS)
    assert not ran.exists()
    if not through:
        found = find_s3(STORAGE_ENDPOINT=OTHER, STORAGE_CREDENTIALS="profile")
        assert not ran.exists()
        value = found.source.get()
        assert ran.exists()
        assert value.access_key == "PROCESS"
        assert value.expires_at.timestamp() > time.time() + 3000


def test_a_program_that_fails(find_s3, aws_files):
    aws_files(config="[default]\ncredential_process = /nonexistent/program\n")
    source = find_s3(STORAGE_ENDPOINT=AWS, STORAGE_CREDENTIALS="profile").source
    with pytest.raises(CredentialsError, match="profile 'default': FileNotFoundError"):
        source.get()


def test_an_assumed_role(find_s3, aws_files, moto_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_server.endpoint)
    aws_files(
        keys("base", "BASE"),
        "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/work\n"
        "source_profile = base\nregion = us-east-1\n",
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    source = find_s3(STORAGE_ENDPOINT=AWS).source
    value = source.get()
    assert value.access_key.startswith("ASIA")
    assert value.expires_at.timestamp() > time.time() + 600
    source.expired(value)
    assert source.get().access_key != value.access_key


def test_a_role_that_cannot_be_assumed(find_s3, aws_files, odd_server, monkeypatch):
    from tests.credentials.conftest import reply

    odd = odd_server()
    odd.answer = lambda h: reply(
        h,
        403,
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        b"</ErrorResponse>",
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", odd.url)
    aws_files(
        keys("base", "BASE"),
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/work\nsource_profile = base\n",
    )
    with pytest.raises(CredentialsError, match="AccessDenied") as caught:
        find_s3(STORAGE_ENDPOINT=AWS).source.get()
    assert CANARY not in str(caught.value)
