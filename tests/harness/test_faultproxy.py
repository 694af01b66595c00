"""The fault proxy does what its rules say, and nothing without a rule."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.servers.azure import AzureServer
from tests.servers.faultproxy import (
    SLOW_DOWN,
    FaultProxy,
    cut,
    delay,
    flip,
    redirect,
    stall,
    status,
    throttle,
    truncate,
)
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.faults

Make = Callable[..., FaultProxy]
DATA = bytes(range(256)) * 1000


class _Upstream(BaseHTTPRequestHandler):
    """GET answers DATA (chunked for /chunked, with no length for /open); PUT is remembered."""

    protocol_version = "HTTP/1.1"
    seen: dict[str, bytes]

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(DATA), 10_000):
                piece = DATA[start : start + 10_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path == "/open":
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(DATA)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.seen[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()


@pytest.fixture
def seen() -> dict[str, bytes]:
    return {}


@pytest.fixture
def proxy(fault_proxy: Make, seen: dict[str, bytes]) -> Iterator[FaultProxy]:
    handler = type("_Bound", (_Upstream,), {"seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield fault_proxy(f"http://127.0.0.1:{server.server_address[1]}", seed=1)
    server.shutdown()
    server.server_close()


def ask(
    proxy: FaultProxy, method: str = "GET", path: str = "/x", body: bytes | None = None
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/x", "/chunked", "/open"])
def test_without_rules_all_passes(proxy: FaultProxy, path: str) -> None:
    assert ask(proxy, path=path)[1] == DATA
    (request,) = proxy.requests
    assert (request.method, request.target, request.status) == ("GET", path, 200)
    assert request.received == len(DATA)
    assert request.headers["host"] == f"127.0.0.1:{proxy.port}"


def test_one_connection_serves_many_requests(proxy: FaultProxy, seen: dict[str, bytes]) -> None:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    for n in range(3):
        connection.request("PUT", f"/{n}", body=DATA)
        assert connection.getresponse().read() == b""
        connection.request("HEAD", f"/{n}")
        assert connection.getresponse().read() == b""
    connection.close()
    assert proxy.connections == 1
    assert seen == dict.fromkeys(["/0", "/1", "/2"], DATA)


def test_status_is_answered_by_the_proxy(proxy: FaultProxy, seen: dict[str, bytes]) -> None:
    proxy.rules.append(status(503, body=SLOW_DOWN, retry_after=7, method="PUT", times=2))
    answer, body = ask(proxy, "PUT", body=DATA)
    assert (answer.status, answer.headers["Retry-After"], body) == (503, "7", SLOW_DOWN)
    assert ask(proxy)[0].status == 200
    assert ask(proxy, "PUT", body=DATA)[0].status == 503
    assert seen == {}
    assert ask(proxy, "PUT", body=DATA)[0].status == 204
    assert [r.status for r in proxy.faults()] == [503, 503]


def test_share_follows_the_seed(fault_proxy: Make, proxy: FaultProxy) -> None:
    def run(seed: int) -> list[int]:
        host, port = proxy.upstream
        other = fault_proxy(f"http://{host}:{port}", seed=seed)
        other.rules.append(status(500, share=0.4))
        return [ask(other)[0].status for _ in range(30)]

    first = run(5)
    assert first == run(5)
    assert first != run(6)
    assert 3 <= first.count(500) <= 24


def test_path_when_and_skip_choose_requests(proxy: FaultProxy) -> None:
    proxy.rules += [
        status(500, path=r"^/a\?part=2$"),
        status(501, when=lambda r: r.headers.get("host") == "nobody"),
        status(502, path="^/b", skip=1, times=1),
    ]
    got = [ask(proxy, path=p)[0].status for p in ("/a", "/a?part=2", "/b", "/b", "/b")]
    assert got == [200, 500, 200, 502, 200]


def test_redirect_names_the_target(proxy: FaultProxy) -> None:
    proxy.rules.append(redirect("http://127.0.0.1:1{target}"))
    answer, _ = ask(proxy, path="/k?x=1")
    assert (answer.status, answer.headers["Location"]) == (307, "http://127.0.0.1:1/k?x=1")


@pytest.mark.parametrize("after", [0, 1, 70_000])
@pytest.mark.parametrize("path", ["/x", "/chunked"])
def test_cut_in_the_response_body(proxy: FaultProxy, after: int, path: str) -> None:
    proxy.rules.append(cut("response-body", after=after, reset=False, times=1))
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    connection.request("GET", path)
    with pytest.raises(IncompleteRead):
        connection.getresponse().read()
    connection.close()
    assert ask(proxy, path=path)[1] == DATA


def test_cut_by_reset(proxy: FaultProxy) -> None:
    proxy.rules.append(cut("response-body", after=100))
    with pytest.raises(ConnectionResetError):
        ask(proxy)


def test_cut_before_the_response_comes_after_the_request(
    proxy: FaultProxy, seen: dict[str, bytes]
) -> None:
    proxy.rules.append(cut("response-head", reset=False, times=1))
    with pytest.raises(RemoteDisconnected):
        ask(proxy, "PUT", "/k", DATA)
    assert seen == {"/k": DATA}


@pytest.mark.parametrize("place", ["request-head", "request-body"])
def test_cut_in_the_request_keeps_it_from_the_server(
    proxy: FaultProxy, seen: dict[str, bytes], place: Any
) -> None:
    proxy.rules.append(cut(place, after=10))
    with pytest.raises(ConnectionError):
        ask(proxy, "PUT", "/k", DATA)
    assert seen == {}


@pytest.mark.parametrize("path", ["/x", "/chunked"])
def test_flip_changes_one_bit_down(proxy: FaultProxy, path: str) -> None:
    proxy.rules.append(flip("response-body", after=123_456))
    body = ask(proxy, path=path)[1]
    assert len(body) == len(DATA)
    assert [i for i, (a, b) in enumerate(zip(body, DATA, strict=True)) if a != b] == [123_456]


def test_flip_changes_one_bit_up(proxy: FaultProxy, seen: dict[str, bytes]) -> None:
    proxy.rules.append(flip("request-body", after=0))
    ask(proxy, "PUT", "/k", DATA)
    assert seen["/k"] == b"\x01" + DATA[1:]


def test_truncate(proxy: FaultProxy) -> None:
    proxy.rules[:] = [truncate(1000)]
    with pytest.raises(IncompleteRead):
        ask(proxy)
    proxy.rules[:] = [truncate(1000, declare="actual")]
    assert ask(proxy)[1] == DATA[:1000]
    proxy.rules[:] = [truncate(1000, declare="none")]
    answer, body = ask(proxy)
    assert body == DATA[:1000]
    assert answer.headers["Content-Length"] is None


def test_stall_delay_and_throttle_take_their_time(proxy: FaultProxy) -> None:
    for rule in (
        stall("response-body", after=5, seconds=0.4),
        stall("response-head", seconds=0.4),
        delay(0.4),
        throttle("response-body", rate=len(DATA) / 0.4),
    ):
        proxy.rules[:] = [rule]
        start = time.monotonic()
        assert ask(proxy)[1] == DATA
        assert 0.35 < time.monotonic() - start < 3


def test_a_stalled_client_times_out_and_the_proxy_lives(proxy: FaultProxy) -> None:
    proxy.rules.append(stall("response-body", after=5, seconds=30, times=1))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as sock:
        sock.sendall(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        with pytest.raises(TimeoutError):
            while sock.recv(65536):
                pass
    assert ask(proxy)[1] == DATA


def test_signatures_hold_through_the_proxy(
    fault_proxy: Make, rclone_s3: S3Server, seaweed_s3: S3Server, new_bucket: Any
) -> None:
    for server in (rclone_s3, seaweed_s3):
        bucket = new_bucket(server)
        proxy = fault_proxy(server.endpoint)
        client = server.at(proxy.endpoint).client()
        # boto3 sends Expect: 100-continue with this.
        client.put_object(Bucket=bucket, Key="k", Body=DATA)
        assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == DATA
        assert [(r.method, r.status) for r in proxy.requests] == [("PUT", 200), ("GET", 200)]
        assert proxy.requests[0].sent >= len(DATA)
        proxy.rules.append(status(503, body=SLOW_DOWN, times=1))
        client.put_object(Bucket=bucket, Key="k2", Body=b"x")
        assert server.keys(bucket) == {"k": len(DATA), "k2": 1}


def test_azure_through_the_proxy(fault_proxy: Make, azurite: AzureServer, new_bucket: Any) -> None:
    bucket = new_bucket(azurite)
    proxy = fault_proxy(azurite.endpoint)
    blob = azurite.at(proxy.endpoint).client().get_blob_client(bucket, "k")
    blob.upload_blob(DATA)
    assert blob.download_blob().readall() == DATA
    assert {r.status for r in proxy.requests} <= {200, 201, 206}
