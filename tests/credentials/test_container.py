"""ECS and EKS credentials; the metadata service of the tests plays that agent too."""

from __future__ import annotations

import logging

import pytest

from svstorage.credentials.container import service_url
from svstorage.errors import CredentialsError, SettingsError
from svstorage.settings import Settings
from tests.credentials.conftest import AWS, CANARY, reply
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY

FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"


@pytest.fixture
def agent(imds, monkeypatch, tmp_path):
    token = tmp_path / "token"
    token.write_text(imds.container_token + "\n")
    monkeypatch.setenv(FULL, f"{imds.endpoint}/container/credentials")
    monkeypatch.setenv(TOKEN_FILE, str(token))
    return token


def test_good(find_s3, agent, imds):
    found = find_s3(STORAGE_ENDPOINT=AWS)
    assert found.resolver == "container"
    value = found.source.get()
    assert (value.access_key, value.secret_key.reveal()) == (ACCESS_KEY, SECRET_KEY)
    assert value.expires_at is not None


def test_the_token_file_is_read_anew(find_s3, agent, imds):
    source = find_s3(STORAGE_ENDPOINT=AWS).source
    used = source.get()
    imds.container_token = "another"
    agent.write_text("another")
    source.expired(used)
    assert source.get().access_key == ACCESS_KEY
    assert [a.headers["authorization"] for a in imds.requests] == ["testcontainertoken", "another"]


def test_a_token_file_lost_later_does_not_end_good_credentials(find_s3, agent, imds, caplog):
    imds.roles["test-role"].lifetime = 3
    source = find_s3(STORAGE_ENDPOINT=AWS).source
    source.get()
    agent.unlink()
    source._current = type(source._current)(  # due now, as if time had passed
        source._current.value, 0.0, source._current.ends
    )
    assert source.get().access_key == ACCESS_KEY
    assert TOKEN_FILE in caplog.text


def test_a_refused_token(find_s3, agent, imds, caplog):
    caplog.set_level(logging.DEBUG)
    agent.write_text(CANARY)
    with pytest.raises(CredentialsError, match=r"refuses \(401\)") as caught:
        find_s3(STORAGE_ENDPOINT=AWS).source.get()
    assert CANARY not in str(caught.value) + caplog.text


def test_a_token_variable(find_s3, imds, monkeypatch):
    monkeypatch.setenv(FULL, f"{imds.endpoint}/container/credentials")
    monkeypatch.setenv(TOKEN, imds.container_token)
    assert find_s3(STORAGE_ENDPOINT=AWS).source.get().access_key == ACCESS_KEY


def test_a_token_with_a_line_break_is_refused(find_s3, imds, monkeypatch):
    monkeypatch.setenv(FULL, f"{imds.endpoint}/container/credentials")
    monkeypatch.setenv(TOKEN, "a\r\nHost: evil")
    with pytest.raises(SettingsError, match=TOKEN):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_missing_token_file(find_s3, imds, monkeypatch, tmp_path):
    monkeypatch.setenv(FULL, f"{imds.endpoint}/container/credentials")
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=f"{TOKEN_FILE}: the file cannot be read"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_redirects_are_not_followed(find_s3, agent, odd_server, monkeypatch):
    odd, second = odd_server(), odd_server()
    odd.answer = lambda h: reply(h, 302, Location=second.url)
    monkeypatch.setenv(FULL, odd.url)
    with pytest.raises(CredentialsError, match="redirect"):
        find_s3(STORAGE_ENDPOINT=AWS).source.get()
    assert second.seen == []


def test_an_agent_that_fails(find_s3, agent, imds):
    imds.status = 503
    with pytest.raises(CredentialsError, match="answers 503"):
        find_s3(STORAGE_ENDPOINT=AWS).source.get()
    assert len(imds.requests) == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:80/x",
        "http://127.1.2.3/x",
        "http://localhost/x",
        "http://[::1]:1/x",
        "http://169.254.170.2/v4",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
        "https://agent.example/x",
    ],
)
def test_hosts_that_may_be_asked(url):
    assert service_url(Settings.load(environ={FULL: url})) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/x",
        "http://169.254.170.3/x",
        "http://example.com/x",
        "http://127.0.0.1.example.com/x",
        "http://localhost.example/x",
        "http://127.0.0.1@example.com/x",
        "https://u@agent.example/",
        "ftp://127.0.0.1/",
        "http:///x",
        "http://[::1/x",
        "http://0x7f000001/",
        "http://2130706433/",
        "127.0.0.1",
    ],
)
def test_hosts_that_may_not_be_asked(url):
    with pytest.raises(SettingsError, match=FULL):
        service_url(Settings.load(environ={FULL: url}))


def test_a_relative_uri_goes_to_the_ecs_agent():
    settings = Settings.load(environ={RELATIVE: "/v2/credentials/uuid", FULL: "ignored"})
    assert service_url(settings) == "http://169.254.170.2/v2/credentials/uuid"


@pytest.mark.parametrize("path", ["v2/x", "@evil.example/", ":80@evil/", "/a b\n", ".evil/"])
def test_a_relative_uri_cannot_change_the_host(path):
    with pytest.raises(SettingsError, match=RELATIVE):
        service_url(Settings.load(environ={RELATIVE: path}))
