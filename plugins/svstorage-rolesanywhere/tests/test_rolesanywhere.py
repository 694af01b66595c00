"""Sessions from a local stand-in for Roles Anywhere that verifies each signature by itself.

The verifier shares no code with the plugin: it rebuilds the canonical request from what arrived,
as the published algorithm says, and checks certificate, chain and signature with cryptography.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

import svstorage
from svstorage.errors import CredentialsError, SettingsError
from svstorage.plugins import plugins
from svstorage.settings import variables
from svstorage.testing import ResolverCase, ResolverContract
from svstorage_rolesanywhere import RolesAnywhereResolver
from tests.servers.certs import make_certificates
from tests.servers.front import Front

ANCHOR = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/0a1b"
PROFILE = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/2c3d"
ROLE = "arn:aws:iam::123456789012:role/backup"
BODY = {"profileArn": PROFILE, "roleArn": ROLE, "trustAnchorArn": ANCHOR, "durationSeconds": 3600}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def new_key(kind: str) -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP384R1() if kind == "ec-384" else ec.SECP256R1())


def certify(name: str, key: Key, issuer: str, issuer_key: Key, *, days: int = 1) -> Any:
    now = datetime.now(timezone.utc)

    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .sign(issuer_key, hashes.SHA256())
    )


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key: Key, phrase: str = "") -> bytes:
    locked = (
        serialization.BestAvailableEncryption(phrase.encode())
        if phrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


class RolesAnywhere:
    """The stand-in. ``refusals`` is why it refused, in order."""

    def __init__(self, root: x509.Certificate) -> None:
        self.root = root
        self.url = ""
        self.given: list[str] = []
        self.ends: dict[str, float] = {}
        self.refusals: list[str] = []
        self.seconds = 3600.0
        self.status = 201
        self.raw: bytes | None = None

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        try:
            self._verify(handler, body)
        except (AssertionError, InvalidSignature, KeyError, ValueError) as error:
            self.refusals.append(repr(error))
            return 403, json.dumps({"message": f"Access denied\x1b {error!r}"}).encode()
        if self.raw is not None:
            return self.status, self.raw
        token = f"session-{len(self.given)}"
        self.given.append(token)
        ends = datetime.now(timezone.utc) + timedelta(seconds=self.seconds)
        self.ends[token] = ends.timestamp()
        credentials = {
            "accessKeyId": f"ASIA{len(self.given)}",
            "secretAccessKey": "open-barley",
            "sessionToken": token,
            "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return self.status, json.dumps({"credentialSet": [{"credentials": credentials}]}).encode()

    def _verify(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        assert (handler.command, handler.path) == ("POST", "/sessions")
        assert json.loads(body) == BODY
        headers = {name.lower(): value for name, value in handler.headers.items()}
        parts = re.fullmatch(
            r"(AWS4-X509-(?:RSA|ECDSA)-SHA256) Credential=(\d+)/(\d{8})/([a-z0-9-]+)/rolesanywhere"
            r"/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]+)",
            headers["authorization"],
        )
        assert parts, headers["authorization"]
        algorithm, serial, day, region, listed, signature = parts.groups()
        assert region == "eu-central-1"
        moment = headers["x-amz-date"]
        when = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        assert abs(datetime.now(timezone.utc) - when) < timedelta(minutes=5)
        assert moment.startswith(day)
        names = listed.split(";")
        assert names == sorted(names)
        must = {"host", "x-amz-date", "x-amz-x509"}
        must |= {"x-amz-x509-chain"} & headers.keys()
        assert must <= set(names)

        leaf = self._certificate(headers["x-amz-x509"])
        assert str(leaf.serial_number) == serial
        path = [
            leaf,
            *map(self._certificate, filter(None, headers.get("x-amz-x509-chain", "").split(","))),
        ]
        for one, issuer in zip(path, [*path[1:], self.root], strict=True):
            one.verify_directly_issued_by(issuer)

        request = "POST\n/sessions\n\n"
        for name in names:
            request += f"{name}:{' '.join(headers[name].split())}\n"
        request += f"\n{listed}\n{hashlib.sha256(body).hexdigest()}"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"{algorithm}\n{moment}\n{day}/{region}/rolesanywhere/aws4_request\n{hashed}"
        public = leaf.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            assert algorithm == "AWS4-X509-RSA-SHA256"
            public.verify(
                bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        else:
            assert isinstance(public, ec.EllipticCurvePublicKey)
            assert algorithm == "AWS4-X509-ECDSA-SHA256"
            public.verify(bytes.fromhex(signature), text.encode(), ec.ECDSA(hashes.SHA256()))

    @staticmethod
    def _certificate(text: str) -> x509.Certificate:
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))


@pytest.fixture(scope="module")
def root_key() -> Key:
    return new_key("ec-256")


@pytest.fixture
def start(root_key: Key) -> Iterator[Callable[..., RolesAnywhere]]:
    """Starts stand-ins that trust the root, over TLS where a context is given."""
    started: list[ThreadingHTTPServer] = []

    def one(tls: ssl.SSLContext | None = None) -> RolesAnywhere:
        made = RolesAnywhere(certify("root", root_key, "root", root_key))

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, data = made.answer(self, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        made.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        started.append(server)
        return made

    yield one
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def anywhere(start: Callable[..., RolesAnywhere]) -> RolesAnywhere:
    return start()


def settings_for(
    folder: Path, url: str, key: Key, *certificates: x509.Certificate
) -> dict[str, str]:
    (folder / "host.pem").write_bytes(pem(*certificates))
    (folder / "host.key").write_bytes(key_pem(key))
    return {
        "STORAGE_PROVIDER": "minio",
        "STORAGE_ROLESANYWHERE_CERTIFICATE": str(folder / "host.pem"),
        "STORAGE_ROLESANYWHERE_PRIVATE_KEY": str(folder / "host.key"),
        "STORAGE_ROLESANYWHERE_TRUST_ANCHOR_ARN": ANCHOR,
        "STORAGE_ROLESANYWHERE_PROFILE_ARN": PROFILE,
        "STORAGE_ROLESANYWHERE_ROLE_ARN": ROLE,
        "STORAGE_ROLESANYWHERE_ENDPOINT": url,
    }


@pytest.fixture
def host_key() -> Key:
    return new_key("ec-256")


@pytest.fixture
def env(tmp_path: Path, anywhere: RolesAnywhere, root_key: Key, host_key: Key) -> dict[str, str]:
    certificate = certify("host", host_key, "root", root_key)
    return settings_for(tmp_path, anywhere.url, host_key, certificate)


def case(env: dict[str, str]) -> ResolverCase:
    return ResolverCase(
        RolesAnywhereResolver(),
        plugins().registry.providers["minio"],
        env,
        tuple(name for name in env if "ROLESANYWHERE" in name and "ENDPOINT" not in name),
        ("open-barley", "session-0"),
    )


class TestContract(ResolverContract):
    @pytest.fixture
    def case(self, env: dict[str, str]) -> ResolverCase:
        return case(env)


@pytest.mark.parametrize("kind", ["rsa", "ec-256", "ec-384"])
@pytest.mark.parametrize("chained", [False, True], ids=["direct", "chained"])
def test_signatures_are_verified(
    tmp_path: Path, anywhere: RolesAnywhere, root_key: Key, kind: str, chained: bool
) -> None:
    key, between = new_key(kind), new_key("rsa")
    if chained:
        certificates = (
            certify("host", key, "between", between),
            certify("between", between, "root", root_key),
        )
    else:
        certificates = (certify("host", key, "root", root_key),)
    found = case(settings_for(tmp_path, anywhere.url, key, *certificates)).source().get()
    assert anywhere.refusals == []
    assert found.access_key == "ASIA1"
    assert found.secret_key.reveal() == "open-barley"
    assert found.session_token.reveal() == "session-0"


def test_the_stand_in_refuses_what_is_not_right(
    env: dict[str, str], anywhere: RolesAnywhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the tests above can fail."""
    from svstorage_rolesanywhere import signing

    right = signing.Identity.sign
    monkeypatch.setattr(signing.Identity, "sign", lambda self, data: right(self, data + b" "))
    with pytest.raises(CredentialsError, match="HTTP 403: Access denied") as told:
        case(env).source().get()
    assert "InvalidSignature" in anywhere.refusals[0]
    assert "\x1b" not in str(told.value)
    assert told.value.exit_code == 3


