"""STORAGE_IAM_ROLE against an instance metadata service: row 69 and 70 of the fault matrix."""

from __future__ import annotations

import logging
import socket
import threading
import time
from datetime import datetime, timezone

import pytest

from svstorage.credentials import http
from svstorage.credentials.imds import TOTAL_SECONDS
from svstorage.errors import CredentialsError, SettingsError
from tests.credentials.conftest import AWS, OTHER, reply
from tests.servers.imds import Role
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY

ROLE = "test-role"
TOKEN = "x-aws-ec2-metadata-token"


@pytest.fixture
def role(find_s3, imds):
    """``role(**settings)``: the source for STORAGE_IAM_ROLE, asked of the test's service."""

    def find(name=ROLE, **values):
        values = {"STORAGE_ENDPOINT": AWS, "STORAGE_IAM_ROLE": name, **imds.env(), **values}
        found = find_s3(**values)
        assert found.resolver == "iam-role"
        return found.source

    return find


def failure(source) -> str:
    began = time.monotonic()
    with pytest.raises(CredentialsError) as caught:
        source.get()
    assert time.monotonic() - began <= TOTAL_SECONDS + 0.5
    assert SECRET_KEY not in str(caught.value)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_row_69_good(role, imds):
    credentials = role().get()
    assert credentials.access_key == ACCESS_KEY
    assert credentials.secret_key.reveal() == SECRET_KEY
    assert credentials.session_token.reveal() == "testsessiontoken"
    assert credentials.expires_at > datetime.now(timezone.utc)
    assert [(a.method, a.status) for a in imds.requests] == [("PUT", 200), ("GET", 200)]
    assert imds.requests[1].headers[TOKEN] in imds.tokens
    assert imds.requests[1].path.endswith(f"/security-credentials/{ROLE}")


def test_nothing_is_asked_before_the_first_request(role, imds):
    role()
    assert imds.requests == []


def test_the_session_token_serves_again(role, imds):
    source = role()
    source.expired(source.get())
    source.get()
    assert [a.method for a in imds.requests] == ["PUT", "GET", "GET"]


def test_row_69_a_refused_session_is_begun_anew_once(role, imds):
    source = role()
    source.expired(source.get())
    imds.forget_tokens()
    source.get()
    assert [(a.method, a.status) for a in imds.requests][2:] == [
        ("GET", 401), ("PUT", 200), ("GET", 200),
    ]  # fmt: skip


def test_row_69_always_401(role, odd_server):
    odd = odd_server()
    odd.answer = lambda h: reply(h, 200, b"token") if h.command == "PUT" else reply(h, 401)
    text = failure(role(AWS_EC2_METADATA_SERVICE_ENDPOINT=odd.url))
    assert "401" in text
    assert ROLE in text
    assert [seen[0] for seen in odd.seen] == ["PUT", "GET", "PUT", "GET"]


def test_row_69_version_1_only_is_refused_unless_allowed(role, imds):
    imds.v1_only = True
    text = failure(role())
    assert "STORAGE_IMDS_V1=true" in text
    assert [a.method for a in imds.requests] == ["PUT"], "no credentials were asked for"
    assert role(STORAGE_IMDS_V1="true").get().access_key == ACCESS_KEY
    assert TOKEN not in imds.requests[-1].headers


def test_version_2_is_used_where_version_1_is_allowed_too(role, imds):
    imds.allow_v1 = True
    role(STORAGE_IMDS_V1="true").get()
    assert TOKEN in imds.requests[-1].headers


def test_row_69_service_switched_off(role, imds):
    imds.status = 403
    assert "switched off" in failure(role())
    assert [a.method for a in imds.requests] == ["PUT"]


def test_row_69_session_request_hangs(role, imds):
    """A container behind a hop limit of 1: the connection opens, no answer ever comes."""
    imds.delay = 15
    text = failure(role())
    assert "hop limit" in text
    assert ROLE in text


