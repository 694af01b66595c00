"""The lean HTTP client: strict about answers, frugal with connections, deaf to injections."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svstorage.providers.http1 import (
    MAX_HEAD,
    Answer,
    AnswerTooLarge,
    MalformedAnswer,
    NotConnected,
    Pool,
    parse_head,
    request_head,
)
from tests.perf_paths.peer import Script, ok, peer
from tests.servers.process import free_port

GET = request_head("GET", "/b/k", {"host": "h"})


def ask(*scripts: Script, limit: int = 1 << 20, no_body: bool = False) -> Answer:
    """The answer to one request; the peer says what the first script says."""
    with peer(*scripts) as server:
        pool = Pool("127.0.0.1", server.port, timeout=5)
        try:
            return pool.exchange(GET, limit=limit, no_body=no_body)
        finally:
            pool.close()


# Requests


def test_a_head_is_what_was_asked_for() -> None:
    head = request_head("PUT", "/b/a%2Fb?x=1", {"host": "h", "content-length": "3", "x-y": "ü\tz"})
    assert head == (
        b"PUT /b/a%2Fb?x=1 HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nx-y: \xfc\tz\r\n\r\n"
    )


@given(st.text(alphabet=st.characters(max_codepoint=255)))
@example("v\r\nevil: 1")
@example("v\nevil: 1")
@example("v\revil")
@example("\0")
@example("")
def test_no_value_begins_another_line(value: str) -> None:
    try:
        head = request_head("GET", "/", {"host": "h", "x-y": value, "z": "end"})
    except ValueError:
        assert any((c < " " and c != "\t") or c == "\x7f" for c in value)
        return
    assert head == f"GET / HTTP/1.1\r\nhost: h\r\nx-y: {value}\r\nz: end\r\n\r\n".encode("latin-1")
    assert head.count(b"\n") == 5
    assert head.count(b"\r") == 5


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "a\n", "ü", " a"])
def test_no_name_but_a_token(name: str) -> None:
    with pytest.raises(ValueError):
        request_head("GET", "/", {"host": "h", name: "v"})


@pytest.mark.parametrize("target", ["", "b/k", "/a b", "/a\r\nb", "/ü", "/a\n", "http://h/"])
def test_no_target_that_is_not_encoded(target: str) -> None:
    with pytest.raises(ValueError):
        request_head("GET", target, {"host": "h"})


# Heads of answers

TOKENS = st.text("abcXYZ019-_.!#", min_size=1, max_size=12)
VALUES = st.text(
    st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30
)  # fmt: skip


@given(st.integers(100, 599), st.dictionaries(TOKENS.map(str.lower), VALUES, max_size=8))
def test_a_well_formed_head_is_read(status: int, headers: dict[str, str]) -> None:
    headers = {k: v for k, v in headers.items() if k not in ("content-length",)}
    lines = [f"HTTP/1.1 {status} Any Reason", *(f"{k}: {v}" for k, v in headers.items())]
    minor, found, parsed = parse_head("\r\n".join(lines))
    assert (minor, found) == (1, status)
    assert parsed == {k: v.strip(" \t") for k, v in headers.items()}


@given(st.text(st.characters(max_codepoint=255), max_size=80))
@example("HTTP/1.1 200 OK\r\na: b\r\n c: folded")
@example("HTTP/1.1 200 OK\r\nno colon")
@example("HTTP/1.1 200 OK\r\n: no name")
@example("HTTP/1.1 200 OK\r\na : blank before the colon")
@example("HTTP/1.1 200 OK\na: b")
@example("HTTP/1.1 2000 OK")
@example("HTTP/2 200")
@example("http/1.1 200 OK")
@example("")
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(MalformedAnswer):
        parse_head(text)


def test_equal_names_are_joined_but_not_lengths() -> None:
    assert parse_head("HTTP/1.1 200 OK\r\nA: 1\r\na: 2")[2] == {"a": "1, 2"}
    with pytest.raises(MalformedAnswer):
        parse_head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1")


# Bodies


def test_a_body_of_a_told_length() -> None:
    answer = ask([ok(b"hello", "ETag: x\r\n")])
    assert (answer.status, bytes(answer.body), answer.headers["etag"]) == (200, b"hello", "x")


def test_a_body_in_many_pieces() -> None:
    body = bytes(range(256)) * 3000
    whole = ok(body)
    pieces: list[bytes | float] = []
    for start in range(0, len(whole), 100_000):
        pieces += [whole[start : start + 100_000], 0.005]
    assert bytes(ask(pieces).body) == body


def test_a_head_byte_by_byte() -> None:
    answer = ok(b"xyz")
    assert bytes(ask([answer[n : n + 1] for n in range(len(answer))]).body) == b"xyz"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.booleans())
def test_a_chunked_body(chunks: Sequence[bytes], extended: bool) -> None:
    more = b";name=value" if extended else b""
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), more, chunk) for chunk in chunks)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    answer = ask([head, body, b"0\r\nTrailer: t\r\n\r\n"])
    assert answer.body == b"".join(chunks)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxxHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_a_malformed_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        ask([answer, 0.1])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"",
    ],
)
def test_an_answer_that_breaks_off_is_no_answer(answer: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        ask([answer, None], [ok(b"never asked for")])


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x" * 11),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 11,
    ],
)
def test_a_body_beyond_the_limit_is_not_kept(answer: bytes) -> None:
    with pytest.raises(AnswerTooLarge):
        ask([answer, None], limit=10)


def test_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert bytes(ask([early, 0.01, ok(b"real")]).body) == b"real"


def test_answers_without_a_body() -> None:
    assert ask([b"HTTP/1.1 204 No Content\r\n\r\n"]).body == b""
    head = ask([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], no_body=True)
    assert (head.body, head.headers["content-length"]) == (b"", "1000")


def test_a_silent_peer_times_out() -> None:
    with peer([3.0]) as server:
        pool = Pool("127.0.0.1", server.port, timeout=0.3)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            pool.exchange(GET, limit=10)
        assert time.monotonic() - started < 2.5
        pool.close()


def test_nobody_listens() -> None:
    with pytest.raises(NotConnected) as caught:
        Pool("127.0.0.1", free_port()).exchange(GET, limit=10)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


# Connections


def test_a_connection_is_used_again() -> None:
    with peer([ok(b"1")], [ok(b"2")], [ok(b"3")]) as server:
        pool = Pool("127.0.0.1", server.port, timeout=5)
        assert [bytes(pool.exchange(GET, limit=9).body) for _ in range(3)] == [b"1", b"2", b"3"]
        assert server.connections == 1
        pool.close()


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_a_connection_closed_meanwhile_costs_no_request(pause: float) -> None:
    with peer([ok(b"1"), None], [ok(b"2")]) as server:
        pool = Pool("127.0.0.1", server.port, timeout=5)
        assert bytes(pool.exchange(GET, limit=9).body) == b"1"
        time.sleep(pause)
        body = b"x" * 100_000
        head = request_head("PUT", "/b/k", {"host": "h", "content-length": str(len(body))})
        assert bytes(pool.exchange(head, body, limit=9).body) == b"2"
        assert server.requests[1] == head + body
        assert server.connections == 2
        pool.close()


def test_a_request_that_kills_every_connection_is_sent_at_most_once_on_a_new_one() -> None:
    with peer([ok(b"1")], [None], [None], [None]) as server:
        pool = Pool("127.0.0.1", server.port, timeout=5)
        pool.exchange(GET, limit=9)
        with pytest.raises(ConnectionResetError):
            pool.exchange(GET, limit=9)
        assert len(server.requests) == 3
        pool.close()


@pytest.mark.parametrize(
    "first",
    [
        ok(b"1", "Connection: close\r\n"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1 and more",
    ],
)
def test_a_connection_that_is_not_to_be_used_again_is_not(first: bytes) -> None:
    with peer([first], [ok(b"2")]) as server:
        pool = Pool("127.0.0.1", server.port, timeout=5)
        try:
            pool.exchange(GET, limit=99)
        except MalformedAnswer:
            assert first.endswith(b"more")
        assert bytes(pool.exchange(GET, limit=9).body) == b"2"
        assert server.connections == 2
        pool.close()


def test_what_nobody_asked_for_is_not_taken_for_an_answer() -> None:
    timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    with peer([ok(b"1"), 0.1, timeout], [ok(b"2")]) as server:
        pool = Pool("127.0.0.1", server.port, timeout=5)
        pool.exchange(GET, limit=9)
        time.sleep(0.4)
        assert bytes(pool.exchange(GET, limit=9).body) == b"2"
        pool.close()
