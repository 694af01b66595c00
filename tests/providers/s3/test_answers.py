"""Answers that no real server gives on demand, from a service of our own."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import socket
import threading
import time
from email.utils import formatdate

import pytest

from svstorage.errors import (
    AccessRefused,
    ChecksumMismatch,
    ListingError,
    ObjectChanged,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)
from svstorage.model import Entry, Part
from svstorage.providers.s3.aws import AwsHost
from svstorage.providers.s3.store import S3Store
from tests.providers.s3.conftest import config_of, static

ETAG = hashlib.md5(b"data").hexdigest()


def error_xml(code: str, **more: str) -> bytes:
    rows = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    return f"<Error><Code>{code}</Code><Message>words</Message>{rows}</Error>".encode()


def xml(name: str, inner: str) -> bytes:
    return f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{name}>'.encode()


def test_a_refusal_without_words_says_what_it_can_mean(scripted, connect):
    store = connect(scripted(lambda got: (403, {}, b"")).endpoint)
    with pytest.raises(AccessRefused, match=r"403 without a reason: wrong keys.*config check"):
        store.head("bucket", "k")
    store = connect(scripted(lambda got: (403, {}, error_xml("AccessDenied"))).endpoint)
    with pytest.raises(AccessRefused, match=r"403 AccessDenied words$"):
        store.delete("bucket", "k")


# Checksums on the wire


def test_a_body_in_memory_carries_its_md5(scripted, connect):
    service = scripted(lambda got: (200, {"etag": f'"{ETAG}"'}, b""))
    store = connect(service.endpoint)
    store.put("bucket", "k", b"data", size=4)
    store.put_part("bucket", "k", "id", number=1, offset=0, size=4, body=b"data")
    right = base64.b64encode(hashlib.md5(b"data").digest()).decode()
    assert [got.headers["content-md5"] for got in service.got] == [right, right]


def test_a_stream_does_not_and_the_answer_is_the_proof(scripted, connect):
    service = scripted(lambda got: (200, {"etag": f'"{ETAG}"'}, b""))
    store = connect(service.endpoint)
    stored = store.put("bucket", "k", io.BytesIO(b"data"), size=4)
    part = store.put_part("bucket", "k", "id", number=1, offset=0, size=4, body=io.BytesIO(b"data"))
    assert all("content-md5" not in got.headers for got in service.got)
    assert stored.checksum.value == part.checksum.value == ETAG


def test_no_header_that_other_services_refuse(scripted, connect):
    """x-amz-checksum-*, trailers and aws-chunked are for AWS alone."""
    service = scripted(lambda got: (200, {"etag": f'"{ETAG}"'}, b""))
    store = connect(service.endpoint)
    store.put("bucket", "k", b"data", size=4)
    store.put("bucket", "k", io.BytesIO(b"data"), size=4)
    for got in service.got:
        assert not [name for name in got.headers if name.startswith("x-amz-checksum")]
        assert "x-amz-sdk-checksum-algorithm" not in got.headers
        assert "x-amz-trailer" not in got.headers
        assert "chunked" not in got.headers.get("content-encoding", "")
        assert "transfer-encoding" not in got.headers
        assert got.headers["content-length"] == "4"


@pytest.mark.parametrize(("word", "sent"), [("auto", False), ("off", False), ("on", True)])
def test_checksums_of_the_sdk_in_s3fs(moto_server, front, word, sent):
    from svstorage.providers.s3 import S3Provider

    before = front(moto_server.endpoint)
    config = config_of(endpoint=before.endpoint, s3_checksums=word)
    bucket = moto_server.new_bucket()
    fs = S3Provider().filesystem(config, static())
    fs.pipe_file(f"{bucket}/k", b"data")
    assert fs.cat_file(f"{bucket}/k") == b"data"
    puts = [one for one in before.log if one.method == "PUT"]
    assert puts
    assert all(sent == ("checksum" in one.text) for one in puts)
    moto_server.drop_bucket(bucket)


def test_another_digest_in_the_answer_is_an_error(scripted, connect):
    service = scripted(lambda got: (200, {"etag": f'"{"0" * 32}"'}, b""))
    store = connect(service.endpoint)
    with pytest.raises(ChecksumMismatch):
        store.put("bucket", "k", b"data", size=4)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption": "aws:kms:dsse"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_the_etag_of_an_encrypted_object_is_no_digest(scripted, connect, headers):
    service = scripted(lambda got: (200, {"etag": f'"{"0" * 32}"', **headers}, b""))
    stored = connect(service.endpoint).put("bucket", "k", b"data", size=4)
    assert stored.checksum is None


# Errors in the body of a success


LATE = [
    ("InternalError", ServiceError),
    ("SlowDown", Throttled),
    ("RequestTimeout", ServiceError),
    ("AccessDenied", AccessRefused),
    ("NoSuchUpload", ObjectNotFound),
    ("SomethingNew", ServiceError),
]


@pytest.mark.parametrize(("code", "kind"), LATE)
def test_a_200_that_tells_an_error(scripted, connect, code, kind):
    # AWS begins its answer before it is done, and sends blanks meanwhile.
    service = scripted(lambda got: (200, {}, b"\n \n<?xml version='1.0'?>\n" + error_xml(code)))
    store = connect(service.endpoint)
    source = Entry("from", 4, etag=ETAG)
    with pytest.raises(kind):
        store.complete_upload("bucket", "k", "id", [Part(1, 4, ETAG)])
    with pytest.raises(kind):
        store.copy("bucket", source, "bucket", "k")
    assert len(service.got) == 2, "the engine repeats, not the store"


@pytest.mark.parametrize("body", [b"", b"\n \n", b"<CompleteMultipart", b"<html>ok</html>", b"\0"])
def test_a_200_that_is_no_answer(scripted, connect, body):
    store = connect(scripted(lambda got: (200, {}, body)).endpoint)
    with pytest.raises(ServiceError):
        store.complete_upload("bucket", "k", "id", [Part(1, 4, ETAG)])
    with pytest.raises(ServiceError):
        store.copy("bucket", Entry("from", 4, etag=ETAG), "bucket", "k")


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (429, ""), (503, "")])
def test_slow_down(scripted, connect, status, code):
    body = error_xml(code) if code else b""
    service = scripted(lambda got: (status, {"retry-after": "7"}, body))
    with pytest.raises(Throttled) as told:
        connect(service.endpoint).put("bucket", "k", b"data", size=4)
    assert told.value.retry_after == 7
    assert len(service.got) == 1


def test_errors_carry_no_more_words_than_code_and_message(scripted, connect):
    body = error_xml(
        "AccessDenied", Token="canarytoken", StringToSign="canarysign", Extra="\x1b[31m"
    )
    service = scripted(lambda got: (403, {}, body.replace(b"words", b"wor\x1b[31mds")))
    with pytest.raises(AccessRefused) as told:
        connect(service.endpoint).head("bucket", "k")
    with pytest.raises(StorageError) as told:
        list(connect(service.endpoint).list("bucket"))
    assert "canary" not in str(told.value)
    assert "\x1b" not in str(told.value)


# The clock (T26)


def skewed(theirs: float, code: str = "RequestTimeTooSkewed"):
    """A service whose clock is ``theirs`` seconds ahead of this machine's."""

    def answer(got):
        now = time.time() + theirs
        signed = time.mktime(time.strptime(got.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        if abs(signed - time.timezone - now) > 900:
            return 403, {"date": formatdate(now, usegmt=True)}, error_xml(code) if code else b""
        return 200, {"etag": f'"{ETAG}"'}, b""

    return answer


@pytest.mark.parametrize("hours", [-3, 5])
def test_a_wrong_clock_is_corrected_once(scripted, connect, hours, caplog):
    service = scripted(skewed(hours * 3600))
    store = connect(service.endpoint)
    store.put("bucket", "k", b"data", size=4)
    assert len(service.got) == 2
    assert "clock" in caplog.text
    store.put("bucket", "k", io.BytesIO(b"data"), size=4)
    assert len(service.got) == 3, "the correction is kept"
    assert service.got[1].body == service.got[2].body == b"data"


def test_a_clock_that_stays_wrong(scripted, connect):
    late = formatdate(time.time() + 7200, usegmt=True)
    service = scripted(lambda got: (403, {"date": late}, error_xml("RequestTimeTooSkewed")))
    with pytest.raises(AccessRefused, match="clock"):
        connect(service.endpoint).put("bucket", "k", b"data", size=4)
    assert len(service.got) == 2


def test_skew_by_a_right_clock_is_no_reason_to_ask_again(scripted, connect):
    now = formatdate(time.time(), usegmt=True)
    service = scripted(lambda got: (403, {"date": now}, error_xml("RequestTimeTooSkewed")))
    with pytest.raises(AccessRefused, match="clock"):
        connect(service.endpoint).put("bucket", "k", b"data", size=4)
    assert len(service.got) == 1


def test_what_was_read_from_a_pipe_is_not_sent_as_nothing(scripted, connect):
    """The corrected request needs the body again, and a pipe has none."""

    class Pipe:
        source = io.BytesIO(b"data")

        def read(self, size: int = -1, /) -> bytes:
            return self.source.read(size)

    service = scripted(skewed(7200))
    store = connect(service.endpoint)
    with pytest.raises(ServiceError, match="worth another try"):
        store.put("bucket", "k", Pipe(), size=4)
    assert len(service.got) == 1
    store.put("bucket", "k", b"data", size=4)
    assert len(service.got) == 2


# Regions


def over_there(region: str):
    def answer(got):
        if f"/{region}/s3/" in got.headers["authorization"]:
            return 200, {"etag": f'"{ETAG}"'}, b""
        return 400, {}, error_xml("AuthorizationHeaderMalformed", Region=region)

    return answer


def as_aws(service) -> S3Store:
    """A store that takes the service for AWS, whose hosts no test may reach."""
    config = dataclasses.replace(
        config_of(endpoint=service.endpoint), aws=AwsHost(None, movable=False)
    )
    return S3Store(config, static())


def test_a_bucket_of_another_region_is_asked_there_on_aws(scripted):
    service = scripted(over_there("eu-west-1"))
    store = as_aws(service)
    store.put("bucket", "k", b"data", size=4)
    assert len(service.got) == 2
    store.put("bucket", "k", b"data", size=4)
    assert len(service.got) == 3, "the region is kept"
    store.close()


def test_elsewhere_the_region_is_told_and_not_followed(scripted, connect):
    service = scripted(over_there("eu-west-1"))
    with pytest.raises(AccessRefused, match="STORAGE_REGION=eu-west-1"):
        connect(service.endpoint).put("bucket", "k", b"data", size=4)
    assert len(service.got) == 1


@pytest.mark.parametrize("region", ["evil.example/", "a@b", "x" * 50, "a/../b"])
def test_a_region_that_is_none(scripted, region):
    service = scripted(over_there(region))
    store = as_aws(service)
    with pytest.raises(StorageError, match="region"):
        store.put("bucket", "k", b"data", size=4)
    assert len(service.got) == 1
    store.close()


# Answers without measure (row 49)


class Endless:
    """A server that sends a head and then goes on sending; tells how much was taken of it."""

    def __init__(self, head: bytes, block: bytes, most: int = 512 * 1024 * 1024) -> None:
        self.taken = 0
        self._head, self._block, self._most = head, block, most
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer:
                try:
                    peer.recv(65536)
                    peer.sendall(self._head)
                    while self._block and self.taken < self._most:
                        peer.sendall(self._block)
                        self.taken += len(self._block)
                except OSError:
                    continue

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def endless():
    made: list[Endless] = []

    def make(head: bytes, block: bytes) -> Endless:
        made.append(Endless(head, block))
        return made[-1]

    yield make
    for server in made:
        server.close()


TEN_GB = b"Content-Length: 10737418240\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = b"<Contents><Key>k</Key></Contents>" * 8000
CHUNK = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK)


@pytest.mark.parametrize(
    ("framing", "block"), [(TEN_GB, BLOCK), (CHUNKED, CHUNK), (b"\r\n", BLOCK)]
)
def test_a_listing_without_end(endless, connect, framing, block):
    server = endless(b"HTTP/1.1 200 OK\r\n" + framing, block)
    with pytest.raises(StorageError):
        list(connect(server.endpoint).list("bucket"))
    # 64 MiB of each answer: to the question what service this is, and to the listing.
    assert server.taken < 200 * 1024 * 1024


def test_ten_gigabytes_announced_and_none_sent(endless, connect):
    server = endless(b"HTTP/1.1 200 OK\r\n" + TEN_GB, b"")
    store = connect(server.endpoint)
    with pytest.raises(StorageError):
        list(store.list("bucket"))
    with store.read("bucket", "k") as reader, pytest.raises(ServiceError, match="missing"):
        reader.read()


def test_an_error_without_end(endless, connect):
    server = endless(b"HTTP/1.1 500 Oh\r\n" + TEN_GB, b"<Error>" + b"x" * 65536)
    with pytest.raises(StorageError):
        connect(server.endpoint).read("bucket", "k")
    assert server.taken < 100 * 1024 * 1024


def test_endless_headers(endless, connect):
    server = endless(b"HTTP/1.1 200 OK\r\n", b"x-header: " + b"y" * 1000 + b"\r\n")
    with pytest.raises(StorageError):
        connect(server.endpoint).head("bucket", "k")
    assert server.taken < 100 * 1024 * 1024


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {n} "{f"&{chr(ord(n) - 1)};" * 10}">' for n in "bcdefghijk")
    + "]><ListBucketResult>&k;</ListBucketResult>"
)
SMALL = (
    b'<!DOCTYPE x [<!ENTITY k "key">]><ListBucketResult><IsTruncated>false</IsTruncated>'
    b"<Contents><Key>&k;</Key><Size>1</Size></Contents></ListBucketResult>"
)


