"""Uploads in parts, which survive the process that began them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from svstorage.errors import BucketNotFound, ObjectNotFound, ServiceError
from svstorage.model import Attributes, Part, Stored
from svstorage.providers.s3 import attributes as attrs
from svstorage.providers.s3 import listing, xml
from svstorage.providers.s3.objects import Objects, content_md5, request_body
from svstorage.providers.s3.service import number as number_in

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body


# What `attributes.told_crc` asks for, as CompleteMultipartUploadResult names it.
_ELEMENTS = {
    "type": "ChecksumType",
    "crc64nvme": "ChecksumCRC64NVME",
    "crc32c": "ChecksumCRC32C",
    "crc32": "ChecksumCRC32",
}


class Uploads(Objects):
    """The part of the store that is a `MultipartStore`."""

    def start_upload(
        self,
        bucket: str,
        key: str,
        *,
        size: int | None,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
    ) -> str:
        target = self.target("CreateMultipartUpload", bucket, key)
        self.check_writable(target, size)
        headers = attrs.to_headers(target, attributes)
        _, body = self.wire.call(target, "POST", query=[("uploads", "")], headers=headers)
        root = self.answer(target, body, "InitiateMultipartUploadResult")
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
        target = self.target("UploadPart", bucket, key)
        sent = request_body(target, body, size)
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        headers, _ = self.wire.call(
            target, "PUT", query=query, headers=content_md5(sent), body=sent, size=size
        )
        etag = attrs.unquoted(headers.get("etag"))
        if not etag:
            raise ServiceError(f"{target}: the answer has no ETag")
        return Part(number, size, etag, offset, attrs.confirmed_checksum(bucket, etag, headers))

    def list_parts(self, bucket: str, key: str, upload_id: str) -> list[Part]:
        """S3 does not tell where a part lies in the object: ``offset`` supposes that all parts
        but the last are of the size of the largest one that is there.
        """
        target = self.target("ListParts", bucket, key)
        found: list[Part] = []
        marker = 0
        while True:
            query = [("uploadId", upload_id), ("max-parts", str(listing.PAGE))]
            if marker:
                query.append(("part-number-marker", str(marker)))
            root = self.answer(
                target, self.wire.call(target, "GET", query=query)[1], "ListPartsResult"
            )
            for element in xml.children(root, "Part"):
                number = number_in(target, xml.text(element, "PartNumber"))
                size = number_in(target, xml.text(element, "Size"))
                found.append(Part(number, size, attrs.unquoted(xml.text(element, "ETag")) or ""))
            if xml.text(root, "IsTruncated") != "true":
                break
            following = number_in(target, xml.text(root, "NextPartNumberMarker"))
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
        target = self.target("CompleteMultipartUpload", bucket, key)
        request = xml.complete_request((part.number, part.etag) for part in parts)
        headers, body = self.wire.call(
            target, "POST", query=[("uploadId", upload_id)], body=request, sign_body=True,
            headers={"content-type": "application/xml"},
        )  # fmt: skip
        root = self.answer(target, body, "CompleteMultipartUploadResult")
        etag = attrs.unquoted(xml.text(root, "ETag"))
        size = sum(part.size for part in parts)
        crc = attrs.told_crc(lambda name: xml.text(root, _ELEMENTS[name]))
        return Stored(size, etag, attrs.confirmed_checksum(bucket, etag, headers), crc=crc)

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        target = self.target("AbortMultipartUpload", bucket, key)
        try:
            self.wire.call(target, "DELETE", query=[("uploadId", upload_id)])
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return  # gone already

    def list_uploads(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, str]]:
        target = self.target("ListMultipartUploads", bucket)
        markers: tuple[tuple[str, str], ...] = ()
        while True:
            query = [("uploads", ""), ("encoding-type", "url"), ("prefix", prefix), *markers]
            root = self.answer(
                target, self.wire.call(target, "GET", query=query)[1], "ListMultipartUploadsResult"
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
