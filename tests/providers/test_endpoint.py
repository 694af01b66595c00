"""``STORAGE_ENDPOINT`` and its companions: what they may say, and what is refused and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from svstorage.errors import SettingsError
from svstorage.providers.endpoint import Endpoint, ca_bundle, parse_endpoint, proxy
from svstorage.settings import Settings


def settings(**variables: str) -> Settings:
    named = {f"STORAGE_{name.upper()}": value for name, value in variables.items()}
    return Settings.load(overrides={"STORAGE_PROVIDER": "minio", **named}, environ={})


def parsed(default: str | None = None, **variables: str) -> str:
    return parse_endpoint(settings(**variables), default).url


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"endpoint": "host.example"}, "https://host.example"),
        ({"endpoint": "HOST.Example."}, "https://host.example."),
        ({"endpoint": "host.example:443"}, "https://host.example"),
        ({"endpoint": "10.0.0.1:9000"}, "http://10.0.0.1:9000"),
        ({"endpoint": "10.0.0.1", "port": "9000"}, "http://10.0.0.1:9000"),
        ({"endpoint": "host.example", "port": "443"}, "https://host.example"),
        ({"endpoint": "host.example:8443", "use_ssl": "true"}, "https://host.example:8443"),
        ({"endpoint": "https://host.example:8443"}, "https://host.example:8443"),
        ({"endpoint": "https://host.example", "port": "8443"}, "https://host.example:8443"),
        ({"endpoint": "https://host.example/"}, "https://host.example"),
        ({"endpoint": "https://host.example/a/b/"}, "https://host.example/a/b"),
        ({"endpoint": "http://localhost"}, "http://localhost"),
        ({"endpoint": "minio:9000"}, "http://minio:9000"),
        ({"endpoint": "minio"}, "https://minio"),
        ({"endpoint": "minio", "use_ssl": "false"}, "http://minio"),
        ({"endpoint": "minio.storage.svc:9000"}, "http://minio.storage.svc:9000"),
        ({"endpoint": "[::1]:9000"}, "http://[::1]:9000"),
        ({"endpoint": "http://[fd12::1]"}, "http://[fd12::1]"),
        ({"endpoint": "http://host.example:9000", "insecure": "true"}, "http://host.example:9000"),
        ({"endpoint": " host.example "}, "https://host.example"),
    ],
)
def test_forms(variables, url):
    assert parsed(**variables) == url


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://vendor.example"),
        ({"port": "8443"}, "http://vendor.example:8443"),
        ({"port": "443"}, "https://vendor.example"),
        ({"port": "8443", "use_ssl": "true"}, "https://vendor.example:8443"),
    ],
)
def test_the_default_yields_to_what_is_set(variables, url):
    assert parsed("https://vendor.example", insecure="true", **variables) == url


@pytest.mark.parametrize(
    ("variables", "named", "why"),
    [
        ({"endpoint": "http://host.example"}, "ENDPOINT", "without TLS"),
        ({"endpoint": "host.example:9000"}, "ENDPOINT", "without TLS"),
        ({"endpoint": "host.example", "use_ssl": "false"}, "ENDPOINT", "without TLS"),
        ({"endpoint": "8.8.8.8:80"}, "ENDPOINT", "without TLS"),
        ({"endpoint": "host:1", "port": "2"}, "PORT", "names port 1"),
        ({"endpoint": "https://host", "use_ssl": "false"}, "USE_SSL", "contradicts https://"),
        ({"endpoint": "http://host", "use_ssl": "true"}, "USE_SSL", "contradicts http://"),
        ({"endpoint": "http://host:443"}, "ENDPOINT", "port 443 does not go with http"),
        ({"endpoint": "https://host", "port": "80"}, "PORT", "port 80 does not go with https"),
        ({"endpoint": "ftp://host"}, "ENDPOINT", "neither http nor https"),
        ({"endpoint": "https://host/?sv=canary"}, "ENDPOINT", "STORAGE_SAS_TOKEN"),
        ({"endpoint": "https://host/#canary"}, "ENDPOINT", "has a query"),
        ({"endpoint": "https://canary:canary@host"}, "ENDPOINT", "has a user name"),
        ({"endpoint": "https://"}, "ENDPOINT", "no valid host name"),
        ({"endpoint": "https://-x-/"}, "ENDPOINT", "no valid host name"),
        ({"endpoint": "https://ho st"}, "ENDPOINT", "characters that no address has"),
        ({"endpoint": "https://hö.st"}, "ENDPOINT", "characters that no address has"),
        ({"endpoint": "https://host\\x"}, "ENDPOINT", "characters that no address has"),
        ({"endpoint": "https://host:0"}, "ENDPOINT", "cannot be read"),
        ({"endpoint": "https://host:99999"}, "ENDPOINT", "cannot be read"),
        ({"endpoint": "https://host:x"}, "ENDPOINT", "cannot be read"),
        ({"endpoint": "https://[::1"}, "ENDPOINT", "cannot be read"),
        ({"endpoint": "https://host//a"}, "ENDPOINT", "path in the value"),
        ({"endpoint": "https://host/../a"}, "ENDPOINT", "path in the value"),
        ({"endpoint": "http://2130706433"}, "ENDPOINT", "unusual form"),
        ({"endpoint": "http://0x7f.1"}, "ENDPOINT", "unusual form"),
        ({"endpoint": "http://169.254.169.254"}, "ENDPOINT", "instance metadata"),
        ({"endpoint": "http://169.254.170.2"}, "ENDPOINT", "instance metadata"),
        ({"endpoint": "http://[::ffff:169.254.169.254]"}, "ENDPOINT", "instance metadata"),
        ({"endpoint": "http://[fd00:ec2::254]"}, "ENDPOINT", "instance metadata"),
        ({"endpoint": "http://metadata.google.internal."}, "ENDPOINT", "instance metadata"),
        ({}, "ENDPOINT", "not set"),
        ({"endpoint": "host", "port": "abc"}, "PORT", ""),
        ({"endpoint": "host", "port": "70000"}, "PORT", ""),
    ],
)
def test_refusals(variables, named, why):
    with pytest.raises(SettingsError) as told:
        parsed(**variables)
    assert told.value.variable == f"STORAGE_{named}"
    assert why in str(told.value)
    assert "canary" not in str(told.value)


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("localhost", True), ("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True),
        ("172.16.0.1", True), ("::1", True), ("fd12::1", True), ("minio", True),
        ("nas.local", True), ("nas.home.arpa", True), ("a.b.internal", True),
        ("8.8.8.8", False), ("2600::1", False), ("host.example", False), ("local.example", False),
    ],
)  # fmt: skip
def test_which_hosts_are_near(host, private):
    assert Endpoint("http", host, 80).is_private is private


def test_ca_bundle(tmp_path: Path):
    assert ca_bundle(settings()) is None
    good = tmp_path / "good.pem"
    good.write_text("-----BEGIN CERTIFICATE-----\n")
    assert ca_bundle(settings(ca_bundle=str(good))) == good
    good.write_text("nothing")
    for path, why in ((good, "holds no certificate"), (tmp_path, "no such file")):
        with pytest.raises(SettingsError, match=why):
            ca_bundle(settings(ca_bundle=str(path)))


def test_proxy(monkeypatch: pytest.MonkeyPatch):
    tls = Endpoint("https", "host.example", 443)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@corporate:3128")
    monkeypatch.setenv("NO_PROXY", "near.example,127.0.0.1")
    assert proxy(settings(), tls) is None, "nothing of the environment unless told"
    assert proxy(settings(proxy="none"), tls) is None
    found = proxy(settings(proxy="env"), tls)
    assert found is not None
    assert found.reveal() == "http://user:canary@corporate:3128"
    assert "canary" not in repr(found)
    for host in ("near.example", "127.0.0.1", "localhost"):
        assert proxy(settings(proxy="env"), Endpoint("https", host, 443)) is None
    assert proxy(settings(proxy="env"), Endpoint("http", "10.0.0.1", 80)) is None
    named = proxy(settings(proxy="https://other:1"), tls)
    assert named is not None
    assert named.reveal() == "https://other:1"
    for wrong in (
        "corporate:3128",
        "socks5://canary:1",
        "http://",
        "http://x:canary",
        "http://x:0",
    ):
        with pytest.raises(SettingsError, match="STORAGE_PROXY") as told:
            proxy(settings(proxy=wrong), tls)
        assert "canary" not in str(told.value)
