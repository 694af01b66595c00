"""Which resolver is asked, which is not, and what the user is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from svstorage.credentials.base import Passed
from svstorage.credentials.resolve import find_credentials
from svstorage.errors import CredentialsError, SettingsError
from svstorage.plugins import Registry
from svstorage.providers.s3.aws import aws_host
from svstorage.settings import Settings
from tests.credentials.conftest import AWS, CANARY, FAKE_KEY, OTHER

KEYS = {"STORAGE_ACCESS_KEY": FAKE_KEY, "STORAGE_SECRET_KEY": CANARY}


def ambient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient-" + CANARY)


def test_static_keys(find_s3):
    found = find_s3(STORAGE_ENDPOINT=OTHER, **KEYS, STORAGE_SESSION_TOKEN="session-token")
    assert found.resolver == found.source.name == "static"
    value = found.source.get()
    assert (value.access_key, value.secret_key.reveal()) == (FAKE_KEY, CANARY)
    assert value.session_token.reveal() == "session-token"
    assert CANARY not in repr(value)
    assert "session-token" not in repr(value)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("STORAGE_ACCESS_KEY", "STORAGE_SECRET_KEY"),
        ("STORAGE_SECRET_KEY", "STORAGE_ACCESS_KEY"),
    ],
)
def test_half_a_pair_names_the_other_half(find_s3, given, missing, monkeypatch):
    ambient(monkeypatch)
    with pytest.raises(SettingsError) as caught:
        find_s3(STORAGE_ENDPOINT=AWS, **{given: KEYS[given]})
    assert caught.value.variable == missing
    assert f"{given} is (argument)" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_session_token_alone(find_s3):
    with pytest.raises(SettingsError, match=r"STORAGE_SESSION_TOKEN: .* without the key pair"):
        find_s3(STORAGE_ENDPOINT=AWS, STORAGE_SESSION_TOKEN="token")


def test_ambient_credentials_for_aws(find_s3, monkeypatch):
    ambient(monkeypatch)
    found = find_s3(STORAGE_ENDPOINT=AWS)
    assert found.resolver == "environment"
    assert found.source.get().access_key == "AMBIENT"
    assert found.trace[-1].answered
    assert [a.resolver for a in found.trace] == [
        "iam-role", "static", "web-identity", "container", "profile", "environment",
    ]  # fmt: skip


def test_ambient_credentials_stay_at_home_for_another_endpoint(find_s3, monkeypatch, tmp_path):
    """Row 64: AWS_* of the machine must not reach a service that is not AWS."""
    ambient(monkeypatch)
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[default]\naws_access_key_id=PROFILE\naws_secret_access_key={CANARY}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/")
    token = tmp_path / "token"
    token.write_text("jwt")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    with pytest.raises(SettingsError) as caught:
        find_s3(STORAGE_ENDPOINT=OTHER)
    text = str(caught.value)
    assert "no credentials were found" in text
    for resolver in ("web-identity", "container", "profile", "environment"):
        assert f"\n  {resolver}: not asked: the endpoint is not the vendor's own" in text
    assert "AMBIENT" not in text
    assert CANARY not in text


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://ec2-203-0-113-7.eu-central-1.compute.amazonaws.com",
        "https://ec2-203-0-113-7.compute-1.amazonaws.com",
        "https://s3-123456.eu-central-1.elb.amazonaws.com",
        "https://d111.execute-api.eu-central-1.amazonaws.com",
    ],
)
def test_what_tenants_run_on_aws_is_not_aws(find_s3, monkeypatch, endpoint):
    """Whoever rents a machine or a load balancer has a name below amazonaws.com."""
    ambient(monkeypatch)
    with pytest.raises(SettingsError, match="environment: not asked"):
        find_s3(STORAGE_ENDPOINT=endpoint)


@pytest.mark.parametrize(
    "host",
    [
        "s3.amazonaws.com",
        "s3-fips.dualstack.us-gov-west-1.amazonaws.com",
        "s3.cn-north-1.amazonaws.com.cn",
        "s3-accesspoint.eu-central-1.amazonaws.com",
        "bucket.vpce-1a2b3c.s3.eu-central-1.vpce.amazonaws.com",
    ],
)
def test_the_services_own_names(host):
    assert aws_host(host) is not None


def test_ambient_credentials_for_another_endpoint_when_named(find_s3, monkeypatch):
    ambient(monkeypatch)
    found = find_s3(STORAGE_ENDPOINT=OTHER, STORAGE_CREDENTIALS="Environment ")
    assert found.resolver == "environment"
    assert found.source.get().access_key == "AMBIENT"


def test_own_keys_win_over_ambient_ones(find_s3, monkeypatch):
    ambient(monkeypatch)
    assert find_s3(STORAGE_ENDPOINT=AWS, **KEYS).source.get().access_key == FAKE_KEY


def test_a_named_resolver_is_the_only_one_asked(find_s3, monkeypatch):
    ambient(monkeypatch)
    with pytest.raises(SettingsError, match="STORAGE_CREDENTIALS: 'static' has no credentials"):
        find_s3(STORAGE_ENDPOINT=AWS, STORAGE_CREDENTIALS="static")


def test_keys_win_over_a_role_when_named(find_s3):
    found = find_s3(
        STORAGE_ENDPOINT=AWS, STORAGE_IAM_ROLE="r", STORAGE_CREDENTIALS="static", **KEYS
    )
    assert found.source.get().access_key == FAKE_KEY


def test_anonymous_only_by_name(find_s3):
    found = find_s3(STORAGE_ENDPOINT=OTHER, STORAGE_CREDENTIALS="anonymous")
    assert (found.source, found.resolver) == (None, "anonymous")
    with pytest.raises(SettingsError, match="anonymous: asked only when"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_an_unknown_name_lists_the_known_ones_and_is_not_shown(find_s3):
    with pytest.raises(SettingsError) as caught:
        find_s3(STORAGE_ENDPOINT=AWS, STORAGE_CREDENTIALS="enviroment")
    text = str(caught.value)
    assert "Did you mean environment?" in text
    assert "auto, iam-role, static, web-identity, container, profile, environment" in text
    with pytest.raises(SettingsError) as caught:
        find_s3(STORAGE_ENDPOINT=AWS, STORAGE_CREDENTIALS=CANARY)
    assert CANARY not in str(caught.value)


def test_none_found_says_what_was_asked_and_why_it_passed(find_s3):
    with pytest.raises(SettingsError) as caught:
        find_s3(STORAGE_ENDPOINT=AWS)
    text = str(caught.value)
    assert "Set STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY" in text
    assert "\n  iam-role: STORAGE_IAM_ROLE is not set" in text
    assert "\n  environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set" in text


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_an_ambient_pair(find_s3, monkeypatch, name):
    ambient(monkeypatch)
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=f"{name}: it is not set"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_ambient_ones_that_tell_their_end(find_s3, monkeypatch):
    ambient(monkeypatch)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00+00:00")
    source = find_s3(STORAGE_ENDPOINT=AWS).source
    with pytest.raises(CredentialsError, match="ended at 2020-01-01 00:00:00 UTC"):
        source.get()
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "tomorrow")
    with pytest.raises(SettingsError, match="AWS_CREDENTIAL_EXPIRATION"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_an_entry_of_a_links_file_sees_nothing_of_the_environment(registry, monkeypatch):
    from svstorage.providers.s3.config import parse
    from svstorage.settings import Source

    ambient(monkeypatch)
    settings = Settings.from_mapping({"endpoint": AWS}, Source("links", "links.yml", 1))
    with pytest.raises(SettingsError, match="no credentials were found"):
        find_credentials("minio", parse(settings), settings, registry)


class Own:
    """A resolver as a plugin would bring it, for a provider of its own and for S3."""

    name = "vault"
    order = 15
    ambient = False
    summary = "a vault"
    answer: object = Passed("sealed")

    def __init__(self, *providers: str) -> None:
        self.providers = providers

    def resolve(self, config: object, settings: Settings) -> object:
        return self.answer


def test_a_plugins_resolver_takes_its_place_in_the_order(registry, find_s3):
    registry.add_resolver(Own("minio"))
    found = find_s3(STORAGE_ENDPOINT=OTHER, **KEYS)
    assert [a.resolver for a in found.trace] == ["iam-role", "vault", "static"]
    assert found.outcome("vault") == "sealed"


def test_a_provider_without_resolvers_needs_none(registry):
    settings = Settings.load(overrides={"STORAGE_CREDENTIALS": "iam-role"})
    assert find_credentials("http", object(), settings, registry) == (None, None)


def test_names_clash_within_a_provider_only():
    registry = Registry()
    registry.plugin = "one"
    registry.add_resolver(Own("minio", "google"))
    registry.plugin = "two"
    registry.add_resolver(Own("azure"))
    assert registry.warnings == []
    registry.add_resolver(Own("sftp", "google"))
    assert "google/vault" in registry.warnings[0]
    assert registry.resolvers_for("sftp") == []
    assert len(registry.resolvers_for("google")) == 1


def test_registering_imports_nothing_heavy():
    code = (
        "import sys, svstorage.credentials.s3, svstorage.credentials.azure\n"
        "heavy = {'botocore', 'azure', 'aiobotocore', 'urllib3', 'fsspec', 'ssl', 'http.client',"
        " 'asyncio'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
