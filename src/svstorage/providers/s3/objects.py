"""Single objects: look, read, put, delete."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from svstorage.addresses import display
from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    ChecksumMismatch,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    StorageError,
)
from svstorage.model import Attributes, Checksum, Entry, ObjectInfo, Stored
from svstorage.providers.body import SizedBody
from svstorage.providers.reader import HttpReader
from svstorage.providers.s3 import attributes as attrs
from svstorage.providers.s3 import failures, xml
from svstorage.providers.s3.exact import ExactKeys
from svstorage.providers.s3.limits import MAX_DELETE
from svstorage.providers.s3.reader import opened
from svstorage.providers.s3.wire import RequestBody
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body


_ASKS_CRC = {"x-amz-checksum-mode": "ENABLED"}


class Objects(ExactKeys):
    """The part of the store that deals with one object at a time."""

    @property
    def tells_crc(self) -> bool:
        """Whether the service is one that has a CRC of each object: AWS, or by the settings."""
        return self.config.sdk_checksums

    @property
    def asks_crc(self) -> Mapping[str, str]:
        """The header that has an answer to HEAD, or to GET of a whole object, tell its CRC."""
        return _ASKS_CRC if self.tells_crc else {}

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """Tags are fetched where the answer counts any: one request more. They are None where
        the credentials do not allow that."""
        target = self.target("HeadObject", bucket, key)
        self.check_readable(target)
        try:
            headers, _ = self.wire.call(target, "HEAD", headers=self.asks_crc)
        except AccessRefused:
            if not self.asks_crc:
                raise
            # Of an object under SSE-KMS the CRC is told only to those who may decrypt (HeadObject).
            headers, _ = self.wire.call(target, "HEAD")
        info = attrs.object_info(target, headers, attrs.length(target, headers))
        info = replace(info, crc=self.crc_in(headers))
        if headers.get("x-amz-tagging-count", "0") == "0":
            return info
        try:
            tags = self.tags(bucket, key)
        except (AccessRefused, NotSupported):
            return info
        return replace(info, attributes=replace(info.attributes, tags=tags))

    def first_part(self, bucket: str, entry: Entry) -> int | None:
        """The size of an object's first part, where the service tells (HEAD of part 1)."""
        target = self.target("HeadObject", bucket, entry.key)
        try:
            headers, _ = self.wire.call(target, "HEAD", query=[("partNumber", "1")])
        except (ObjectError, NotSupported):
            return None  # not every service knows parts; the read tells what else is wrong
        # Some services give the part's own ETag, so that the count has to prove the version; one
        # that changed meanwhile fails the read, which has a condition.
        told = headers.get("x-amz-mp-parts-count")
        if told is None and attrs.unquoted(headers.get("etag")) != entry.etag:
            return None
        if told is not None and told != (entry.etag or "").rpartition("-")[2]:
            return None
        size = attrs.length(target, headers)
        # A service that pays no heed to the number tells of the whole object.
        return size if 0 < size < entry.size else None

    def tags(self, bucket: str, key: str) -> dict[str, str]:
        target = self.target("GetObjectTagging", bucket, key)
        _, body = self.wire.call(target, "GET", query=[("tagging", "")])
        found = next(xml.children(self.answer(target, body, "Tagging"), "TagSet"), None)
        rows = xml.children(found, "Tag") if found is not None else ()
        return {xml.text(tag, "Key") or "": xml.text(tag, "Value") or "" for tag in rows}

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> HttpReader:
        target = self.target("GetObject", bucket, key)
        if length == 0:  # no Range header says so
            info = self.head(bucket, key)
            if if_match is not None and info.entry.etag != if_match:
                raise ObjectChanged(f"{target}: it is another version now")
            return HttpReader(info, target, None, 0)
        self.check_readable(target)
        headers = {}
        if start or length is not None:
            headers["range"] = f"bytes={start}-{start + length - 1 if length else ''}"
        else:
            headers |= self.asks_crc  # with a range the answer would tell that of a part
        if if_match is not None:
            headers["if-match"] = f'"{if_match}"'
        response = self.wire.open(target, "GET", headers=headers)
        reader = opened(target, response, start, length, if_match)
        if not start and length is None:
            reader.info = replace(reader.info, crc=self.crc_in(response.headers))
        return reader

    def read_whole(self, bucket: str, entry: Entry) -> tuple[bytes, ObjectInfo]:
        """See `WholeStore.read_whole`. The entry's digest is that of the answer: one that a
        listing offers may be none (SSE-KMS)."""
        target = self.target("GetObject", bucket, entry.key)
        self.check_readable(target)
        answer, body = self.wire.call(target, "GET", headers=self.whole_headers(entry))
        return body, self.read_info(target, entry, answer)

    def whole_headers(self, entry: Entry) -> dict[str, str]:
        """The headers that ask for all of a listed version."""
        if entry.etag is None:
            return dict(self.asks_crc)
        return {"if-match": f'"{entry.etag}"', **self.asks_crc}

    def crc_in(self, headers: Mapping[str, str]) -> Checksum | None:
        """The CRC of the whole that an answer tells. Of services that were not said to have any it
        is not believed: rclone repeats whatever the client has once claimed."""
        return attrs.header_crc(headers) if self.tells_crc else None

    def read_info(self, target: Target, entry: Entry, answer: Mapping[str, str]) -> ObjectInfo:
        """What the answer to a GET of a whole object tells of it.

        Raises `ObjectChanged` where it is another version than ``entry``.
        """
        etag = attrs.unquoted(answer.get("etag"))
        if entry.etag is not None and etag != entry.etag:  # some pay no heed to If-Match
            raise ObjectChanged(f"{target}: it is another version now (ETag {display(str(etag))})")
        told = attrs.confirmed_checksum(target.bucket, etag, answer)
        read = Entry(entry.key, entry.size, entry.modified_ns, etag, told)
        return ObjectInfo(read, attrs.from_headers(answer), self.crc_in(answer))

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
        """See `ObjectStore.put`. The modification time is the service's own: S3 sets none."""
        target = self.target("PutObject", bucket, key)
        self.check_writable(target, size)
        sent = request_body(target, body, size)
        md5 = md5 or _md5_of(sent)
        headers = self.put_headers(target, attributes, md5)
        if if_none_match:
            headers["if-none-match"] = "*"
            if self.config.aws is None and self._exists(bucket, key):
                # Services that pay no heed to the header at least do not overwrite what is there.
                raise ObjectExists(f"{target}: the key is taken")
        try:
            answer, _ = self.wire.call(target, "PUT", headers=headers, body=sent, size=size)
        except ObjectChanged as error:
            if if_none_match and getattr(sent, "failure", None) is None:  # it was a 412
                raise ObjectExists(f"{target}: the key is taken") from error
            raise
        return self.stored_by(target, size, md5, answer)

    @staticmethod
    def put_headers(
        target: Target, attributes: Attributes | None, md5: bytes | None
    ) -> dict[str, str]:
        """The headers of a PUT; with ``md5`` the service refuses other bytes than were sent."""
        headers = attrs.to_headers(target, attributes)
        if md5 is not None:
            headers["content-md5"] = base64.b64encode(md5).decode("ascii")
        return headers

    def stored_by(
        self, target: Target, size: int, md5: bytes | None, answer: Mapping[str, str]
    ) -> Stored:
        """What the answer to a PUT confirms. Raises `ChecksumMismatch` for other bytes."""
        etag = attrs.unquoted(answer.get("etag"))
        checksum = attrs.confirmed_checksum(target.bucket, etag, answer)
        check_confirmed(target, md5, checksum)
        return Stored(size, etag, checksum, crc=self.crc_in(answer))

    def delete(self, bucket: str, key: str) -> None:
        target = self.target("DeleteObject", bucket, key)
        try:
            self.check_readable(target)
            self.wire.call(target, "DELETE")
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return  # some services tell

    def delete_many(self, bucket: str, keys: Sequence[str]) -> list[tuple[str, Exception | None]]:
        """By DeleteObjects, and one by one what XML cannot carry or the service has not."""
        outcomes: list[tuple[str, Exception | None]] = []
        alone: list[str] = []
        together: list[str] = []
        for key in keys:
            try:
                self.target("DeleteObjects", bucket, key)
            except ObjectError as error:
                outcomes.append((key, error))
            else:
                plain = xml.fits(key) and not self.is_doubtful(bucket, key)
                (together if plain else alone).append(key)
        for start in range(0, len(together), MAX_DELETE):
            block = together[start : start + MAX_DELETE]
            try:
                failed = self._delete_block(bucket, block)
            except NotSupported:
                alone += block
            except StorageError as error:
                outcomes += [(key, error) for key in block]
            else:
                outcomes += [(key, failed.get(key)) for key in block]
        return outcomes + [(key, self._delete_alone(bucket, key)) for key in alone]

    def _delete_alone(self, bucket: str, key: str) -> Exception | None:
        try:
            self.delete(bucket, key)
        except StorageError as error:
            return error
        return None

    def _delete_block(self, bucket: str, keys: Sequence[str]) -> dict[str, Exception]:
        target = self.target("DeleteObjects", bucket)
        request = xml.delete_request(keys)
        _, body = self.wire.call(
            target, "POST", query=[("delete", "")], body=request, sign_body=True,
            headers={**content_md5(request), "content-type": "application/xml"},
        )  # fmt: skip
        root = self.answer(target, body, "DeleteResult")
        failed: dict[str, Exception] = {}
        for element in xml.children(root, "Error"):
            key = xml.text(element, "Key") or ""
            code = xml.text(element, "Code") or ""
            if code in ("NoSuchKey", "NoSuchVersion"):
                continue
            if key not in keys:
                raise ServiceError(f"{target}: the answer names a key that was not sent")
            words = (xml.text(element, "Message") or "")[:300]
            about = Target("DeleteObjects", bucket, key)
            status = {"AccessDenied": 403, "SlowDown": 503, "InternalError": 500}.get(code, 400)
            failed[key] = failures.error(about, failures.Refusal(status, code, words, {}))
        return failed

    def _exists(self, bucket: str, key: str) -> bool:
        try:
            self.head(bucket, key)
        except ObjectNotFound:
            return False
        return True


