"""Single objects: look, read, put, delete."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree as ET

from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectNotFound,
    ServiceError,
    StorageError,
)
from svstorage.model import Attributes, Entry, ObjectInfo, PartLimits, Stored
from svstorage.providers.azure import listing, metadata
from svstorage.providers.azure.account import Account
from svstorage.providers.body import SizedBody
from svstorage.providers.reader import HttpReader
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

MIB = 1024 * 1024
# "Scalability and performance targets for Blob storage", service version 2019-12-12 and later.
PART_LIMITS = PartLimits(
    min_part=1,
    max_part=4000 * MIB,
    max_parts=50_000,
    max_object=50_000 * 4000 * MIB,
    max_single_put=5000 * MIB,
)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


class Objects(Account):
    """The part of the store that deals with one object at a time."""

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """Tags are fetched where the object has any: one request more. They are None where the
        credentials do not allow that."""
        self._check(bucket, key)
        target = Target("head", bucket, key)
        headers, _ = self.client.call(target, "HEAD")
        if headers.get("x-ms-resource-type") == "directory":
            raise ObjectNotFound(f"{target}: it is a folder of the account's namespace")
        size = _number(target, headers, "content-length")
        info = _info(target, key, headers, size)
        if headers.get("x-ms-tag-count", "0") == "0":
            return info
        try:
            tags = self.tags(bucket, key)
        except (AccessRefused, NotSupported):
            return info
        return replace(info, attributes=replace(info.attributes, tags=tags))

    def tags(self, bucket: str, key: str) -> dict[str, str]:
        target = Target("read tags of", bucket, key)
        _, body = self.client.call(target, "GET", query={"comp": "tags"})
        try:
            root = ET.fromstring(body)  # noqa: S314 - of bounded size; expat bounds entities
        except ET.ParseError:
            raise ServiceError(f"{target}: the answer cannot be read") from None
        return {t.findtext("Key") or "": t.findtext("Value") or "" for t in root.iter("Tag")}

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> HttpReader:
        self._check(bucket, key)
        target = Target("read", bucket, key)
        if length == 0:
            info = self._head_if(target, if_match)
            return HttpReader(info, target, None, 0)
        headers = {}
        ranged = start > 0 or length is not None
        if ranged:
            end = "" if length is None else str(start + length - 1)
            headers["x-ms-range"] = f"bytes={start}-{end}"
        if if_match is not None:
            headers["if-match"] = f'"{if_match}"'
        try:
            response = self.client.open(target, "GET", headers=headers)
        except ObjectError as error:
            # Nothing there to read: an empty rest of an object is an answer, not an error.
            if ranged and type(error) is ObjectError and "InvalidRange" in str(error):
                info = self._head_if(target, if_match)
                if length is None and start == info.entry.size:
                    return HttpReader(info, target, None, 0)
                raise ServiceError(
                    f"{target}: it has {info.entry.size} bytes, and byte {start} was asked for"
                ) from None
            raise
        try:
            return _opened(target, key, response, start, length, if_match)
        except StorageError:
            response.close()
            raise

    def _head_if(self, target: Target, if_match: str | None) -> ObjectInfo:
        headers = {} if if_match is None else {"if-match": f'"{if_match}"'}
        answer, _ = self.client.call(target, "HEAD", headers=headers)
        size = _number(target, answer, "content-length")
        return _info(target, target.key or "", answer, size)

    def put(
        self,
        bucket: str,
        key: str,
        body: Buffer | Body,
        *,
        size: int,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
        md5: bytes | None = None,
        if_none_match: bool = False,
    ) -> Stored:
        """See `ObjectStore.put`: one Put Blob request. The service stores the MD5 it computed."""
        self._check(bucket, key)
        target = Target("put", bucket, key)
        if size > PART_LIMITS.max_single_put:
            raise ObjectError(f"{target}: {size} bytes are too many for one request")
        headers = {"x-ms-blob-type": "BlockBlob", **self._headers(target, attributes)}
        if md5 is not None:
            headers["content-md5"] = base64.b64encode(md5).decode("ascii")
        if if_none_match:
            headers["if-none-match"] = "*"
        sent: Buffer | SizedBody
        if hasattr(body, "read"):
            sent = SizedBody(cast("Body", body), size, str(target))
            if not size:
                sent.check_empty()
        else:
            sent = memoryview(body).cast("B")
            if len(sent) != size:
                raise ObjectChanged(f"{target}: the body has {len(sent)} bytes, not {size}")
        answer, _ = self.client.call(target, "PUT", headers=headers, body=sent, size=size)
        return Stored(
            size=size,
            etag=etag(answer),
            checksum=listing.md5_checksum(answer.get("content-md5")),
            modified_ns=_modified(target, answer),
        )

    def delete(self, bucket: str, key: str) -> None:
        """Remove the object. One with snapshots is refused by the service (`ObjectError`)."""
        self._check(bucket, key)
        try:
            self.client.call(Target("delete", bucket, key), "DELETE")
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return


def etag(headers: Mapping[str, str]) -> str | None:
    """The ETag of an answer, without its quotes."""
    value = headers.get("etag")
    return value.strip('"') if value else None


def _number(target: Target, headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    if not text.isdecimal():
        raise ServiceError(f"{target}: the answer has no {name}")
    return int(text)


def _modified(target: Target, headers: Mapping[str, str]) -> int | None:
    text = headers.get("last-modified")
    if text is None:
        return None
    try:
        return listing.http_date_ns(text)
    except ValueError:
        raise ServiceError(f"{target}: the answer has no readable last-modified") from None


def _info(target: Target, key: str, headers: Mapping[str, str], size: int) -> ObjectInfo:
    md5 = headers.get("x-ms-blob-content-md5")
    if md5 is None and "content-range" not in headers:
        md5 = headers.get("content-md5")
    entry = Entry(
        key=key,
        size=size,
        modified_ns=_modified(target, headers),
        etag=etag(headers),
        checksum=listing.md5_checksum(md5),
    )
    return ObjectInfo(entry, metadata.attributes(headers))


def _opened(
    target: Target,
    key: str,
    response: Any,
    start: int,
    length: int | None,
    if_match: str | None,
) -> HttpReader:
    """The reader of an answer that is exactly what was asked for, else `ServiceError`."""
    headers = response.headers
    arriving = _number(target, headers, "content-length")
    if response.status == 206:
        found = _CONTENT_RANGE.match(headers.get("content-range", ""))
        if found is None:
            raise ServiceError(f"{target}: the answer does not say which range it is")
        first, last, size = (int(group) for group in found.groups())
        wanted = size - start if length is None else length
        if first != start or last - first + 1 != arriving or arriving != wanted:
            raise ServiceError(
                f"{target}: the answer is bytes {first} to {last}, and {wanted} bytes from "
                f"{start} were asked for"
            )
    elif response.status == 200:
        size = arriving
        if start or (length is not None and length != size):
            raise ServiceError(f"{target}: the answer is not the range that was asked for")
    else:
        raise ServiceError(f"{target}: the answer has the status {response.status}")
    info = _info(target, key, headers, size)
    if if_match is not None and info.entry.etag != if_match:
        raise ObjectChanged(f"{target}: the answer is of another version")
    return HttpReader(info, target, response, arriving)
