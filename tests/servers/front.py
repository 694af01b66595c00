"""A front before an S3 server: keeps a log of who sent what, and refuses credentials that ended.

The servers themselves know fixed keys only (rclone, SeaweedFS) or take any (moto). The front
reads the access key and the session token of each request, signed headers or presigned, and
passes on the rest byte by byte, so that the server behind still checks the signature.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it arrived. Header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    access_key: str
    token: str
    status: int
    """What was answered."""

    @property
    def text(self) -> str:
        """All of it, to search for what must not be there."""
        head = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.path}\n{head}\n\n{self.body.decode('latin-1')}"


Answer = tuple[int, dict[str, str], bytes]


@dataclass(slots=True)
class Front:
    """A running front; change its fields to change what it does from now on."""

    upstream: str = ""
    """URL of the server behind; with none, everything is answered by ``answer``."""
    endpoint: str = ""
    ends: dict[str, float] | None = None
    """Session tokens that are good, with the times at which they end; None: not looked at."""
    answer: Callable[[BaseHTTPRequestHandler], Answer | None] = lambda handler: None
    """Answers in place of the server behind where it does not return None."""
    delay: float = 0
    log: list[Sent] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def access_keys(self) -> set[str]:
        return {sent.access_key for sent in list(self.log)}

    @property
    def expired(self) -> list[Sent]:
        """Requests that came with a token that had ended or was never given out."""
        return [sent for sent in list(self.log) if sent.status == 400 and sent.token]

    def text(self) -> str:
        return "\n".join(sent.text for sent in list(self.log))


def _expired(what: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>{what}</Message></Error>"
    return 400, {"Content-Type": "application/xml"}, body.encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _any(self) -> None:
        front = self.front
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(urlsplit(self.path).query)
        found = _CREDENTIAL.search(headers.get("authorization", ""))
        signed = query.get("X-Amz-Credential", [""])[0].split("/")[0]
        access_key = found[1] if found else signed
        token = headers.get("x-amz-security-token") or query.get("X-Amz-Security-Token", [""])[0]
        judged = self._judged(token)  # as of its arrival, as the services do
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if front.delay:
            time.sleep(front.delay)
        status, sending, data = judged or self._passed_on(body)
        with front.lock:
            front.log.append(
                Sent(self.command, self.path, headers, body, access_key, token, status)
            )
        try:
            self.send_response_only(status)
            for name, value in sending.items():
                self.send_header(name, value)
            if "content-length" not in {name.lower() for name in sending}:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

    def _judged(self, token: str) -> Answer | None:
        front = self.front
        answer = front.answer(self)
        if answer is not None or front.ends is None:
            return answer
        if front.ends.get(token, 0) <= time.time():
            return _expired("The provided token has expired.")
        return None

    def _passed_on(self, body: bytes) -> Answer:
        if not self.front.upstream:
            return 404, {}, b""
        behind = http.client.HTTPConnection(urlsplit(self.front.upstream).netloc, timeout=60)
        try:
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    behind.putheader(name, value.encode("latin-1"))
            behind.endheaders(body)
            answer = behind.getresponse()
            data = answer.read()
            kept = {n: v for n, v in answer.getheaders() if n.lower() not in _HOP}
            return answer.status, kept, data
        finally:
            behind.close()


@pytest.fixture
def front() -> Iterator[Callable[..., Front]]:
    """``front(server.endpoint)``: a front before that server; with no endpoint, before nothing."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(upstream: str = "") -> Front:
        made = Front(upstream)
        server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("_BoundHandler", (_Handler,), {"front": made})
        )
        server.daemon_threads = True
        made.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        running.append((server, thread))
        return made

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(5)