def request_body(target: Target, body: Any, size: int) -> RequestBody:
    """``body`` as the wire sends it. Raises `ObjectChanged` where it is not of ``size``."""
    try:
        view = memoryview(body)
    except TypeError:
        sized = SizedBody(body, size, str(target))
        sized.check_empty()
        return sized
    if view.nbytes != size:
        raise ObjectChanged(f"{target}: the body has {view.nbytes} bytes, not {size}")
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def _md5_of(body: RequestBody) -> bytes | None:
    """The MD5 of a body in memory; a stream would have to be read twice."""
    if isinstance(body, SizedBody):
        return None
    return hashlib.md5(body, usedforsecurity=False).digest()


def content_md5(body: RequestBody) -> dict[str, str]:
    """The header by which the service refuses bytes that were altered on the way."""
    digest = _md5_of(body)
    return {} if digest is None else {"content-md5": base64.b64encode(digest).decode("ascii")}


def check_confirmed(target: Target, md5: bytes | None, told: Checksum | None) -> None:
    """Raise `ChecksumMismatch` where the service holds other bytes than were sent."""
    if md5 is None or told is None or told.algorithm != "md5" or told.value == md5.hex():
        return
    raise ChecksumMismatch(
        f"{target}: the service holds other bytes than were sent, of MD5 {told.value}"
    )
