"""What is sent to Google: tokens, conditions, and what becomes of its refusals.

The emulator checks no tokens and ignores some conditions, so that a front before it looks at the
requests, and answers in its place where a test says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from svstorage.errors import (
    AccessRefused,
    ConnectionFailed,
    CredentialsError,
    ObjectChanged,
    ServiceError,
    SettingsError,
    Throttled,
)
from svstorage.testing import ResolverCase, ResolverContract, read_all
from svstorage_google import GoogleProvider
from svstorage_google.credentials import SCOPE, ApplicationDefault, ServiceAccount
from svstorage_google.store import GoogleStore
from tests.servers.front import Front

Connect = Callable[..., GoogleStore]
MakeFront = Callable[..., Front]

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


class TokenServer:
    """Gives tokens to whoever shows an assertion that the account's public key verifies."""

    def __init__(self, front: Front) -> None:
        self.given: list[str] = []
        self.seconds = 3600
        self.url = f"{front.endpoint}/token"
        front.answer = self._answer

    def _answer(self, handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        del handler.headers["Content-Length"]  # so that the front does not read it again
        asked = parse_qs(body.decode())
        claims = jwt.decode(
            asked["assertion"][0], certs=PUBLIC, audience="https://oauth2.googleapis.com/token"
        )
        assert claims["iss"] == "svc@tests.iam.gserviceaccount.com"
        assert claims["scope"] == SCOPE
        self.given.append(f"ya29.token-{len(self.given)}")
        answer = {
            "access_token": self.given[-1],
            "expires_in": self.seconds,
            "token_type": "Bearer",
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()


@pytest.fixture
def tokens(front: MakeFront) -> TokenServer:
    return TokenServer(front())


@pytest.fixture
def account(tmp_path: Path, tokens: TokenServer) -> Path:
    path = tmp_path / "account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "tests",
                "private_key_id": "1",
                "private_key": PRIVATE,
                "client_email": "svc@tests.iam.gserviceaccount.com",
                "token_uri": tokens.url,
            }
        )
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def service(front: MakeFront, gcs: Any) -> Front:
    made: Front = front(gcs.endpoint)
    return made


@pytest.fixture
def store(connect: Connect, service: Front, account: Path) -> GoogleStore:
    return connect(
        STORAGE_ENDPOINT=service.endpoint,
        STORAGE_CREDENTIALS="",
        STORAGE_CREDENTIALS_PATH=str(account),
        STORAGE_GOOGLE_PROJECT="",
    )


@pytest.fixture
def bucket(store: GoogleStore, service: Front) -> str:
    name = f"requests-{time.monotonic_ns()}"
    store.create_bucket(name)
    service.log.clear()
    return name


def error(status: int, reason: str, message: str, **headers: str) -> Any:
    body = {"error": {"code": status, "message": message, "errors": [{"reason": reason}]}}
    return lambda handler: (
        status,
        {"Content-Type": "application/json", **headers},
        json.dumps(body).encode(),
    )


def test_every_request_has_the_token(
    store: GoogleStore, bucket: str, service: Front, tokens: TokenServer
) -> None:
    store.put(bucket, "k", b"data", size=4)
    assert read_all(store, bucket, "k") == b"data"
    list(store.list(bucket))
    store.delete(bucket, "k")
    assert tokens.given == ["ya29.token-0"]
    sent = {one.headers.get("authorization") for one in service.log}
    assert sent == {"Bearer ya29.token-0"}
    assert PRIVATE[50:90] not in service.text()


def test_the_project_is_that_of_the_account(
    store: GoogleStore, bucket: str, service: Front
) -> None:
    assert bucket in [found.name for found in store.list_buckets()]
    assert parse_qs(urlsplit(service.log[-1].path).query)["project"] == ["tests"]


def test_a_refused_token_is_renewed_once(
    store: GoogleStore, bucket: str, service: Front, tokens: TokenServer
) -> None:
    def only_new(handler: BaseHTTPRequestHandler) -> Any:
        if handler.headers["Authorization"] == "Bearer ya29.token-1":
            return None
        return error(401, "authError", "Invalid Credentials")(handler)

    service.answer = only_new
    assert list(store.list(bucket)) == []
    assert tokens.given == ["ya29.token-0", "ya29.token-1"]
    service.answer = error(401, "authError", "Invalid Credentials")
    with pytest.raises(AccessRefused, match="Invalid Credentials"):
        list(store.list(bucket))
    assert len(tokens.given) == 3