@pytest.mark.parametrize(
    "body",
    [LAUGHS.encode(), LAUGHS.encode("utf-16"), LAUGHS.encode("utf-16-be"),
     b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>', SMALL],
    ids=["utf-8", "utf-16", "utf-16-be", "external", "small"],
)  # fmt: skip
def test_xml_that_grows(scripted, connect, body):
    began = time.monotonic()
    store = connect(scripted(lambda got: (200, {}, body)).endpoint)
    with pytest.raises(ListingError):
        list(store.list("bucket"))
    with pytest.raises(ServiceError):
        store.complete_upload("bucket", "k", "id", [Part(1, 4, ETAG)])
    assert time.monotonic() - began < 20


def test_xml_that_is_deep(scripted, connect):
    body = b"<ListBucketResult>" + b"<a>" * 300_000
    with pytest.raises(ListingError):
        list(connect(scripted(lambda got: (200, {}, body)).endpoint).list("bucket"))


def test_listings_that_lead_nowhere(scripted, connect):
    """A token that comes again, a page that says nothing of the next, one without an end."""
    row = "<Contents><Key>k{}</Key><Size>1</Size></Contents>"
    pages = {
        "circle": "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
        "no token": "<IsTruncated>true</IsTruncated>",
        "no word": "",
        "no size": "<IsTruncated>false</IsTruncated><Contents><Key>k</Key></Contents>",
    }
    for name, end in pages.items():
        body = xml("ListBucketResult", row.format(1) + end)
        service = scripted(lambda got, body=body: (200, {}, body))
        with pytest.raises(ListingError):
            list(connect(service.endpoint).list("bucket"))
        assert len(service.got) < 20, name


def test_a_download_that_is_not_what_was_asked_for(scripted, connect):
    wrong = {"content-range": "bytes 0-3/10", "etag": f'"{ETAG}"'}
    store = connect(scripted(lambda got: (206, wrong, b"data")).endpoint)
    with pytest.raises(ServiceError):
        store.read("bucket", "k", start=2, length=4)
    store = connect(scripted(lambda got: (200, {"etag": '"other"'}, b"data")).endpoint)
    with pytest.raises(ObjectChanged):
        store.read("bucket", "k", if_match=ETAG)