def test_a_certificate_of_another_authority(
    tmp_path: Path, anywhere: RolesAnywhere, host_key: Key
) -> None:
    other = new_key("ec-256")
    env = settings_for(tmp_path, anywhere.url, host_key, certify("host", host_key, "root", other))
    with pytest.raises(CredentialsError, match=f"refuses the role {ROLE}"):
        case(env).source().get()


def test_over_tls(
    tmp_path: Path, start: Callable[..., RolesAnywhere], root_key: Key, host_key: Key
) -> None:
    tls = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    anywhere = start(context)
    certificate = certify("host", host_key, "root", root_key)
    env = settings_for(tmp_path, anywhere.url, host_key, certificate)
    with pytest.raises(CredentialsError, match="TLS failed"):
        case(env).source().get()
    found = case({**env, "AWS_CA_BUNDLE": str(tls.authority)}).source().get()
    assert found.access_key == "ASIA1"


def test_rotated_certificates_are_seen(
    tmp_path: Path, env: dict[str, str], anywhere: RolesAnywhere, root_key: Key
) -> None:
    source = case(env).source()
    used = source.get()
    key = new_key("rsa")
    settings_for(tmp_path, anywhere.url, key, certify("new", key, "root", root_key))
    source.expired(used)
    assert source.get().session_token.reveal() == "session-1"


def test_an_encrypted_key(tmp_path: Path, env: dict[str, str], host_key: Key) -> None:
    Path(env["STORAGE_ROLESANYWHERE_PRIVATE_KEY"]).write_bytes(key_pem(host_key, "a phrase"))
    phrase = "STORAGE_ROLESANYWHERE_PASSPHRASE"
    for wrong in ({}, {phrase: "b phrase"}):
        with pytest.raises(CredentialsError, match=phrase) as told:
            case({**env, **wrong}).source().get()
        assert told.value.__context__ is None
    assert case({**env, phrase: "a phrase"}).source().get().access_key == "ASIA1"


