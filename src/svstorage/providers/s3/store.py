"""The S3 store: exact keys, ordered listings, resumable uploads, server-side copies.

Limits of what S3 can hold, all raised as named failures before anything is sent: keys over
1,024 bytes of UTF-8, empty keys, keys with NUL or that are not UTF-8; metadata names that are
no header names.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

from svstorage.credentials.base import AwsCredentials, CredentialSource
from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    KeyNotSupported,
    NotSupported,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    StorageError,
    UsageError,
)
from svstorage.model import (
    Attributes,
    BucketInfo,
    Capabilities,
    CommonPrefix,
    Entry,
    ObjectInfo,
    Part,
    Problem,
    Stored,
)
from svstorage.providers.s3 import attributes as attrs
from svstorage.providers.s3 import failures, listing, native, sigv4, xml
from svstorage.providers.s3.body import SizedBody
from svstorage.providers.s3.config import S3Config
from svstorage.providers.s3.failures import Target, shown
from svstorage.providers.s3.limits import (
    LIMITS,
    MAX_DELETE,
    MAX_KEY_BYTES,
    SINGLE_COPY,
    copy_part_size,
)
from svstorage.providers.s3.reader import S3Reader, opened
from svstorage.providers.s3.wire import RequestBody, Wire

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

log = logging.getLogger(__name__)

T = TypeVar("T")

# Wider than today's rules ("General purpose bucket naming rules"): old buckets have capitals
# and underscores. What is no such name would reach another path of the service.
_BUCKET = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,255}\Z")
_COPY_THREADS = 4

# Written out here because ``list`` is a method below.
_Query = list[tuple[str, str]]
_Outcomes = list[tuple[str, Exception | None]]
_Parts = list[Part]
_Buckets = list[BucketInfo]
_Keys = list[str]


class S3Store:
    """All buckets of one S3 service. Safe to use from many threads."""

    def __init__(
        self,
        config: S3Config,
        credentials: CredentialSource[AwsCredentials] | None,
        *,
        wire: Wire | None = None,
        single_copy: int = SINGLE_COPY,
        copy_part: int | None = None,
    ) -> None:
        self.config = config
        self._credentials = credentials
        self._wire = wire or Wire(config, credentials)
        self._single_copy = single_copy
        self._copy_part = copy_part
        self._decoder = listing.Decoder(True if config.aws else None)
        self._natives: dict[str, Any] = {}
        # The ETag of a PUT is its MD5 (but in encrypted buckets), so that writes are confirmed.
        self.native_writes = native.environment_is_quiet()
        self.native_reads = self.native_writes and native.reads_safely(config, credentials)
        self._lock = threading.Lock()

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def identity(self) -> str:
        """Endpoint and key: other credentials may not see both ends of a copy."""
        who = self.config.access_key or self.config.iam_role or ""
        if not self.config.access_key and self._credentials is not None:
            who = f"{self._credentials.name}:{who}"
        digest = hashlib.sha256(who.encode()).hexdigest()[:16]
        return f"s3 {self.config.location} {digest}"

    def close(self) -> None:
        self._wire.close()
        self._natives.clear()

    # Buckets

    def list_buckets(self) -> _Buckets:
        target = Target("ListBuckets")
        root = self._answer(target, self._wire.call(target, "GET")[1], "ListAllMyBucketsResult")
        buckets = next(xml.children(root, "Buckets"), None)
        found = []
        for element in xml.children(buckets, "Bucket") if buckets is not None else ():
            name = xml.text(element, "Name")
            if name:
                created = listing.nanoseconds(xml.text(element, "CreationDate"))
                found.append(BucketInfo(name, created))
        return sorted(found, key=lambda bucket: bucket.name)

    def bucket_exists(self, bucket: str) -> bool:
        """Raises `AccessRefused` where the service does not tell."""
        if not _BUCKET.match(bucket):
            return False
        try:
            self._wire.call(Target("HeadBucket", bucket), "HEAD")
        except ObjectNotFound:
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        if not _BUCKET.match(bucket):
            raise UsageError(f"{shown(bucket)!r} cannot be the name of a bucket")
        target = Target("CreateBucket", bucket)
        if self.bucket_exists(bucket):  # some services answer 200 to a second creation
            raise ObjectExists(f"{target}: the bucket is there already")
        config = self.config
        abroad = config.aws is not None and config.region != "us-east-1"
        body = xml.create_bucket_request(config.region) if abroad else b""
        self._wire.call(target, "PUT", body=body, sign_body=True)

    def delete_bucket(self, bucket: str) -> None:
        self._wire.call(self._target("DeleteBucket", bucket), "DELETE")

    # Listings

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        query = [("start-after", start_after)] if start_after else []
        for row in self._rows(bucket, prefix, query):
            if isinstance(row, CommonPrefix):
                continue  # only where a delimiter was asked for
            yield row

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        """Objects and prefixes of each page come in the order of their names."""
        return self._rows(bucket, prefix, [("delimiter", "/")])

    def _rows(
        self, bucket: str, prefix: str, more: _Query
    ) -> Iterator[Entry | CommonPrefix | Problem]:
        target = self._target("ListObjectsV2", bucket)
        if _encodable(prefix) is None:
            return  # no key begins so
        base = [("list-type", "2"), ("max-keys", str(listing.PAGE)), ("prefix", prefix), *more]

        def fetch(token: str | None) -> listing.Page:
            query = [*base, ("continuation-token", token)] if token is not None else base
            encoded = [*query, ("encoding-type", "url")]
            body = self._wire.call(target, "GET", query=encoded)[1]

            def plain() -> set[str]:
                return listing.plain_keys(target, self._wire.call(target, "GET", query=query)[1])

            page = listing.parse_page(target, body, self._decoder, plain)
            if more and more[0][0] == "delimiter":
                page.rows.sort(key=_row_order)
            return page

        for page in listing.pages(target, fetch):
            yield from page.rows

    # Objects

    def head(self, bucket: str, key: str) -> ObjectInfo:
        target = self._target("HeadObject", bucket, key)
        headers, _ = self._wire.call(target, "HEAD")
        return attrs.object_info(target, headers, attrs.length(target, headers))

    def first_part(self, bucket: str, entry: Entry) -> int | None:
        """The size of an object's first part, where the service tells (HEAD of part 1)."""
        target = self._target("HeadObject", bucket, entry.key)
        try:
            headers, _ = self._wire.call(target, "HEAD", query=[("partNumber", "1")])
        except (ObjectError, NotSupported):
            return None  # not every service knows parts; the read tells what else is wrong
        if attrs.unquoted(headers.get("etag")) != entry.etag:
            return None
        size = attrs.length(target, headers)
        # A service that pays no heed to the number tells of the whole object.
        return size if 0 < size < entry.size else None

    def tags(self, bucket: str, key: str) -> dict[str, str]:
        target = self._target("GetObjectTagging", bucket, key)
        _, body = self._wire.call(target, "GET", query=[("tagging", "")])
        found = next(xml.children(self._answer(target, body, "Tagging"), "TagSet"), None)
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
    ) -> S3Reader:
        target = self._target("GetObject", bucket, key)
        if length == 0:  # no Range header says so
            info = self.head(bucket, key)
            if if_match is not None and info.entry.etag != if_match:
                raise ObjectChanged(f"{target}: it is another version now")
            return S3Reader(target, None, info, 0)
        headers = {}
        if start or length is not None:
            headers["range"] = f"bytes={start}-{start + length - 1 if length else ''}"
        if if_match is not None:
            headers["if-match"] = f'"{if_match}"'
        response = self._wire.open(target, "GET", headers=headers)
        return opened(target, response, start, length, if_match)

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
        target = self._target("PutObject", bucket, key)
        headers = attrs.to_headers(target, attributes)
        if md5 is not None:
            headers["content-md5"] = base64.b64encode(md5).decode("ascii")
        if if_none_match:
            headers["if-none-match"] = "*"
            if self.config.aws is None and self._exists(bucket, key):
                # Services that pay no heed to the header at least do not overwrite what is there.
                raise ObjectExists(f"{target}: the key is taken")
        sent = _request_body(target, body, size)
        try:
            answer, _ = self._wire.call(target, "PUT", headers=headers, body=sent, size=size)
        except ObjectChanged as error:
            if if_none_match and getattr(sent, "failure", None) is None:  # it was a 412
                raise ObjectExists(f"{target}: the key is taken") from error
            raise
        etag = attrs.unquoted(answer.get("etag"))
        return Stored(size, etag, attrs.confirmed_checksum(bucket, etag, answer))

    def delete(self, bucket: str, key: str) -> None:
        target = self._target("DeleteObject", bucket, key)
        try:
            self._wire.call(target, "DELETE")
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return  # some services tell

    def delete_many(self, bucket: str, keys: Sequence[str]) -> _Outcomes:
        """By DeleteObjects, and one by one what XML cannot carry or the service has not."""
        outcomes: _Outcomes = []
        alone: _Keys = []
        together: _Keys = []
        for key in keys:
            (together if xml.fits(key) and _encodable(key) is not None else alone).append(key)
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
        for key in keys:
            self._target("DeleteObjects", bucket, key)
        target = self._target("DeleteObjects", bucket)
        request = xml.delete_request(keys)
        _, body = self._wire.call(
            target, "POST", query=[("delete", "")], body=request, sign_body=True,
            headers={"content-md5": _content_md5(request), "content-type": "application/xml"},
        )  # fmt: skip
        root = self._answer(target, body, "DeleteResult")
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

    # Server-side copies

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        self._target("CopyObject", source_bucket, source.key)
        target = self._target("CopyObject", bucket, key)
        if source.etag is None:
            source = self.head(source_bucket, source.key).entry
        headers = self._copy_headers(source_bucket, source)
        if source.size > self._single_copy:
            return self._copy_in_parts(source_bucket, source, target, headers, attributes)
        if attributes is not None:
            headers |= attrs.to_headers(target, attributes)
            headers["x-amz-metadata-directive"] = "REPLACE"
            if attributes.tags is not None:
                headers["x-amz-tagging-directive"] = "REPLACE"
        answer, body = self._wire.call(target, "PUT", headers=headers)
        root = self._answer(target, body, "CopyObjectResult")
        etag = attrs.unquoted(xml.text(root, "ETag"))
        stored = Stored(source.size, etag, attrs.confirmed_checksum(bucket, etag, answer))
        if etag != source.etag:
            # Not the same bytes, or only another encryption or number of parts. A service that
            # pays no heed to the condition may have copied a newer version.
            self._check_unchanged(source_bucket, source)
        return stored

    def _copy_headers(self, bucket: str, source: Entry) -> dict[str, str]:
        headers = {"x-amz-copy-source": sigv4.encode_path(f"/{bucket}/{source.key}")}
        if source.etag is not None:
            headers["x-amz-copy-source-if-match"] = f'"{source.etag}"'
        return headers

    def _check_unchanged(self, bucket: str, source: Entry) -> None:
        now = self.head(bucket, source.key).entry
        if (now.etag, now.size) != (source.etag, source.size):
            target = Target("CopyObject", bucket, source.key)
            raise ObjectChanged(f"{target}: the source changed while it was copied")

    def _copy_in_parts(
        self,
        source_bucket: str,
        source: Entry,
        target: Target,
        headers: dict[str, str],
        attributes: Attributes | None,
    ) -> Stored:
        bucket, key = target.bucket, target.key or ""
        if attributes is None:
            attributes = self._all_attributes(source_bucket, source.key)
        upload = self.start_upload(bucket, key, size=source.size, attributes=attributes)
        size = self._copy_part or copy_part_size(source.size)

        def copy_part(number: int) -> Part:
            first = (number - 1) * size
            last = min(first + size, source.size) - 1
            about = Target("UploadPartCopy", bucket, key)
            ranged = {**headers, "x-amz-copy-source-range": f"bytes={first}-{last}"}
            query = [("partNumber", str(number)), ("uploadId", upload)]
            _, body = self._wire.call(about, "PUT", query=query, headers=ranged)
            etag = attrs.unquoted(xml.text(self._answer(about, body, "CopyPartResult"), "ETag"))
            if not etag:
                raise ServiceError(f"{about}: the answer has no ETag")
            return Part(number, last + 1 - first, etag, first)

        try:
            count = -(-source.size // size)
            with ThreadPoolExecutor(_COPY_THREADS, thread_name_prefix="svstorage-copy") as pool:
                parts = list(pool.map(copy_part, range(1, count + 1)))
            self._check_unchanged(source_bucket, source)
            return self.complete_upload(bucket, key, upload, parts)
        except BaseException:
            try:
                self.abort_upload(bucket, key, upload)
            except StorageError as error:
                log.warning("an unfinished upload was left behind: %s", error)
            raise

    def _all_attributes(self, bucket: str, key: str) -> Attributes:
        """With tags, which CopyObject would carry along by itself."""
        found = self.head(bucket, key).attributes
        try:
            return replace(found, tags=self.tags(bucket, key))
        except (AccessRefused, NotSupported) as error:
            log.warning("tags are not copied: %s", error)
            return found

    # Uploads in parts

    def start_upload(
        self,
        bucket: str,
        key: str,
        *,
        size: int | None,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
    ) -> str:
        target = self._target("CreateMultipartUpload", bucket, key)
        headers = attrs.to_headers(target, attributes)
        _, body = self._wire.call(target, "POST", query=[("uploads", "")], headers=headers)
        root = self._answer(target, body, "InitiateMultipartUploadResult")
        upload = xml.text(root, "UploadId")
        if not upload:
            raise ServiceError(f"{target}: the answer has no upload id")
        return upload

    def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        *,
        number: int,
        offset: int,
        size: int,
        body: Buffer | Body,
    ) -> Part:
        target = self._target("UploadPart", bucket, key)
        sent = _request_body(target, body, size)
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        headers, _ = self._wire.call(target, "PUT", query=query, body=sent, size=size)
        etag = attrs.unquoted(headers.get("etag"))
        if not etag:
            raise ServiceError(f"{target}: the answer has no ETag")
        return Part(number, size, etag, offset, attrs.confirmed_checksum(bucket, etag, headers))

    def list_parts(self, bucket: str, key: str, upload_id: str) -> _Parts:
        """S3 does not tell where a part lies in the object: ``offset`` supposes that all parts
        but the last are of the size of the largest one that is there.
        """
        target = self._target("ListParts", bucket, key)
        found: _Parts = []
        marker = 0
        while True:
            query = [("uploadId", upload_id), ("max-parts", str(listing.PAGE))]
            if marker:
                query.append(("part-number-marker", str(marker)))
            root = self._answer(
                target, self._wire.call(target, "GET", query=query)[1], "ListPartsResult"
            )
            for element in xml.children(root, "Part"):
                number = _number(target, xml.text(element, "PartNumber"))
                size = _number(target, xml.text(element, "Size"))
                found.append(Part(number, size, attrs.unquoted(xml.text(element, "ETag")) or ""))
            if xml.text(root, "IsTruncated") != "true":
                break
            following = _number(target, xml.text(root, "NextPartNumberMarker"))
            if following <= marker:
                raise ServiceError(f"{target}: the list of parts goes round in a circle")
            marker = following
        largest = max((part.size for part in found), default=0)
        return [replace(part, offset=(part.number - 1) * largest) for part in found]

    def complete_upload(
        self, bucket: str, key: str, upload_id: str, parts: Sequence[Part]
    ) -> Stored:
        """Raises `ServiceError` also where the connection breaks: the object may be there then,
        which a HEAD tells.
        """
        target = self._target("CompleteMultipartUpload", bucket, key)
        request = xml.complete_request((part.number, part.etag) for part in parts)
        headers, body = self._wire.call(
            target, "POST", query=[("uploadId", upload_id)], body=request, sign_body=True,
            headers={"content-type": "application/xml"},
        )  # fmt: skip
        root = self._answer(target, body, "CompleteMultipartUploadResult")
        etag = attrs.unquoted(xml.text(root, "ETag"))
        size = sum(part.size for part in parts)
        return Stored(size, etag, attrs.confirmed_checksum(bucket, etag, headers))

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        target = self._target("AbortMultipartUpload", bucket, key)
        try:
            self._wire.call(target, "DELETE", query=[("uploadId", upload_id)])
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return  # gone already

    def list_uploads(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, str]]:
        target = self._target("ListMultipartUploads", bucket)
        markers: tuple[tuple[str, str], ...] = ()
        while True:
            query = [("uploads", ""), ("encoding-type", "url"), ("prefix", prefix), *markers]
            root = self._answer(
                target, self._wire.call(target, "GET", query=query)[1], "ListMultipartUploadsResult"
            )
            decode = unquote_plus if xml.text(root, "EncodingType") == "url" else str
            for element in xml.children(root, "Upload"):
                yield decode(xml.text(element, "Key") or ""), xml.text(element, "UploadId") or ""
            if xml.text(root, "IsTruncated") != "true":
                return
            following = (
                ("key-marker", decode(xml.text(root, "NextKeyMarker") or "")),
                ("upload-id-marker", xml.text(root, "NextUploadIdMarker") or ""),
            )
            if following == markers:
                raise ServiceError(f"{target}: the list of uploads goes round in a circle")
            markers = following

    # URLs and the fast lane

    def presign(
        self, bucket: str, key: str, *, expires: int, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        """Temporary credentials end the URL with them, however long ``expires`` is."""
        self._target("Presign", bucket, key)
        if not 1 <= expires <= sigv4.MAX_PRESIGN_SECONDS:
            raise UsageError("a presigned URL is good for at least 1 second and at most 7 days")
        if self._credentials is None:
            raise UsageError("only credentials can presign, and this storage has none")
        host, path, url = self._wire.url(bucket, key)
        query = self._wire.signer.presigned_query(
            method, path, (), {"host": host}, self._credentials.get(),
            self._wire.region(bucket), expires=expires, now=self._wire.now(),
        )  # fmt: skip
        return f"{url}?{query}"

    def native(self, bucket: str) -> Any:
        found = self._natives.get(bucket)
        if found is None:
            target = self._target("HeadBucket", bucket)
            if self.config.aws is not None:
                # Tells the bucket's region: obstore would stumble over another one.
                with contextlib.suppress(AccessRefused):
                    self._wire.call(target, "HEAD")
            region = self._wire.region(bucket)
            with self._lock:
                found = self._natives.setdefault(
                    bucket, native.native_store(self.config, self._credentials, bucket, region)
                )
        return found

    # Inside

    def _target(self, operation: str, bucket: str, key: str | None = None) -> Target:
        """What a request is about, once it is known that the service can hold such names."""
        target = Target(operation, bucket, key)
        if not _BUCKET.match(bucket):
            raise BucketNotFound(f"{target}: that cannot be the name of a bucket")
        if key is not None:
            raw = _encodable(key)
            if raw is None:
                raise KeyNotSupported(f"{target}: S3 holds no keys that are not UTF-8 or have NUL")
            if not 1 <= len(raw) <= MAX_KEY_BYTES:
                raise KeyNotSupported(
                    f"{target}: S3 holds keys of 1 to {MAX_KEY_BYTES} bytes, this has {len(raw)}"
                )
        return target

    def _answer(self, target: Target, body: bytes, name: str) -> Element:
        """The root of an XML answer. Some operations answer 200 and then tell an error."""
        problem = None
        root = None
        try:
            root = xml.parse(body)
        except xml.MalformedXml as error:
            problem = str(error)
        if root is None:
            raise ServiceError(f"{target}: {problem}")
        if xml.local(root) == "Error":
            refusal = failures.read_refusal(200, {}, body)
            raise _late_error(target, refusal)
        if xml.local(root) not in (name, name.removesuffix("Result")):  # rclone says it shorter
            raise ServiceError(f"{target}: the answer is {shown(xml.local(root))}, not {name}")
        return root

    def _exists(self, bucket: str, key: str) -> bool:
        try:
            self.head(bucket, key)
        except ObjectNotFound:
            return False
        return True


_CAPABILITIES = Capabilities(
    listing_order="bytes",
    holds_tags=True,
    server_side_copy=True,
    presign=True,
    parts=LIMITS,
    put_checksum="md5",
)


def _late_error(target: Target, refusal: failures.Refusal) -> StorageError:
    """For an error in a 200: without a code of ours it is one of the service, worth a retry."""
    status = {
        "AccessDenied": 403, "NoSuchUpload": 404, "NoSuchKey": 404, "PreconditionFailed": 412,
        "InvalidPart": 400, "InvalidPartOrder": 400, "EntityTooSmall": 400, "SlowDown": 503,
    }.get(refusal.code, 500)  # fmt: skip
    return failures.error(target, replace(refusal, status=status))


def _encodable(text: str) -> bytes | None:
    try:
        return None if "\0" in text else text.encode()
    except UnicodeEncodeError:
        return None


def _row_order(row: Entry | CommonPrefix | Problem) -> bytes:
    name = row.prefix if isinstance(row, CommonPrefix) else row.key
    return name.encode("utf-8", "surrogatepass")


def _request_body(target: Target, body: Any, size: int) -> RequestBody:
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


def _content_md5(body: bytes) -> str:
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _number(target: Target, text: str | None) -> int:
    if text is None or not text.strip().isdecimal():
        raise ServiceError(f"{target}: the answer lacks a number")
    return int(text)
