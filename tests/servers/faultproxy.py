"""A proxy that does harm on purpose, between a client and one of the real servers.

It speaks just enough HTTP/1.1 to know where heads and bodies begin and end, and passes every byte
on unchanged, the Host header included: the client signs for the proxy's address, and the servers
check the signature over the Host header as sent. Faults are rules::

    proxy = fault_proxy(server.endpoint, seed=7)
    client = server.at(proxy.endpoint).client()
    proxy.rules.append(status(503, body=SLOW_DOWN, share=0.2))
    proxy.rules.append(cut("response-body", after=1000, method="GET", times=1))
    ...
    assert [r.fault for r in proxy.requests if r.fault]

The first rule that matches a request and wins its draw is done to it. Draws come from one
generator with the proxy's seed, which is printed, so pytest shows it when a test fails.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

Place = Literal["request-head", "request-body", "response-head", "response-body"]
Kind = Literal["status", "cut", "stall", "flip", "truncate", "delay", "throttle"]

SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


@dataclass(slots=True)
class Fault:
    """One rule: which requests it is for, how often, and what it does. See the functions below."""

    kind: Kind
    place: Place = "response-body"
    after: int = 0
    """Bytes of the place (head or body) that still pass."""
    seconds: float = 0
    rate: float = 0
    code: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: bool = True
    declare: Literal["original", "actual", "none"] = "original"
    method: str | None = None
    path: str | None = None
    """Regular expression searched in the request target (path and query, as sent)."""
    when: Callable[[Request], bool] | None = None
    share: float = 1.0
    times: int | None = None
    """Does it at most so often."""
    skip: int = 0
    """Lets so many matching requests pass before."""
    done: int = 0
    """How often it was done."""

    def matches(self, request: Request) -> bool:
        return (
            (self.method is None or request.method == self.method)
            and (self.path is None or re.search(self.path, request.target) is not None)
            and (self.when is None or self.when(request))
        )


def status(
    code: int,
    *,
    body: bytes = b"",
    retry_after: str | int | None = None,
    headers: Mapping[str, str] | None = None,
    **which: Any,
) -> Fault:
    """Answers by itself; the server never sees the request (its body is read and dropped)."""
    named = dict(headers or {})
    if retry_after is not None:
        named["Retry-After"] = str(retry_after)
    return Fault("status", code=code, body=body, headers=named, **which)


def redirect(location: str, *, code: int = 307, **which: Any) -> Fault:
    """Answers with a redirect; ``{target}`` in the location becomes the request's target."""
    return Fault("status", code=code, headers={"Location": location}, **which)


def cut(place: Place, *, after: int = 0, reset: bool = True, **which: Any) -> Fault:
    """Ends both connections once ``after`` bytes of ``place`` passed: by RST, else by FIN.

    ``cut("response-head")`` is "closed before the response": the server did get the request.
    A body with no byte beyond ``after`` is cut where it ends.
    """
    return Fault("cut", place, after=after, reset=reset, **which)


def stall(place: Place, *, seconds: float, after: int = 0, **which: Any) -> Fault:
    """Passes ``after`` bytes of ``place``, then nothing for so many seconds, then goes on."""
    return Fault("stall", place, after=after, seconds=seconds, **which)


def delay(seconds: float, **which: Any) -> Fault:
    """Waits before passing the request on."""
    return Fault("delay", seconds=seconds, **which)


def throttle(place: Place, *, rate: float, **which: Any) -> Fault:
    """Passes at most ``rate`` bytes a second of a body."""
    return Fault("throttle", place, rate=rate, **which)


def flip(place: Place, *, after: int = 0, **which: Any) -> Fault:
    """Flips the lowest bit of the byte at offset ``after`` of a body.

    Offsets count the bytes as sent, so an ``aws-chunked`` upload has its chunk heads in them.
    """
    return Fault("flip", place, after=after, **which)


def truncate(
    after: int, *, declare: Literal["original", "actual", "none"] = "original", **which: Any
) -> Fault:
    """Ends a response's body early.

    ``declare``: the Content-Length stays right (``original``: a client can tell), says the short
    length (``actual``: looks whole), or is left out (``none``: ends with the connection).
    """
    return Fault("truncate", "response-body", after=after, declare=declare, **which)