def test_nothing_listens(role):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        text = failure(role(AWS_EC2_METADATA_SERVICE_ENDPOINT=url))
    assert "cannot be reached" in text
    assert "STORAGE_ACCESS_KEY" in text


def test_row_69_other_role_attached(role, imds):
    text = failure(role("wanted-role"))
    assert "'wanted-role'" in text
    assert f"attached is {ROLE}" in text


def test_row_69_no_role_attached(role, imds):
    imds.roles.clear()
    assert "no role is attached" in failure(role())


def test_a_role_list_with_odd_text_is_not_quoted(role, odd_server):
    odd = odd_server()

    def answer(handler):
        if handler.command == "PUT":
            reply(handler, 200, b"token")
        elif handler.path.endswith("/"):
            reply(handler, 200, b"good-role\n\x1b[31m<html>")
        else:
            reply(handler, 404)

    odd.answer = answer
    text = failure(role(AWS_EC2_METADATA_SERVICE_ENDPOINT=odd.url))
    assert "attached is good-role." in text
    assert "\x1b" not in text


def test_row_69_code_is_not_success(role, imds):
    imds.roles[ROLE] = Role(code="AssumeRoleUnauthorizedAccess")
    text = failure(role())
    assert "AssumeRoleUnauthorizedAccess" in text
    assert ROLE in text


@pytest.mark.parametrize(
    "raw",
    [
        "<html>captive portal</html>",
        "[]",
        "null",
        '{"Code": "Success"}',
        '{"Code": "Success", "AccessKeyId": "a", "SecretAccessKey": "s", "Token": "t"}',
        '{"AccessKeyId": "a", "SecretAccessKey": 5, "Token": "t", "Expiration": "2099-01-01"}',
        '{"AccessKeyId":"a","SecretAccessKey":"s","Token":"t","Expiration":"soon"}',
    ],
)
def test_row_69_bad_json(role, imds, raw):
    imds.raw = raw
    assert f"STORAGE_IAM_ROLE '{ROLE}'" in failure(role())


def test_row_69_expired_already(role, imds):
    imds.roles[ROLE].lifetime = -5
    text = failure(role())
    assert "ended at" in text
    assert "clock" in text


def test_row_69_500_twice_then_good(role, imds):
    imds.status, imds.fail_times = 500, 2
    assert role().get().access_key == ACCESS_KEY
    assert [a.status for a in imds.requests] == [500, 500, 200, 200]


def test_row_69_always_500(role, imds):
    imds.status = 500
    assert "500" in failure(role())
    assert len(imds.requests) == 3


def test_redirects_are_not_followed(role, odd_server, imds):
    odd, second = odd_server(), odd_server()
    odd.answer = lambda h: (
        reply(h, 200, b"token")
        if h.command == "PUT"
        else reply(h, 307, Location=second.url + h.path)
    )
    assert "redirect" in failure(role(AWS_EC2_METADATA_SERVICE_ENDPOINT=odd.url))
    assert second.seen == []


def test_proxies_of_the_environment_are_not_used(role, odd_server, monkeypatch):
    proxy = odd_server()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    assert role().get().access_key == ACCESS_KEY
    assert proxy.seen == []


def test_one_byte_at_a_time_ends_by_the_deadline(odd_server):
    odd = odd_server()

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.2)

    odd.answer = drip
    began = time.monotonic()
    with pytest.raises(http.Unreachable) as caught:
        http.request("GET", odd.url, deadline=began + 1.5)
    assert caught.value.timed_out
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("size", [0, 10])
def test_a_body_cut_short_is_no_answer(odd_server, size):
    odd = odd_server()

    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"x" * size)

    odd.answer = cut
    with pytest.raises(http.Unreachable):
        http.request("GET", odd.url, deadline=time.monotonic() + 5)
    assert len(odd.seen) == 3


def test_an_endless_body_is_refused(odd_server):
    odd = odd_server()
    odd.answer = lambda h: reply(h, 200, b"x" * (http.MAX_BODY + 1))
    with pytest.raises(http.Unreachable, match="longer"):
        http.request("GET", odd.url, deadline=time.monotonic() + 5, limits=http.Limits(tries=1))