def test_copies_name_the_version(store: GoogleStore, bucket: str, service: Front) -> None:
    store.put(bucket, "k", b"data", size=4)
    source = store.head(bucket, "k").entry
    service.log.clear()
    store.copy(bucket, source, bucket, "copy")
    query = parse_qs(urlsplit(service.log[-1].path).query)
    assert query["ifSourceGenerationMatch"] == [source.etag]
    service.answer = error(412, "conditionNotMet", "Precondition Failed")
    with pytest.raises(ObjectChanged):
        store.copy(bucket, source, bucket, "copy")


def test_a_big_copy_goes_on_until_it_is_done(
    store: GoogleStore, bucket: str, service: Front
) -> None:
    store.put(bucket, "k", b"data", size=4)
    source = store.head(bucket, "k").entry
    service.log.clear()

    def not_yet(handler: BaseHTTPRequestHandler) -> Any:
        if "rewriteToken" in handler.path:
            return None
        answer = {"done": False, "rewriteToken": "a+b/c=", "totalBytesRewritten": "2"}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    service.answer = not_yet
    assert store.copy(bucket, source, bucket, "copy").size == 4
    assert parse_qs(urlsplit(service.log[-1].path).query)["rewriteToken"] == ["a+b/c="]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(429, "rateLimitExceeded", "Slow down"), Throttled),
        (error(403, "rateLimitExceeded", "Slow down"), Throttled),
        (error(503, "backendError", "Backend Error", **{"Retry-After": "7"}), Throttled),
        (error(500, "backendError", "Backend Error"), ServiceError),
        (error(403, "forbidden", "svc does not have storage.objects.get"), AccessRefused),
        (lambda handler: (200, {}, b"<html>a proxy's page</html>"), ServiceError),
    ],
    ids=["429", "403-rate", "503", "500", "403", "no-json"],
)
def test_refusals(
    store: GoogleStore, bucket: str, service: Front, answer: Any, kind: type[Exception]
) -> None:
    service.answer = answer
    with pytest.raises(kind) as told:
        store.head(bucket, "k")
    if isinstance(told.value, Throttled) and "503" in str(told.value):
        assert told.value.retry_after == 7
    with pytest.raises(kind):
        store.put(bucket, "k", b"x", size=1)


def test_redirects_are_not_followed(
    store: GoogleStore, bucket: str, service: Front, front: MakeFront
) -> None:
    elsewhere = front()
    service.answer = lambda handler: (307, {"Location": f"{elsewhere.endpoint}/x"}, b"")
    with pytest.raises(Exception, match="HTTP 307"):
        store.head(bucket, "k")
    assert elsewhere.log == []


def test_a_token_that_is_not_given(
    connect: Connect, account: Path, front: MakeFront, service: Front
) -> None:
    denying = front()
    denying.answer = lambda handler: (
        400,
        {"Content-Type": "application/json"},
        b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}',
    )
    data = json.loads(account.read_text())
    account.write_text(json.dumps({**data, "token_uri": denying.endpoint}))
    store = connect(
        STORAGE_ENDPOINT=service.endpoint,
        STORAGE_CREDENTIALS="",
        STORAGE_CREDENTIALS_PATH=str(account),
    )
    with pytest.raises(CredentialsError, match="invalid_grant") as told:
        store.list_buckets()
    assert told.value.exit_code == 3
    assert service.log == []


