"""Attributes of an object to and from the headers of S3.

User metadata travels in headers, which are ASCII. Other characters go as RFC 2047 encoded
words, as "Working with object metadata" in the Amazon S3 User Guide has it: AWS answers with
such words itself; other services keep the text as it is, so that it comes back all the same.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from quopri import decodestring
from typing import Any
from urllib.parse import urlencode

from svstorage.addresses import display
from svstorage.errors import ObjectError, ServiceError
from svstorage.model import CRC_BYTES, Attributes, Checksum, Entry, ObjectInfo
from svstorage.providers.target import Target

_META = "x-amz-meta-"
_CONTENT = {
    "content-type": "content_type",
    "content-encoding": "content_encoding",
    "content-language": "content_language",
    "content-disposition": "content_disposition",
    "cache-control": "cache_control",
}

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110, section 5.6.2
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\Z|\Z")
_WORD = re.compile(r"=\?([A-Za-z0-9_-]+)\?([BbQq])\?([^?]*)\?=")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_MULTIPART = re.compile(r"[0-9a-f]{32}-[0-9]{1,5}\Z")


def to_headers(target: Target, attributes: Attributes | None) -> dict[str, str]:
    """The headers that store these attributes, tags included.

    Raises `ObjectError` for a metadata name or a value that no header can hold.
    """
    if attributes is None:
        return {}
    headers: dict[str, str] = {}
    for header, name in _CONTENT.items():
        value = getattr(attributes, name)
        if value is not None:
            if _CONTROL.search(value):
                raise ObjectError(f"{target}: its {header} holds a control character")
            headers[header] = value
    for name, value in attributes.metadata.items():
        if not _TOKEN.match(name):
            raise ObjectError(
                f"{target}: S3 cannot hold metadata of the name {display(name)!r} (a header's name)"
            )
        headers[_META + name.lower()] = encoded_metadata(value)
    if attributes.tags:
        headers["x-amz-tagging"] = urlencode(dict(attributes.tags))
    return headers


def from_headers(headers: Mapping[str, str]) -> Attributes:
    """Attributes without tags, which the service does not tell along with an object."""
    content: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for header, value in headers.items():
        header = header.lower()
        if header in _CONTENT:
            content[_CONTENT[header]] = _utf8(value)
        elif header.startswith(_META):
            metadata[header[len(_META) :]] = decoded_metadata(_utf8(value))
    return Attributes(metadata=metadata, **content)


def encoded_metadata(value: str) -> str:
    """A metadata value as a header carries it: itself where it is plain, else encoded words."""
    if _PLAIN.match(value) and "=?" not in value:
        return value
    raw = value.encode("utf-8", "surrogateescape")
    return f"=?UTF-8?B?{base64.b64encode(raw).decode('ascii')}?="


def decoded_metadata(value: str) -> str:
    """Undoes `encoded_metadata`, and reads what AWS encodes itself. Anything else stays."""
    if "=?" not in value:
        return value
    words = list(_WORD.finditer(value))
    if not words or _WORD.sub("", value).strip():
        return value
    try:
        return "".join(
            _word_bytes(kind, text).decode(charset)
            for charset, kind, text in (word.groups() for word in words)
        )
    except (LookupError, UnicodeDecodeError, binascii.Error):
        return value


def _word_bytes(kind: str, text: str) -> bytes:
    if kind in "Bb":
        return base64.b64decode(text, validate=True)
    return decodestring(text.encode("ascii"), header=True)


def _utf8(value: str) -> str:
    """http.client reads headers as Latin-1; S3 keeps the bytes, which are UTF-8 nearly always."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def unquoted(etag: str | None) -> str | None:
    """An ETag as `Entry` has it."""
    return etag.strip().removeprefix("W/").strip('"') if etag else None


def etag_checksum(etag: str | None) -> Checksum | None:
    """What an ETag says by its form alone.

    A hint where it comes from a listing: ETags of objects under SSE-KMS or SSE-C have the form
    of an MD5 and are none ("Object", Amazon S3 API Reference). An equal value proves equal
    content; a differing one proves a difference only if a HEAD (`object_info`), which tells the
    encryption, says so too.
    """
    if etag is None:
        return None
    if _MD5.match(etag):
        return Checksum("md5", etag)
    return Checksum("etag-multipart", etag) if _MULTIPART.match(etag) else None


def confirmed_checksum(
    bucket: str, etag: str | None, headers: Mapping[str, str]
) -> Checksum | None:
    """The checksum in the answer to a PUT, HEAD or GET, where the ETag really is one."""
    encryption = headers.get("x-amz-server-side-encryption", "")
    if encryption.startswith("aws:kms"):
        return None
    if "x-amz-server-side-encryption-customer-algorithm" in headers:
        return None
    if bucket.endswith("--x-s3"):  # directory buckets: the ETag is no digest
        return None
    return etag_checksum(etag)


def told_crc(told: Callable[[str], str | None]) -> Checksum | None:
    """A CRC of the whole object, of those that an answer tells.

    ``told`` gives the value of ``type``, ``crc64nvme`` and so on, which stand in headers or XML.
    """
    # AWS tells a digest of the digests of parts in the same headers, marked so.
    if (told("type") or "FULL_OBJECT") != "FULL_OBJECT":
        return None
    for algorithm, length in CRC_BYTES.items():
        value = told(algorithm)
        if value is None:
            continue
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(raw) == length:
            return Checksum(algorithm, raw.hex())
    return None


def header_crc(headers: Mapping[str, str]) -> Checksum | None:
    """`told_crc` of headers."""
    return told_crc(lambda name: headers.get(f"x-amz-checksum-{name}"))


def modified_ns(headers: Mapping[str, str]) -> int | None:
    """``Last-Modified``, which is in whole seconds, in nanoseconds."""
    value = headers.get("last-modified")
    if value is None:
        return None
    try:
        return int(parsedate_to_datetime(value).timestamp()) * 1_000_000_000
    except (TypeError, ValueError, IndexError):
        return None


def length(target: Target, headers: Mapping[str, str]) -> int:
    """``Content-Length`` in bytes. Raises `ServiceError` where it is missing."""
    value = headers.get("content-length", "")
    if not value.isdecimal():
        raise ServiceError(f"{target}: the answer does not tell the object's size")
    return int(value)


def object_info(target: Target, headers: Mapping[str, str], size: int) -> ObjectInfo:
    """Entry and attributes from the headers of a HEAD or GET; no CRC (see `Objects.crc_in`)."""
    etag = unquoted(headers.get("etag"))
    entry = Entry(
        target.key or "",
        size,
        modified_ns(headers),
        etag,
        confirmed_checksum(target.bucket, etag, headers),
    )
    return ObjectInfo(entry, from_headers(headers))