@pytest.mark.parametrize(
    "name", ["a/../b", "a b", "x" * 65, "../../latest/user-data", "röle", "a%2Fb", "a\n"]
)
def test_a_name_that_no_role_has_is_an_error_of_settings(role, imds, name):
    with pytest.raises(SettingsError, match="STORAGE_IAM_ROLE: no role can have this name"):
        role(name)
    assert imds.requests == []


def test_an_arn_is_explained(role):
    with pytest.raises(SettingsError, match=r"ARN, not the name"):
        role("arn:aws:iam::123456789012:role/test-role")


@pytest.mark.parametrize(
    "url", ["169.254.169.254", "ftp://x", "http://u:p@h", "http://h:0", "http://["]
)
def test_a_wrong_endpoint_is_an_error_of_settings(role, url):
    with pytest.raises(SettingsError, match="AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        role(AWS_EC2_METADATA_SERVICE_ENDPOINT=url)


def test_switched_off_by_variable(find_s3, imds, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SettingsError, match="AWS_EC2_METADATA_DISABLED"):
        find_s3(STORAGE_ENDPOINT=AWS, STORAGE_IAM_ROLE=ROLE)
    with pytest.raises(SettingsError, match="AWS_EC2_METADATA_DISABLED"):
        find_s3(STORAGE_ENDPOINT=AWS, STORAGE_CREDENTIALS="iam-role", **imds.env())
    found = find_s3(STORAGE_ENDPOINT=AWS, STORAGE_IAM_ROLE=ROLE, **imds.env())
    assert found.source.get().access_key == ACCESS_KEY


def test_the_attached_role_where_the_resolver_is_named_without_one(find_s3, imds, monkeypatch):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    found = find_s3(STORAGE_ENDPOINT=AWS, STORAGE_CREDENTIALS="iam-role", **imds.env())
    assert found.source.get().access_key == ACCESS_KEY
    assert [a.path.rpartition("/")[2] for a in imds.requests] == ["token", "", ROLE]


def test_the_role_wins_over_keys_with_a_warning(role, caplog):
    source = role(STORAGE_ACCESS_KEY="other", STORAGE_SECRET_KEY="othersecret")
    assert source.get().access_key == ACCESS_KEY
    assert "the role is used" in caplog.text
    assert "othersecret" not in caplog.text


def test_a_role_for_an_endpoint_that_is_named_though_not_aws(role):
    assert role(STORAGE_ENDPOINT=OTHER).get().access_key == ACCESS_KEY


def test_row_70_short_lives_under_load_and_an_outage(role, imds, caplog):
    """Lives of 4 s, 20 threads asking for 9 s, the service down at a renewal meanwhile."""
    caplog.set_level(logging.DEBUG)
    imds.roles[ROLE].lifetime = 4
    source = role()
    stop = time.monotonic() + 9
    outdated: list[float] = []
    uses = [0] * 20

    def use(number: int) -> None:
        while time.monotonic() < stop:
            ends = source.get().expires_at.timestamp()
            if ends <= time.time():
                outdated.append(time.time() - ends)
            uses[number] += 1
            time.sleep(0.005)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    imds.status, imds.fail_times = 400, 1
    for thread in threads:
        thread.join()
    assert outdated == []
    assert min(uses) > 100
    fetches = imds.count(f"/{ROLE}")
    assert 2 <= fetches <= 8, "one renewal for all threads, not one each"
    assert "renewal of credentials from 'iam-role' failed" in caplog.text
    assert SECRET_KEY not in caplog.text
    assert "testsessiontoken" not in caplog.text


def test_row_70_down_for_good_ends_in_an_error_that_names_the_role(role, imds):
    imds.roles[ROLE].lifetime = 3
    source = role()
    source.get()
    imds.status = 500
    time.sleep(0.5)
    source.get()
    time.sleep(3)
    assert f"'{ROLE}'" in failure(source)
