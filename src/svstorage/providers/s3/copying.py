"""Copies inside the service, in one request or, over 5 GiB, in parts."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from svstorage.credentials.base import AwsCredentials, CredentialSource
from svstorage.errors import (
    AccessRefused,
    NotSupported,
    ObjectChanged,
    ServiceError,
    StorageError,
)
from svstorage.model import Attributes, Entry, Part, Stored
from svstorage.providers.s3 import attributes as attrs
from svstorage.providers.s3 import sigv4, xml
from svstorage.providers.s3.config import S3Config
from svstorage.providers.s3.limits import SINGLE_COPY, copy_part_size
from svstorage.providers.s3.uploads import Uploads
from svstorage.providers.s3.wire import Wire
from svstorage.providers.target import Target

log = logging.getLogger(__name__)

_THREADS = 4


class Copying(Uploads):
    """The part of the store that copies. ``single_copy`` and ``copy_part`` are sizes in bytes,
    for tests that cannot move 5 GiB."""

    def __init__(
        self,
        config: S3Config,
        credentials: CredentialSource[AwsCredentials] | None,
        *,
        wire: Wire | None = None,
        single_copy: int = SINGLE_COPY,
        copy_part: int | None = None,
    ) -> None:
        super().__init__(config, credentials, wire=wire)
        self._single_copy = single_copy
        self._copy_part = copy_part

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        self.check_readable(self.target("CopyObject", source_bucket, source.key))
        target = self.target("CopyObject", bucket, key)
        self.check_writable(target, source.size)
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
        answer, body = self.wire.call(target, "PUT", headers=headers)
        root = self.answer(target, body, "CopyObjectResult")
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
            _, body = self.wire.call(about, "PUT", query=query, headers=ranged)
            etag = attrs.unquoted(xml.text(self.answer(about, body, "CopyPartResult"), "ETag"))
            if not etag:
                raise ServiceError(f"{about}: the answer has no ETag")
            return Part(number, last + 1 - first, etag, first)

        try:
            count = -(-source.size // size)
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="svstorage-copy") as pool:
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
