"""An S3 service whose answers a test writes: for what no real server would ever say.

It holds objects in memory, lists, reads ranges, stores, and takes uploads in parts; it checks no
signature. A test changes what it says: `ScriptedS3.answer` sees every request first and may give
an `Answer` of its own, `ScriptedS3.listing` makes the listing. All requests are kept, so that a
test can say what was *not* sent. Where a real server can play the part, tests use that.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tests.servers.s3 import ACCESS_KEY, SECRET_KEY

PAGE = 1000
MODIFIED = "2020-01-02T03:04:05.000Z"


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = b""

    @property
    def key(self) -> str:
        """The key that the path names, decoded."""
        return unquote(self.path.lstrip("/").partition("/")[2])


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    """Say another Content-Length than that of the body."""
    hang_up: bool = False
    """Close the connection after the answer."""


def error(status: int, code: str, **headers: str) -> Answer:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>scripted</Message></Error>'
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body.encode(), {"Content-Type": "application/xml", **named})


def page(keys: Mapping[str, bytes], *, token: str | None = None, truncated: bool = False) -> bytes:
    """A page of ListObjectsV2 that names exactly these keys, in this order."""
    items = "".join(
        f"<Contents><Key>{quote(key)}</Key><LastModified>{MODIFIED}</LastModified>"
        f"<ETag>&quot;{hashlib.md5(data).hexdigest()}&quot;</ETag><Size>{len(data)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key, data in keys.items()
    )
    following = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>b</Name><Prefix></Prefix><MaxKeys>{PAGE}</MaxKeys><EncodingType>url</EncodingType>"
        f"<KeyCount>{len(keys)}</KeyCount><IsTruncated>{str(truncated).lower()}</IsTruncated>"
        f"{following}{items}</ListBucketResult>"
    ).encode()


@dataclass
class ScriptedS3:
    endpoint: str = ""
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    bucket: str = "bucket"
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list, repr=False)
    answer: Callable[[Asked], Answer | None] = lambda asked: None
    listing: Callable[[Asked], bytes | Answer] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def write_env(self, path: Path, **more: str) -> Path:
        settings = {
            "STORAGE_PROVIDER": "minio",
            "STORAGE_ENDPOINT": self.endpoint,
            "STORAGE_ACCESS_KEY": self.access_key,
            "STORAGE_SECRET_KEY": self.secret_key,
            **more,
        }
        path.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        path.chmod(0o600)
        return path

    # -- what an honest service would say --------------------------------------------------------

    def honest(self, asked: Asked) -> Answer:
        with self.lock:
            if not asked.key:
                return self._bucket(asked)
            if "uploadId" in asked.query or "uploads" in asked.query:
                return self._upload(asked)
            return self._object(asked)

    def _bucket(self, asked: Asked) -> Answer:
        if asked.method == "POST" and "delete" in asked.query:
            for part in asked.body.decode().split("<Key>")[1:]:
                self.objects.pop(part.partition("</Key>")[0], None)
            return Answer(body=b"<DeleteResult></DeleteResult>")
        if asked.method == "HEAD" or asked.path.strip("/") == "":
            return Answer(body=b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")
        if self.listing is not None:
            told = self.listing(asked)
            return told if isinstance(told, Answer) else Answer(body=told)
        prefix = asked.query.get("prefix", "")
        after = asked.query.get("continuation-token") or asked.query.get("start-after", "")
        names = sorted(
            (key for key in self.objects if key.startswith(prefix) and key > after),
            key=lambda key: key.encode(),
        )
        count = min(PAGE, int(asked.query.get("max-keys", PAGE)))
        shown = names[:count]
        more = len(names) > count
        held = {key: self.objects[key] for key in shown}
        return Answer(body=page(held, token=shown[-1] if more else None, truncated=more))

    def _object(self, asked: Asked) -> Answer:
        key = asked.key
        if asked.method == "PUT":
            self.objects[key] = asked.body
            return Answer(headers={"ETag": f'"{hashlib.md5(asked.body).hexdigest()}"'})
        if asked.method == "DELETE":
            self.objects.pop(key, None)
            return Answer(204)
        if key not in self.objects:
            return error(404, "NoSuchKey")
        data = self.objects[key]
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        headers = {
            "ETag": etag,
            "Last-Modified": "Thu, 02 Jan 2020 03:04:05 GMT",
            "Content-Type": "application/octet-stream",
        }
        if asked.headers.get("if-match", etag).strip('"') != etag.strip('"'):
            return error(412, "PreconditionFailed")
        if asked.method == "HEAD":
            return Answer(headers=headers, length=len(data))
        ranged = asked.headers.get("range")
        if ranged and data:
            first, _, last = ranged.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            return Answer(206, data[start : end + 1], headers)
        return Answer(body=data, headers=headers)

    def _upload(self, asked: Asked) -> Answer:
        if "uploads" in asked.query:
            name = uuid.uuid4().hex
            self.uploads[name] = {}
            return Answer(
                body=b"<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
                b"</InitiateMultipartUploadResult>" % name.encode()
            )
        name = asked.query["uploadId"]
        if name not in self.uploads:
            return error(404, "NoSuchUpload")
        parts = self.uploads[name]
        if asked.method == "PUT":
            parts[int(asked.query["partNumber"])] = asked.body
            return Answer(headers={"ETag": f'"{hashlib.md5(asked.body).hexdigest()}"'})
        if asked.method == "DELETE":
            del self.uploads[name]
            return Answer(204)
        if asked.method == "GET":
            rows = "".join(
                f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;{hashlib.md5(d).hexdigest()}&quot;"
                f"</ETag><Size>{len(d)}</Size></Part>"
                for n, d in sorted(parts.items())
            )
            return Answer(
                body=f"<ListPartsResult><IsTruncated>false</IsTruncated>{rows}"
                "</ListPartsResult>".encode()
            )
        self.objects[asked.key] = b"".join(data for _, data in sorted(parts.items()))
        joined = b"".join(hashlib.md5(data).digest() for _, data in sorted(parts.items()))
        etag = f"{hashlib.md5(joined).hexdigest()}-{len(parts)}"
        del self.uploads[name]
        return Answer(
            body=f"<CompleteMultipartUploadResult><ETag>&quot;{etag}&quot;</ETag>"
            "</CompleteMultipartUploadResult>".encode()
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: ScriptedS3

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        there = urlsplit(self.path)
        asked = Asked(
            self.command,
            self.path,
            there.path,
            dict(parse_qsl(there.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            body,
        )
        self.service.requests.append(asked)
        answer = self.service.answer(asked) or self.service.honest(asked)
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        size = len(answer.body) if answer.length is None else answer.length
        self.send_header("Content-Length", str(size))
        if answer.hang_up:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
            if size > len(answer.body):
                self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a client that hangs up is part of the script


@pytest.fixture
def scripted_s3() -> Iterator[Callable[[], ScriptedS3]]:
    """``scripted_s3()``: a service of its own, until the test ends."""
    running = []

    def make() -> ScriptedS3:
        service = ScriptedS3()
        handler = type("Handler", (_Handler,), {"service": service})
        server = _Server(("127.0.0.1", 0), handler)
        service.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        running.append(server)
        return service

    yield make
    for server in running:
        server.shutdown()
        server.server_close()
