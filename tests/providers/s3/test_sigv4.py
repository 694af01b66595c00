"""Our signatures against those that AWS publishes, and against botocore's signer."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from svstorage.credentials.base import AwsCredentials
from svstorage.providers.s3.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Signer,
    encode_path,
    encode_query,
)
from svstorage.settings import Secret

# "Signature Calculations for the Authorization Header", Amazon S3 API Reference.
EXAMPLE = AwsCredentials("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
EXAMPLE_TIME = dt.datetime(2013, 5, 24, tzinfo=dt.timezone.utc).timestamp()
HOST = "examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "payload", "signature"),
    [
        ("GET", "/test.txt", (), {"range": "bytes=0-9"}, EMPTY_SHA256,
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("PUT", "/test$file.text", (),
         {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
         "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        ("GET", "/", [("lifecycle", "")], {}, EMPTY_SHA256,
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", "/", [("max-keys", "2"), ("prefix", "J")], {}, EMPTY_SHA256,
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)  # fmt: skip
def test_published_header_examples(method, path, query, headers, payload, signature):
    added = Signer().headers(
        method, encode_path(path), encode_query(query), {"host": HOST, **headers}, payload,
        EXAMPLE, "us-east-1", now=EXAMPLE_TIME,
    )  # fmt: skip
    assert added["authorization"].endswith(f"Signature={signature}")


def test_published_presign_example():
    query = Signer().presigned_query(
        "GET", "/test.txt", (), {"host": HOST}, EXAMPLE, "us-east-1",
        expires=86400, now=EXAMPLE_TIME,
    )  # fmt: skip
    assert query.endswith(
        "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


class _FixedTime(dt.datetime):
    moment: dt.datetime

    @classmethod
    def utcnow(cls) -> dt.datetime:
        return cls.moment.replace(tzinfo=None)

    @classmethod
    def now(cls, tz: Any = None) -> dt.datetime:
        return cls.moment.astimezone(tz) if tz else cls.moment.replace(tzinfo=None)


def _botocore(
    signer: type, method: str, url: str, headers: dict, credentials, region, now,
    *, body: bytes = b"", sign_body: bool = False, **more: Any,
) -> AWSRequest:  # fmt: skip
    """The request after botocore signed it, at the moment ``now``."""
    token = credentials.session_token.reveal() if credentials.session_token else None
    theirs = Credentials(credentials.access_key, credentials.secret_key.reveal(), token)
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    # Without this word botocore takes the body into the signature where there is no Content-MD5.
    request.context["client_config"] = Config(s3={"payload_signing_enabled": sign_body})
    moment = dt.datetime.fromtimestamp(now, tz=dt.timezone.utc).replace(tzinfo=None)
    fixed = type("_Moment", (_FixedTime,), {"moment": moment})
    # botocore reads the clock under one of these names, depending on its version.
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=moment, create=True),
        mock.patch("botocore.compat.datetime.datetime", fixed, create=True),
    ):
        signer(theirs, "s3", region, **more).add_auth(request)
    return request


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map(lambda s: f"x-amz-{s}")
CREDENTIALS = st.builds(
    AwsCredentials,
    st.text("ABCDEFGHIJKLMNOP0123456789", min_size=4, max_size=20),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1).map(Secret),
    st.none() | st.text("abcXYZ0129+/=", min_size=1).map(Secret),
)
METHODS = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"])
REGIONS = st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1", "auto"])
QUERIES = st.lists(st.tuples(st.text("abcXYZ-", min_size=1, max_size=8), KEYS), max_size=4,
                   unique_by=lambda pair: pair[0])  # fmt: skip
TIMES = st.integers(0, 4_000_000_000)


@settings(max_examples=200, deadline=None)
@given(METHODS, KEYS, QUERIES, st.dictionaries(NAMES, PRINTABLE, max_size=4), CREDENTIALS,
       REGIONS, TIMES, st.booleans(), st.binary(max_size=20))  # fmt: skip
def test_headers_as_botocore_signs_them(
    method, key, query, headers, credentials, region, now, sign_body, body
):
    path, text = f"/bucket/{encode_path(key)}", encode_query(query)
    headers.pop("x-amz-date", None)
    url = f"https://127.0.0.1:9000{path}" + (f"?{text}" if text else "")
    theirs = _botocore(
        S3SigV4Auth, method, url, headers, credentials, region, now, body=body, sign_body=sign_body
    )
    payload = hashlib.sha256(body).hexdigest() if sign_body else UNSIGNED_PAYLOAD
    ours = Signer().headers(
        method, path, text, {"host": "127.0.0.1:9000", **headers}, payload,
        credentials, region, now=now,
    )  # fmt: skip
    assert theirs.headers["X-Amz-Content-SHA256"] == ours["x-amz-content-sha256"]
    assert theirs.headers["X-Amz-Date"] == ours["x-amz-date"]
    assert theirs.headers["Authorization"] == ours["authorization"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["GET", "PUT"]), KEYS, CREDENTIALS, REGIONS, TIMES, st.integers(1, 604800))
def test_presigned_as_botocore_does(method, key, credentials, region, now, expires):
    path = f"/bucket/{encode_path(key)}"
    theirs = _botocore(
        S3SigV4QueryAuth, method, f"https://127.0.0.1:9000{path}", {}, credentials, region, now,
        expires=expires,
    )  # fmt: skip
    ours = Signer().presigned_query(
        method, path, (), {"host": "127.0.0.1:9000"}, credentials, region, expires=expires, now=now
    )
    assert dict(parse_qsl(urlsplit(theirs.url).query)) == dict(parse_qsl(ours))


def test_a_new_secret_of_an_old_access_key_signs_anew():
    signer = Signer()

    def sign(secret: str) -> str:
        pair = AwsCredentials("AKID", Secret(secret))
        return signer.headers("GET", "/", "", {"host": "h"}, EMPTY_SHA256, pair, "r", now=0)[
            "authorization"
        ]

    first = sign("one")
    assert sign("two") != first
    assert sign("one") == first
