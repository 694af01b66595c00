"""Instance metadata services of the two clouds, as a real HTTP server of our own.

moto plays instance metadata as well, but hands out a token that it never checks, knows one role,
and cannot be made slow, broken or short-lived; those are what a resolver has to survive. So this
is ours, after the vendors' pages:

* AWS, "Use the Instance Metadata Service": ``PUT /latest/api/token`` with
  ``X-aws-ec2-metadata-token-ttl-seconds`` (1 to 21600); 401 without a valid token; role names at
  ``/latest/meta-data/iam/security-credentials/``, their credentials one level below.
* AWS, "Container credential provider": ``GET /container/credentials`` with an ``Authorization``
  token.
* Azure, "How to use managed identities … to acquire an access token":
  ``GET /metadata/identity/oauth2/token`` with ``Metadata: true``.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers.s3 import ACCESS_KEY, SECRET_KEY

_ROLES = "/latest/meta-data/iam/security-credentials/"


@dataclass(slots=True)
class Role:
    """The credentials that a role gets. ``lifetime`` in seconds from the moment of asking."""

    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    token: str | None = "testsessiontoken"
    lifetime: float = 6 * 3600
    code: str = "Success"
    """``Code`` of the answer; anything but Success means that there are no credentials."""


@dataclass(slots=True)
class Asked:
    """A request that the service saw."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    status: int


@dataclass(slots=True)
class InstanceMetadata:
    """A running service; change its fields to change what it says from now on."""

    endpoint: str = ""
    roles: dict[str, Role] = field(default_factory=lambda: {"test-role": Role()})
    v1_only: bool = False
    """An old service: no token path (404), answers without a token."""
    allow_v1: bool = False
    """Answers without a token beside the token path ("HttpTokens: optional")."""
    container_token: str = "testcontainertoken"
    azure_token: Callable[[], str] = lambda: "testazuretoken"
    azure_lifetime: float = 86400
    status: int | None = None
    """Answer everything with this status instead."""
    fail_times: int = 0
    """… only so many times, where above 0; then all is well again."""
    delay: float = 0
    """Seconds before every answer."""
    rotate: bool = False
    """A new session token in every answer, as the real service gives; else always the same."""
    issued: dict[str, float] = field(default_factory=dict)
    """Session tokens given out, with the times at which they end (seconds since 1970)."""
    raw: str | None = None
    """Send this text in place of the JSON of credentials (for answers that are not JSON)."""
    requests: list[Asked] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def env(self) -> dict[str, str]:
        """Environment variables by which the AWS SDKs find this service."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.endpoint}

    def forget_tokens(self) -> None:
        """As after a restart of the instance: every token given out is refused with 401."""
        with self.lock:
            self.tokens.clear()

    def count(self, path_part: str) -> int:
        """How many requests had ``path_part`` in their path."""
        return sum(path_part in asked.path for asked in list(self.requests))


def _rfc3339(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: InstanceMetadata

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_PUT(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        service = self.service
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if service.delay:
            time.sleep(service.delay)
        status, body, extra = self._broken() or self._route(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with service.lock:
            service.requests.append(Asked(self.command, self.path, headers, status))
        data = body.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client gave up waiting

    def _broken(self) -> tuple[int, str, dict[str, str]] | None:
        service = self.service
        with service.lock:
            if service.status is None:
                return None
            status = service.status
            if service.fail_times:
                service.fail_times -= 1
                if not service.fail_times:
                    service.status = None
        return status, "", {}

    def _route(self, path: str) -> tuple[int, str, dict[str, str]]:
        service = self.service
        if path == "/container/credentials":
            if self.headers.get("Authorization") != service.container_token:
                return 401, "", {}
            role = next(iter(service.roles.values()))
            return 200, service.raw or self._credentials(role, full=False), {}
        if path == "/metadata/identity/oauth2/token":
            return self._azure()
        if path == "/latest/api/token":
            return self._token()
        if not self._token_is_good():
            return 401, "", {}
        if self.command != "GET":
            return 405, "", {}
        if path.startswith(_ROLES) or path == _ROLES.rstrip("/"):
            name = path[len(_ROLES) :]
            if not name:
                return (200, "\n".join(service.roles), {}) if service.roles else (404, "", {})
            if name not in service.roles:
                return 404, "", {}
            return 200, service.raw or self._credentials(service.roles[name]), {}
        return 404, "", {}

    def _token(self) -> tuple[int, str, dict[str, str]]:
        service = self.service
        if service.v1_only:
            return 404, "", {}
        if self.command != "PUT":
            return 405, "", {}
        if self.headers.get("X-Forwarded-For"):
            return 403, "", {}
        wanted = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not wanted.isdecimal() or not 1 <= int(wanted) <= 21600:
            return 400, "", {}
        token = secrets.token_urlsafe(40)
        with service.lock:
            service.tokens[token] = time.monotonic() + int(wanted)
        return 200, token, {"X-aws-ec2-metadata-token-ttl-seconds": wanted}

    def _token_is_good(self) -> bool:
        service = self.service
        token = self.headers.get("X-aws-ec2-metadata-token")
        if service.v1_only:
            return True
        if token is None:
            return service.allow_v1
        with service.lock:
            return service.tokens.get(token, 0) > time.monotonic()

    def _credentials(self, role: Role, *, full: bool = True) -> str:
        now = time.time()
        answer: dict[str, str | None] = {}
        if full:
            answer |= {"Code": role.code, "LastUpdated": _rfc3339(now), "Type": "AWS-HMAC"}
        if role.code == "Success":
            answer |= {
                "AccessKeyId": role.access_key,
                "SecretAccessKey": role.secret_key,
                "Expiration": _rfc3339(now + role.lifetime),
            }
            if role.token is not None:
                service = self.service
                with service.lock:
                    token = role.token + (f"-{len(service.issued)}" if service.rotate else "")
                    service.issued[token] = float(int(now + role.lifetime))
                answer["Token"] = token
        else:
            answer["Message"] = "the role cannot be assumed"
        return json.dumps(answer)

    def _azure(self) -> tuple[int, str, dict[str, str]]:
        service = self.service
        query = parse_qs(urlsplit(self.path).query)
        if self.headers.get("Metadata", "").lower() != "true":
            return 400, json.dumps({"error": "invalid_request"}), {}
        if "resource" not in query or "api-version" not in query:
            return 400, json.dumps({"error": "invalid_request"}), {}
        now = time.time()
        answer = {
            "access_token": service.azure_token(),
            "expires_in": str(int(service.azure_lifetime)),
            "expires_on": str(int(now + service.azure_lifetime)),
            "not_before": str(int(now)),
            "resource": query["resource"][0],
            "token_type": "Bearer",
        }
        json_type = {"Content-Type": "application/json"}
        return 200, service.raw or json.dumps(answer), json_type


@pytest.fixture
def imds() -> Iterator[InstanceMetadata]:
    """A fresh instance metadata service; one role, ``test-role``, with the S3 servers' keys."""
    service = InstanceMetadata()
    handler = type("_BoundHandler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    service.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield service
    server.shutdown()
    server.server_close()
    thread.join(5)