def test_nobody_answers(connect: Connect) -> None:
    store = connect(STORAGE_ENDPOINT="http://127.0.0.1:9")
    with pytest.raises(ConnectionFailed):
        store.list_buckets()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the file is no JSON"),
        ("[]", "not the key of a service account"),
        ('{"type": "authorized_user"}', "not the key of a service account"),
        (
            '{"type": "service_account", "client_email": "a", "token_uri": "https://b", '
            '"private_key": "open-barley"}',
            "the private key in it cannot be read",
        ),
        (None, "there is no such file"),
    ],
)
def test_files_that_are_no_service_account(
    connect: Connect, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "bad.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=f"STORAGE_CREDENTIALS_PATH: .*{said}") as told:
        connect(STORAGE_CREDENTIALS="", STORAGE_CREDENTIALS_PATH=str(path))
    assert told.value.__cause__ is None
    assert told.value.__context__ is None, "the parser's error holds the text"


def test_ambient_credentials_only_when_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, account: Path, service: Front
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    with pytest.raises(SettingsError, match="no credentials were found"):
        connect(STORAGE_CREDENTIALS="")
    store = connect(STORAGE_ENDPOINT=service.endpoint, STORAGE_CREDENTIALS="application-default")
    store.list_buckets()
    assert service.log[-1].headers["authorization"].startswith("Bearer ya29.")
    assert ApplicationDefault.ambient


class TestServiceAccount(ResolverContract):
    @pytest.fixture
    def case(self, account: Path) -> ResolverCase:
        return ResolverCase(
            ServiceAccount(),
            GoogleProvider(),
            {"STORAGE_CREDENTIALS_PATH": str(account)},
            ("STORAGE_CREDENTIALS_PATH",),
            (PRIVATE[100:140], "ya29."),
        )


def test_commands(account: Path, service: Front, tmp_path: Path) -> None:
    env = {
        "STORAGE_PROVIDER": "google",
        "STORAGE_ENDPOINT": service.endpoint,
        "STORAGE_CREDENTIALS_PATH": str(account),
        **{name: os.environ[name] for name in ("PATH", "HOME")},
    }
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_text("one")
    (tree / "sub" / "b.bin").write_bytes(os.urandom(500_000))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "svstorage.cli", *words],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    for words in (
        ["mb", "sv://commands"],
        ["cp", "-r", str(tree), "sv://commands/x/"],
        ["check", str(tree), "sv://commands/x/"],
        ["cp", "-r", "sv://commands/x", str(tmp_path / "back")],
        ["mv", "sv://commands/x/a.txt", "sv://commands/y/a.txt"],
        ["rm", "-r", "sv://commands/x/"],
    ):
        done = run(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert (tmp_path / "back/sub/b.bin").read_bytes() == (tree / "sub/b.bin").read_bytes()
    assert "y/a.txt" in run("ls", "-R", "sv://commands").stdout
    links = tmp_path / "links.yml"
    links.write_text(
        "photos:\n  provider: google\n"
        f"  endpoint: {service.endpoint}\n  credentials_path: {account}\n  buckets: [commands]\n"
    )
    links.chmod(0o600)
    elsewhere = {name: os.environ[name] for name in ("PATH", "HOME")}
    linked = subprocess.run(
        [sys.executable, "-m", "svstorage.cli", "cat", "google://commands/y/a.txt"],
        env={**elsewhere, "STORAGE_LINKS_FILE": str(links)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (linked.returncode, linked.stdout) == (0, "one"), linked.stderr
    synced = run("--json", "sync", str(tree), "sv://commands/z/")
    assert synced.returncode == 0, synced.stderr
    again = json.loads(run("--json", "sync", str(tree), "sv://commands/z/").stdout.splitlines()[-1])
    assert again["copied"] == 0
    (tree / "a.txt").write_text("two")
    differs = run("check", "--checksum", str(tree), "sv://commands/z/")
    assert differs.returncode == 1, "the MD5 of both sides tells them apart"


def test_keys_are_quoted_whole(store: GoogleStore, bucket: str, service: Front) -> None:
    """A plain / would end the key for Google; the emulator takes it as part of the name."""
    key = "a/b//c?d=e&f+g %2F#\u00fc"
    store.put(bucket, key, b"data", size=4)
    assert read_all(store, bucket, key) == b"data"
    store.copy(bucket, store.head(bucket, key).entry, bucket, "x/y")
    store.delete(bucket, key)
    quoted = "a%2Fb%2F%2Fc%3Fd%3De%26f%2Bg%20%252F%23%C3%BC"
    paths = {urlsplit(sent.path).path for sent in service.log}
    named = f"/storage/v1/b/{bucket}/o/{quoted}"
    assert paths == {
        f"/upload/storage/v1/b/{bucket}/o",
        named,
        f"{named}/rewriteTo/b/{bucket}/o/x%2Fy",
    }