def test_what_cannot_be_used(
    tmp_path: Path, env: dict[str, str], root_key: Key, host_key: Key, anywhere: RolesAnywhere
) -> None:
    certificate = Path(env["STORAGE_ROLESANYWHERE_CERTIFICATE"])
    good = certificate.read_bytes()
    certificate.write_bytes(pem(certify("host", host_key, "root", root_key, days=-1)))
    with pytest.raises(CredentialsError, match="the certificate ended at"):
        case(env).source().get()
    certificate.write_bytes(b"nothing")
    with pytest.raises(CredentialsError, match="holds no certificate"):
        case(env).source().get()
    certificate.write_bytes(good)
    Path(env["STORAGE_ROLESANYWHERE_PRIVATE_KEY"]).write_bytes(key_pem(new_key("rsa")))
    with pytest.raises(CredentialsError, match="is not that of the first certificate"):
        case(env).source().get()
    assert anywhere.given == []


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"credentialSet": []}', b"\xff", b"{}"])
def test_answers_that_are_none(env: dict[str, str], anywhere: RolesAnywhere, raw: bytes) -> None:
    anywhere.raw = raw
    with pytest.raises(CredentialsError, match="holds no credentials"):
        case(env).source().get()


def test_credentials_that_have_ended_already(env: dict[str, str], anywhere: RolesAnywhere) -> None:
    anywhere.seconds = -10
    with pytest.raises(CredentialsError, match="ended at"):
        case(env).source().get()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CERTIFICATE", "/nowhere.pem"),
        ("TRUST_ANCHOR_ARN", ROLE),
        ("PROFILE_ARN", ANCHOR),
        ("ROLE_ARN", "backup"),
        ("REGION", "the moon"),
        ("ENDPOINT", "http://rolesanywhere.example.org"),
        ("ENDPOINT", "https://user:open-barley@host"),
        ("SECONDS", "60"),
        ("SECONDS", "an hour"),
    ],
)
def test_bad_settings(env: dict[str, str], name: str, value: str) -> None:
    variable = f"STORAGE_ROLESANYWHERE_{name}"
    with pytest.raises(SettingsError, match=variable) as told:
        case({**env, variable: value}).ask()
    assert "open-barley" not in str(told.value)


def test_only_aws_gets_them_unless_named(env: dict[str, str]) -> None:
    """By itself for Amazon's endpoint, for others when STORAGE_CREDENTIALS names it."""
    registry = plugins().registry
    from svstorage.credentials.resolve import find_credentials
    from svstorage.settings import Settings

    def resolver(**more: str) -> str | None:
        settings = Settings.load(overrides={**env, **more}, environ={})
        config = registry.providers["minio"].parse_config(settings)
        return find_credentials("minio", config, settings, registry)[1]

    assert resolver() == "rolesanywhere"
    elsewhere = {"STORAGE_ENDPOINT": "https://s3.example.org"}
    with pytest.raises(SettingsError, match="no credentials were found"):
        resolver(**elsewhere)
    assert resolver(**elsewhere, STORAGE_CREDENTIALS="rolesanywhere") == "rolesanywhere"
    assert resolver(STORAGE_ACCESS_KEY="a", STORAGE_SECRET_KEY="b") == "static"


def test_its_settings_are_known() -> None:
    assert variables.lookup("STORAGE_ROLESANYWHERE_ROLE_ARN") is not None
    assert variables.is_secret("STORAGE_ROLESANYWHERE_PASSPHRASE")
    assert variables.likely_meant("STORAGE_ROLESANYWHERE_ROL_ARN") == (
        "STORAGE_ROLESANYWHERE_ROLE_ARN"
    )


def test_end_to_end_with_renewal(
    env: dict[str, str], anywhere: RolesAnywhere, moto_server: Any, front: Callable[..., Front]
) -> None:
    """S3 takes the session's token while it lasts; a copy outlives it."""
    anywhere.seconds = 4
    gate = front(moto_server.endpoint)
    gate.ends = anywhere.ends
    keywords = {name.removeprefix("STORAGE_").lower(): value for name, value in env.items()}
    storage = svstorage.connect(
        **keywords, endpoint=gate.endpoint, credentials="rolesanywhere", region="us-east-1"
    )
    bucket = f"anywhere-{time.monotonic_ns()}"
    storage.store.create_bucket(bucket)
    until = time.monotonic() + 6
    count = 0
    while time.monotonic() < until:
        storage.store.put(bucket, f"k/{count}", b"data", size=4)
        count += 1
        time.sleep(0.2)
    assert len(list(storage.store.list(bucket))) == count
    assert len(anywhere.given) >= 2
    assert {sent.token for sent in gate.log} <= set(anywhere.given)
    assert gate.expired == []
    assert "open-barley" not in gate.text()
