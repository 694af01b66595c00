"""AssumeRoleWithWebIdentity: moto for the exchange itself, canned answers for what moto cannot."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs

import pytest

from svstorage.credentials.web_identity import sts_url
from svstorage.errors import CredentialsError, SettingsError
from svstorage.settings import Settings
from tests.credentials.conftest import AWS, CANARY, reply

ARN = "arn:aws:iam::123456789012:role/pods/reader"
JWT = "eyJhbGciOiJub25lIn0." + CANARY.replace("/", "_").replace("+", "-").rstrip("=")


@pytest.fixture
def pod(monkeypatch, tmp_path):
    """The variables that EKS sets in a pod, but for where STS is."""
    token = tmp_path / "token"
    token.write_text(JWT)
    monkeypatch.setenv("AWS_ROLE_ARN", ARN)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    return token


def test_moto_exchanges_the_token(find_s3, pod, moto_server, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_server.endpoint)
    found = find_s3(STORAGE_ENDPOINT=AWS)
    assert found.resolver == "web-identity"
    value = found.source.get()
    assert value.access_key.startswith("ASIA")
    assert len(value.secret_key.reveal()) > 30
    assert value.session_token
    assert value.expires_at is not None
    assert found.source.get() is value
    found.source.expired(value)
    assert found.source.get().access_key != value.access_key
    assert JWT not in caplog.text


def answer_xml(life: str = "2099-01-01T00:00:00Z") -> bytes:
    return (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAX</AccessKeyId>"
        f"<SecretAccessKey>s3cr3t</SecretAccessKey><SessionToken>tok</SessionToken>"
        f"<Expiration>{life}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>"
    ).encode()


def error_xml(code: str, message: str) -> bytes:
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "</ErrorResponse>"
    ).encode()


@pytest.fixture
def sts(odd_server, pod, monkeypatch):
    odd = odd_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", odd.url)
    odd.answer = lambda h: reply(h, 200, answer_xml())
    return odd


def test_the_request_is_unsigned_and_the_token_read_anew(find_s3, sts, pod):
    source = find_s3(STORAGE_ENDPOINT=AWS).source
    used = source.get()
    pod.write_text("second.jwt")
    source.expired(used)
    source.get()
    sent = [parse_qs(body.decode()) for *_, body in sts.seen]
    assert [form["WebIdentityToken"] for form in sent] == [[JWT], ["second.jwt"]]
    assert sent[0]["RoleArn"] == [ARN]
    assert sent[0]["Action"] == ["AssumeRoleWithWebIdentity"]
    assert all("Authorization" not in headers for _, _, headers, _ in sts.seen)
    assert all("?" not in path for _, path, _, _ in sts.seen), "the token is in no URL"


def test_a_refusal_is_told(find_s3, sts):
    sts.answer = lambda h: reply(
        h, 403, error_xml("AccessDenied", "Not authorized to perform sts:AssumeRole")
    )
    with pytest.raises(CredentialsError) as caught:
        find_s3(STORAGE_ENDPOINT=AWS).source.get()
    assert ARN in str(caught.value)
    assert "AccessDenied: Not authorized" in str(caught.value)
    assert JWT not in str(caught.value)


def test_trouble_of_sts_is_tried_again(find_s3, sts):
    answers = iter([503, 500])
    sts.answer = lambda h: (
        reply(h, status) if (status := next(answers, 0)) else reply(h, 200, answer_xml())
    )
    assert find_s3(STORAGE_ENDPOINT=AWS).source.get().access_key == "ASIAX"
    assert len(sts.seen) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"<a/>",
        answer_xml("never"),
        answer_xml("2001-01-01T00:00:00Z"),
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + answer_xml(),
    ],
)
def test_answers_that_are_none(find_s3, sts, body):
    sts.answer = lambda h: reply(h, 200, body)
    with pytest.raises(CredentialsError, match="role/pods/reader"):
        find_s3(STORAGE_ENDPOINT=AWS).source.get()


def test_redirects_are_not_followed(find_s3, sts, odd_server):
    second = odd_server()
    sts.answer = lambda h: reply(h, 307, Location=second.url)
    with pytest.raises(CredentialsError, match="307"):
        find_s3(STORAGE_ENDPOINT=AWS).source.get()
    assert second.seen == []


def test_an_unreadable_token_file(find_s3, sts, pod):
    source = find_s3(STORAGE_ENDPOINT=AWS).source
    pod.write_text("")
    with pytest.raises(CredentialsError, match="is empty"):
        source.get()
    pod.unlink()
    with pytest.raises(CredentialsError, match="No such file"):
        source.get()
    assert sts.seen == []


def test_half_of_the_variables(find_s3, pod, monkeypatch):
    monkeypatch.delenv("AWS_ROLE_ARN")
    with pytest.raises(SettingsError, match="AWS_ROLE_ARN: it is not set"):
        find_s3(STORAGE_ENDPOINT=AWS)
    monkeypatch.setenv("AWS_ROLE_ARN", "reader")
    with pytest.raises(SettingsError, match="no role's ARN"):
        find_s3(STORAGE_ENDPOINT=AWS)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"AWS_REGION": "eu-west-1"}, "https://sts.eu-west-1.amazonaws.com/"),
        ({"AWS_DEFAULT_REGION": "us-gov-west-1"}, "https://sts.us-gov-west-1.amazonaws.com/"),
        ({"STORAGE_REGION": "ap-south-1"}, "https://sts.ap-south-1.amazonaws.com/"),
        ({"AWS_REGION": "cn-north-1"}, "https://sts.cn-north-1.amazonaws.com.cn/"),
        ({"AWS_ENDPOINT_URL_STS": "https://sts.internal:8443"}, "https://sts.internal:8443/"),
    ],
)
def test_where_sts_is(variables, url):
    from svstorage.providers.s3.config import parse

    settings = Settings.load(environ=variables)
    assert sts_url(parse(settings), settings) == url


@pytest.mark.parametrize(
    "url", ["http://sts.internal", "sts.internal", "ftp://127.0.0.1", "http://["]
)
def test_the_token_is_not_sent_in_the_clear(find_s3, pod, monkeypatch, url):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL_STS"):
        find_s3(STORAGE_ENDPOINT=AWS)


def test_a_region_cannot_name_another_host(find_s3, pod, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "evil.example/")
    with pytest.raises(SettingsError, match="AWS_REGION"):
        find_s3(STORAGE_ENDPOINT=AWS)