@dataclass(slots=True)
class Request:
    """What the proxy saw of a request."""

    method: str
    target: str
    """Path and query, as sent."""
    headers: dict[str, str]
    """Names in lower case."""
    fault: Fault | None = None
    status: int | None = None
    """Of the answer that was passed or made; None where there was none."""
    sent: int = 0
    """Bytes of the request's body that came from the client."""
    received: int = 0
    """Bytes of the response's body that were passed to the client."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class _Cut(Exception):
    """The fault says: end this connection now."""

    def __init__(self, reset: bool) -> None:
        self.reset = reset


@dataclass(slots=True)
class _Head:
    raw: bytes
    start: list[str]
    headers: dict[str, str]


@dataclass(slots=True)
class _Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class FaultProxy:
    """A running proxy in front of ``upstream`` (an ``http://host:port`` address)."""

    def __init__(self, upstream: str, *, seed: int = 0) -> None:
        there = urlsplit(upstream)
        if there.scheme != "http" or there.hostname is None:
            raise ValueError("the fault proxy stands before plain http servers only")
        self.upstream = (there.hostname, there.port or 80)
        self.rules: list[Fault] = []
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self.broken: list[BaseException] = []
        """Errors of the proxy itself; `close` raises the first."""
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the fault proxy did not start")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def faults(self) -> list[Request]:
        """The requests that something was done to."""
        return [request for request in list(self.requests) if request.fault]

    def close(self) -> None:
        """Stops; open connections are cut."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if self.broken:
            raise self.broken[0]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._connection(_Peer(reader, writer))
            finally:
                tasks.discard(task)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, client: _Peer) -> None:
        self.connections += 1
        server: _Peer | None = None
        try:
            while (head := await _read_head(client.reader)) is not None:
                request = Request(head.start[0], head.start[1], head.headers)
                self.requests.append(request)
                fault = request.fault = self._draw(request)
                if fault and fault.kind == "status":
                    await _own_answer(client, head, request, fault)
                    if "expect" in head.headers:
                        break
                    continue
                if fault and fault.kind == "delay":
                    await asyncio.sleep(fault.seconds)
                if server is None:
                    server = _Peer(*await asyncio.open_connection(*self.upstream))
                if not await self._exchange(client, server, head, request):
                    break
        except _Cut as cut_now:
            for peer in (client, server):
                if peer:
                    _hang_up(peer, reset=cut_now.reset)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side is gone: so is the other, below
        except asyncio.CancelledError:
            pass
        except Exception as error:  # a mistake of the proxy must fail the test, not hide
            self.broken.append(error)
        finally:
            for peer in (client, server):
                if peer:
                    peer.writer.close()

    def _draw(self, request: Request) -> Fault | None:
        for rule in list(self.rules):
            if not rule.matches(request) or (rule.times is not None and rule.done >= rule.times):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.share >= 1 or self._random.random() < rule.share:
                rule.done += 1
                return rule
        return None

    async def _exchange(self, client: _Peer, server: _Peer, head: _Head, request: Request) -> bool:
        """Passes one request and its response; True when the connection may serve another."""
        fault = request.fault
        await _pass_head(head.raw, server.writer, fault, "request-head")

        async def upload() -> None:
            async for piece, payload in _body(client.reader, head, None):
                request.sent += len(piece) if payload else 0
                await _pass_body(piece, payload, request.sent, server.writer, fault, "request-body")
            _end_of_place(fault, "request-body")

        async def download() -> bool:
            while True:
                answer = await _read_head(server.reader)
                if answer is None:
                    raise _Cut(reset=False)
                code = int(answer.start[1])
                if code >= 200 or code == 101:
                    break
                client.writer.write(answer.raw)  # 100 Continue and the like
                await client.writer.drain()
            request.status = code
            raw = answer.raw
            limit = None
            if fault and fault.kind == "truncate":
                limit = fault.after
                raw = _redeclare(answer, fault)
            await _pass_head(raw, client.writer, fault, "response-head")
            async for piece, payload in _body(server.reader, answer, request.method):
                if limit is not None and payload and request.received + len(piece) >= limit:
                    client.writer.write(piece[: limit - request.received])
                    request.received = limit
                    await client.writer.drain()
                    raise _Cut(reset=False)
                request.received += len(piece) if payload else 0
                await _pass_body(
                    piece, payload, request.received, client.writer, fault, "response-body"
                )
            _end_of_place(fault, "response-body")
            closing = "close" in answer.headers.get("connection", "").lower()
            return not closing and (_has_length(answer) or not _may_have_body(answer, request))

        up = asyncio.ensure_future(upload())
        down = asyncio.ensure_future(download())
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (up, down):
                if task.done():
                    task.result()
            # The server may answer before it has the whole body; the client then decides.
            return await down
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)


async def _read_head(reader: asyncio.StreamReader) -> _Head | None:
    """The next head, or None where the peer closed the connection between two messages."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    lines = raw.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return _Head(raw, lines[0].split(" ", 2), headers)


def _has_length(head: _Head) -> bool:
    return "content-length" in head.headers or "transfer-encoding" in head.headers


def _may_have_body(answer: _Head, request: Request) -> bool:
    return request.method != "HEAD" and int(answer.start[1]) not in (204, 304)


async def _body(
    reader: asyncio.StreamReader, head: _Head, answers: str | None
) -> AsyncIterator[tuple[bytes, bool]]:
    """Pieces of a body as they come; False marks the framing of a chunked one.

    ``answers``: the request's method where this is a response, whose body may end with the
    connection; None where it is a request.
    """
    headers = head.headers
    if answers == "HEAD" or (answers is not None and int(head.start[1]) in (204, 304)):
        return
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while True:
            line = await reader.readline()
            yield line, False
            size = int(line.split(b";")[0].strip() or b"0", 16)
            async for piece in _exactly(reader, size):
                yield piece, True
            if size == 0:
                break
            yield await reader.readexactly(2), False
        while (line := await reader.readline()) not in (b"\r\n", b""):
            yield line, False  # trailers
        yield line, False
    elif "content-length" in headers:
        async for piece in _exactly(reader, int(headers["content-length"])):
            yield piece, True
    elif answers is not None:
        while piece := await reader.read(65536):
            yield piece, True


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(piece)
        yield piece


async def _pass_head(
    raw: bytes, writer: asyncio.StreamWriter, fault: Fault | None, place: Place
) -> None:
    if fault and fault.place == place and fault.kind in ("cut", "stall"):
        writer.write(raw[: fault.after])
        await writer.drain()
        if fault.kind == "cut":
            raise _Cut(fault.reset)
        await asyncio.sleep(fault.seconds)
        raw = raw[fault.after :]
    writer.write(raw)
    await writer.drain()


async def _pass_body(
    piece: bytes,
    payload: bool,
    total: int,
    writer: asyncio.StreamWriter,
    fault: Fault | None,
    place: Place,
) -> None:
    """Passes a piece; ``total`` counts the payload up to its end."""
    if fault and fault.place == place and payload:
        start = total - len(piece)
        inside = fault.after - start
        if fault.kind == "flip" and 0 <= inside < len(piece):
            piece = piece[:inside] + bytes([piece[inside] ^ 1]) + piece[inside + 1 :]
        elif fault.kind in ("cut", "stall") and 0 <= inside < len(piece):
            writer.write(piece[:inside])
            await writer.drain()
            if fault.kind == "cut":
                raise _Cut(fault.reset)
            await asyncio.sleep(fault.seconds)
            piece = piece[inside:]
        elif fault.kind == "throttle":
            step = max(1, int(fault.rate / 20))
            while len(piece) > step:
                writer.write(piece[:step])
                await writer.drain()
                await asyncio.sleep(step / fault.rate)
                piece = piece[step:]
            await asyncio.sleep(len(piece) / fault.rate)
    writer.write(piece)
    await writer.drain()


def _end_of_place(fault: Fault | None, place: Place) -> None:
    if fault and fault.kind == "cut" and fault.place == place:
        raise _Cut(fault.reset)


def _redeclare(answer: _Head, fault: Fault) -> bytes:
    if fault.declare == "original":
        return answer.raw
    lines = answer.raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [x for x in lines if not x.lower().startswith((b"content-length:", b"connection:"))]
    if fault.declare == "actual":
        whole = int(answer.headers.get("content-length", fault.after))
        kept.append(b"Content-Length: %d" % min(fault.after, whole))
    kept.append(b"Connection: close")
    return b"\r\n".join(kept) + b"\r\n\r\n"


async def _own_answer(client: _Peer, head: _Head, request: Request, fault: Fault) -> None:
    waits = "expect" in head.headers
    if not waits:
        async for piece, payload in _body(client.reader, head, None):
            request.sent += len(piece) if payload else 0
    request.status = fault.code
    lines = [f"HTTP/1.1 {fault.code} Injected", f"Content-Length: {len(fault.body)}"]
    for name, value in fault.headers.items():
        lines.append(f"{name}: {value.replace('{target}', request.target)}")
    if fault.body.startswith(b"<?xml"):
        lines.append("Content-Type: application/xml")
    if waits:
        lines.append("Connection: close")  # its body was never asked for
    body = b"" if request.method == "HEAD" else fault.body
    client.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    await client.writer.drain()


def _hang_up(peer: _Peer, *, reset: bool) -> None:
    if reset:
        sock = peer.writer.get_extra_info("socket")
        with suppress(OSError):
            # Zero linger turns the close into a RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.writer.transport.abort()
    else:
        peer.writer.close()


@pytest.fixture
def fault_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """``fault_proxy(server.endpoint, seed=0)``: a proxy before that server, until the test ends."""
    made: list[FaultProxy] = []

    def make(upstream: str, *, seed: int = 0) -> FaultProxy:
        print(f"fault proxy: seed {seed}")
        made.append(FaultProxy(upstream, seed=seed))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()
