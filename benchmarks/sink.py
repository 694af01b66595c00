"""An S3 service that is almost nothing: what is measured against it is the client.

One thread, objects in memory, no signatures checked, no folders, no disk. It answers PUT, GET,
HEAD, DELETE, CopyObject, ListObjectsV2 and uploads in parts as S3 does, ETags included; deleting a
bucket drops what is in it. As AWS does since the end of 2024, it tells the CRC64NVME of a whole
object to those who ask for it (``x-amz-checksum-mode``), of one stored in parts as well; an answer
to a GET of a range has none. A bucket named ``list-N-x`` has N objects that exist only in its
listing (for measuring listings and memory at any count).

Run by `servers.py`: ``python sink.py PORT``. Not a test server: it forgives everything.
"""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import sys
import time
from bisect import bisect_right
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import parse_qs, quote, unquote

BLOCK = 1 << 20
LISTED_TIME = "2025-01-01T00:00:00.000Z"
PAGE = 1000
LISTED_ETAG = hashlib.md5(b"x" * 4096).hexdigest()
_OBJECT = (
    "<Contents><Key>{}</Key><LastModified>{}</LastModified>"
    "<ETag>&quot;{}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


Pieces = list[bytes | memoryview]


@dataclass(slots=True)
class Stored:
    """An object: its bytes, ETag, the headers to give back, and when it was put."""

    data: bytes
    etag: str
    lines: list[str]
    when: float
    _crc: str = ""

    def crc(self) -> str:
        """The CRC64NVME in base64, computed once, when it is first asked for."""
        if not self._crc:
            from awscrt.checksums import crc64nvme

            self._crc = base64.b64encode(crc64nvme(self.data).to_bytes(8, "big")).decode()
        return self._crc


class Peer:
    """One client's connection and what of its request has arrived."""

    __slots__ = ("body", "head", "need", "pending", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending = bytearray()
        self.head: list[str] | None = None
        self.need = 0


class Sink:
    """All buckets and objects."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Stored]] = {}
        self.uploads: dict[str, tuple[list[str], dict[int, bytes]]] = {}
        self.sorted: tuple[str, list[str]] = ("", [])

    def answer(self, head: list[str], body: bytes) -> Pieces:
        method, uri, _ = head[0].split(" ")
        path, _, query = uri.partition("?")
        bucket, _, key = unquote(path)[1:].partition("/")
        if not key:
            return self._bucket(method, bucket, query)
        objects = self.buckets.setdefault(bucket, {})
        if query and ("uploadId=" in query or "uploads" in query) and method in ("PUT", "POST"):
            return self._part(head, parse_qs(query, True), objects, key, body)
        if method == "PUT":
            copied = _header(head, "x-amz-copy-source")
            if copied is not None:
                source, _, name = unquote(copied).lstrip("/").partition("/")
                one = self.buckets[source][name]
                objects[key] = Stored(one.data, one.etag, one.lines, time.time())
                text = f'<CopyObjectResult><ETag>"{one.etag}"</ETag></CopyObjectResult>'
                return _reply(200, text.encode())
            etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
            objects[key] = Stored(body, etag, _kept(head), time.time())
            return _reply(200, b"", f'ETag: "{etag}"\r\n')
        if method == "DELETE":
            objects.pop(key, None)
            return _reply(204, b"")
        found = objects.get(key)
        if found is None:
            return _reply(404, b"<Error><Code>NoSuchKey</Code></Error>", head_only=method == "HEAD")
        data = found.data
        lines = f'ETag: "{found.etag}"\r\nLast-Modified: {formatdate(found.when, usegmt=True)}\r\n'
        lines += "".join(f"{line}\r\n" for line in found.lines)
        wanted = _header(head, "range")
        if wanted is not None and data:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
            lines += f"Content-Range: bytes {start}-{end}/{len(data)}\r\n"
            return _reply(206, memoryview(data)[start : end + 1], lines, head_only=method == "HEAD")
        if _header(head, "x-amz-checksum-mode") is not None:
            lines += f"x-amz-checksum-crc64nvme: {found.crc()}\r\n"
            lines += "x-amz-checksum-type: FULL_OBJECT\r\n"
        return _reply(200, data, lines, head_only=method == "HEAD")

    def _part(
        self,
        head: list[str],
        query: dict[str, list[str]],
        objects: dict[str, Stored],
        key: str,
        body: bytes,
    ) -> Pieces:
        """Creates an upload, takes a part of it, or completes it with all parts there are."""
        if "uploads" in query:
            upload = f"u{len(self.uploads)}"
            self.uploads[upload] = (_kept(head), {})
            text = "<InitiateMultipartUploadResult><UploadId>{}</UploadId></{}>"
            return _reply(200, text.format(upload, "InitiateMultipartUploadResult").encode())
        kept, parts = self.uploads[query["uploadId"][0]]
        if "partNumber" in query:
            parts[int(query["partNumber"][0])] = body
            return _reply(
                200, b"", f'ETag: "{hashlib.md5(body, usedforsecurity=False).hexdigest()}"\r\n'
            )
        whole = [parts[number] for number in sorted(parts)]
        digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in whole)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(whole)}"
        objects[key] = Stored(b"".join(whole), etag, kept, time.time())
        parts.clear()
        name = "CompleteMultipartUploadResult"
        return _reply(200, f'<{name}><ETag>"{etag}"</ETag></{name}>'.encode())

    def _bucket(self, method: str, bucket: str, query: str) -> Pieces:
        if method == "DELETE":
            self.buckets.pop(bucket, None)
            return _reply(204, b"")
        if method in ("PUT", "HEAD"):
            self.buckets.setdefault(bucket, {})
            return _reply(200, b"", head_only=method == "HEAD")
        asked = {name: values[0] for name, values in parse_qs(query, True).items()}
        if "location" in asked:
            return _reply(200, b"<LocationConstraint/>")
        prefix = asked.get("prefix", "")
        # "marker" and NextMarker are those of ListObjects, the first version.
        after = asked.get("continuation-token") or asked.get("marker") or asked.get("start-after")
        after = after or ""
        limit = min(PAGE, int(asked.get("max-keys", PAGE)))
        if bucket.startswith("list-"):
            rows, more = _generated(int(bucket.split("-")[1]), prefix, after, limit)
        else:
            rows, more = self._stored(bucket, prefix, after, limit, asked.get("delimiter", ""))
        name = "NextContinuationToken" if "list-type" in asked else "NextMarker"
        token = f"<{name}>{quote(more)}</{name}>" if more else ""
        text = (
            f"<?xml version='1.0'?><ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}</Prefix>"
            f"<KeyCount>{len(rows)}</KeyCount><MaxKeys>{limit}</MaxKeys>"
            f"<EncodingType>url</EncodingType>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}"
            f"{''.join(rows)}</ListBucketResult>"
        )
        return _reply(200, text.encode(), "Content-Type: application/xml\r\n")

    def _stored(
        self, bucket: str, prefix: str, after: str, limit: int, delimiter: str
    ) -> tuple[list[str], str]:
        objects = self.buckets.get(bucket, {})
        if not after or self.sorted[0] != bucket:
            self.sorted = (bucket, sorted(objects))  # once for all pages of a listing
        keys = self.sorted[1]
        rows: list[str] = []
        prefixes: set[str] = set()
        last = ""
        for key in keys[bisect_right(keys, unquote(after)) :]:
            if not key.startswith(prefix):
                continue
            if len(rows) >= limit:
                return rows, last
            last = key
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            if at >= 0:
                folder = key[: at + 1]
                if folder not in prefixes:
                    prefixes.add(folder)
                    rows.append(
                        f"<CommonPrefixes><Prefix>{quote(folder)}</Prefix></CommonPrefixes>"
                    )
                continue
            one = objects[key]
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(one.when))
            rows.append(_OBJECT.format(quote(key), when, one.etag, len(one.data)))
        return rows, ""


def _generated(count: int, prefix: str, after: str, limit: int) -> tuple[list[str], str]:
    if prefix and not f"{prefix}d/o".startswith("d/o"):
        return [], ""
    start = int(after[3:11]) + 1 if after else 0
    end = min(count, start + limit)
    rows = [
        _OBJECT.format(f"d/o{n:08d}", LISTED_TIME, LISTED_ETAG, 4096) for n in range(start, end)
    ]
    return rows, f"d/o{end - 1:08d}" if end < count else ""


def _header(head: list[str], name: str) -> str | None:
    for line in head[1:]:
        if line[: len(name) + 1].lower() == f"{name}:":
            return line[len(name) + 1 :].strip()
    return None


def _kept(head: list[str]) -> list[str]:
    return [line for line in head[1:] if line[:11].lower() in ("x-amz-meta-", "content-typ")]


def _reply(
    status: int, body: bytes | memoryview, lines: str = "", *, head_only: bool = False
) -> Pieces:
    text = f"HTTP/1.1 {status} OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    head = text.encode("latin-1")
    return [head] if head_only else [head, body]


def _requests(peer: Peer, sink: Sink) -> Pieces:
    """Takes whole requests out of what has arrived; the answers to them."""
    out: Pieces = []
    while True:
        if peer.head is None:
            end = peer.pending.find(b"\r\n\r\n")
            if end < 0:
                return out
            peer.head = peer.pending[:end].decode("latin-1").split("\r\n")
            del peer.pending[: end + 4]
            peer.need = int(_header(peer.head, "content-length") or 0)
            if _header(peer.head, "expect"):
                out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(peer.pending) < peer.need:
            return out
        body = bytes(peer.pending[: peer.need])
        del peer.pending[: peer.need]
        out += sink.answer(peer.head, body)
        peer.head = None


def _send(sock: socket.socket, pieces: Pieces) -> None:
    if sum(map(len, pieces)) < BLOCK:
        sock.sendall(b"".join(pieces))
        return
    for piece in pieces:  # large ones are not copied once more
        sock.sendall(piece)


def serve(port: int) -> None:
    """Until killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    peers: dict[int, Peer] = {}
    sink = Sink()
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[sock.fileno()] = Peer(sock)
                poll.register(sock, select.EPOLLIN)
                continue
            peer = peers[number]
            try:
                data = peer.sock.recv(BLOCK)
                if data:
                    peer.pending += data
                    answer = _requests(peer, sink)
                    if answer:
                        _send(peer.sock, answer)
                    continue
            except OSError:
                pass
            poll.unregister(number)
            peers.pop(number).sock.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
