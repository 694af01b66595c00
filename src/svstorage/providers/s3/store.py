"""The S3 store: exact keys, ordered listings, resumable uploads, server-side copies.

Limits of what S3 can hold, all raised as named failures before anything is sent: keys over
1,024 bytes of UTF-8, empty keys, keys with NUL or that are not UTF-8; metadata names that are
no header names.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from svstorage import forks
from svstorage.addresses import display
from svstorage.credentials.base import AwsCredentials, CredentialSource
from svstorage.errors import (
    AccessRefused,
    BucketNotFound,
    NotSupported,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    UsageError,
)
from svstorage.model import (
    BucketInfo,
    Capabilities,
    CommonPrefix,
    Entry,
    Problem,
    key_order,
)
from svstorage.providers.s3 import listing, native, sigv4, xml
from svstorage.providers.s3.config import S3Config
from svstorage.providers.s3.copying import Copying
from svstorage.providers.s3.limits import LIMITS, SINGLE_COPY
from svstorage.providers.s3.pipelined import Pipelined
from svstorage.providers.s3.service import BUCKET_NAME, encodable
from svstorage.providers.s3.wire import Wire
from svstorage.providers.target import Target

# Written out here because ``list`` is a method below.
_Query = list[tuple[str, str]]
_Buckets = list[BucketInfo]


_CAPABILITIES = Capabilities(
    listing_order="bytes",
    holds_tags=True,
    server_side_copy=True,
    presign=True,
    parts=LIMITS,
    put_checksum="md5",
)
_UNORDERED = replace(_CAPABILITIES, listing_order="unordered")


class S3Store(Copying, Pipelined):
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
        super().__init__(
            config, credentials, wire=wire, single_copy=single_copy, copy_part=copy_part
        )
        self._decoder = listing.Decoder(True if config.aws else None)
        # The ETag of a PUT is its MD5 (but in encrypted buckets), so that writes are confirmed.
        self._native_usable = native.environment_is_quiet() and native.keeps_secrets(
            config, credentials
        )

    def after_fork(self) -> None:
        super().after_fork()
        self._lock = threading.Lock()
        self._natives: dict[str, Any] = {}

    @property
    def carries_whole(self) -> bool:
        """Our own small client takes small objects (obstore only where that cannot)."""
        return self.wire.is_quick

    @property
    def native_reads(self) -> bool:
        """obstore signs with this machine's clock, so it is out where that was found wrong."""
        return self._native_usable and not self.wire.clock_corrected and forks.obstore_works()

    native_writes = native_reads

    @cached_property
    def capabilities(self) -> Capabilities:
        """Asks a service that is not AWS once what it is: SeaweedFS lists folder by folder."""
        if self.config.aws is not None:
            return _CAPABILITIES
        target = Target("ListBuckets")
        try:
            headers, _ = self.wire.call(target, "GET")
        except StorageError:
            return _CAPABILITIES  # what is wrong shows again, where it matters
        by_folder = "seaweedfs" in (headers.get("server") or "").lower()
        return _UNORDERED if by_folder else _CAPABILITIES

    @property
    def identity(self) -> str:
        """Endpoint and key: other credentials may not see both ends of a copy."""
        who = self.config.access_key or self.config.iam_role or ""
        if not self.config.access_key and self.credentials is not None:
            who = f"{self.credentials.name}:{who}"
        digest = hashlib.sha256(who.encode()).hexdigest()[:16]
        return f"s3 {self.config.location} {digest}"

    def close(self) -> None:
        self.wire.close()
        self._natives.clear()

    # Buckets

    def list_buckets(self) -> _Buckets:
        target = Target("ListBuckets")
        root = self.answer(target, self.wire.call(target, "GET")[1], "ListAllMyBucketsResult")
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
        if not BUCKET_NAME.match(bucket):
            return False
        try:
            self.wire.call(Target("HeadBucket", bucket), "HEAD")
        except ObjectNotFound:
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        if not BUCKET_NAME.match(bucket):
            raise UsageError(f"{display(bucket)!r} cannot be the name of a bucket")
        target = Target("CreateBucket", bucket)
        if self.bucket_exists(bucket):  # some services answer 200 to a second creation
            raise ObjectExists(f"{target}: the bucket is there already")
        config = self.config
        abroad = config.aws is not None and config.region != "us-east-1"
        body = xml.create_bucket_request(config.region) if abroad else b""
        self.wire.call(target, "PUT", body=body, sign_body=True)

    def delete_bucket(self, bucket: str) -> None:
        self.wire.call(self.target("DeleteBucket", bucket), "DELETE")

    # Listings

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        ordered = self.capabilities.listing_order == "bytes"
        query = [("start-after", start_after)] if start_after and ordered else []
        after = key_order(start_after)
        for row in self._rows(bucket, prefix, query):
            if isinstance(row, CommonPrefix):
                continue  # only where a delimiter was asked for
            if not ordered and isinstance(row, Entry) and key_order(row.key) <= after:
                continue
            yield row

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        """Objects and prefixes of each page come in the order of their names."""
        return self._rows(bucket, prefix, [("delimiter", "/")])

    def _rows(
        self, bucket: str, prefix: str, more: _Query
    ) -> Iterator[Entry | CommonPrefix | Problem]:
        target = self.target("ListObjectsV2", bucket)
        if encodable(prefix) is None:
            return  # no key begins so
        base = [("list-type", "2"), ("max-keys", str(listing.PAGE)), ("prefix", prefix), *more]

        def fetch(token: str | None) -> listing.Page:
            query = [*base, ("continuation-token", token)] if token is not None else base
            encoded = [*query, ("encoding-type", "url")]
            body = self.wire.call(target, "GET", query=encoded)[1]

            def plain() -> set[str]:
                return listing.plain_keys(target, self.wire.call(target, "GET", query=query)[1])

            page = listing.parse_page(target, body, self._decoder, plain)
            if more and more[0][0] == "delimiter":
                page.rows.sort(key=_row_order)
            return page

        for page in listing.pages(target, fetch):
            yield from page.rows

    def delete_version(self, bucket: str, key: str, etag: str) -> None:
        """See `DeletesVersions`. AWS compares; some other services pay no heed."""
        target = self.target("DeleteObject", bucket, key)
        try:
            self.check_readable(target)
            self.wire.call(target, "DELETE", headers={"if-match": f'"{etag}"'})
        except NotSupported:
            self.delete(bucket, key)
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return

    # URLs and the fast lane

    def presign(
        self, bucket: str, key: str, *, expires: int, method: Literal["GET", "PUT"] = "GET"
    ) -> str:
        """Temporary credentials end the URL with them, however long ``expires`` is."""
        self.target("Presign", bucket, key)
        if not 1 <= expires <= sigv4.MAX_PRESIGN_SECONDS:
            raise UsageError("a presigned URL is good for at least 1 second and at most 7 days")
        if self.credentials is None:
            raise UsageError("only credentials can presign, and this storage has none")
        host, path, url = self.wire.url(bucket, key)
        query = self.wire.signer.presigned_query(
            method, path, (), {"host": host}, self.credentials.get(),
            self.wire.region(bucket), expires=expires, now=self.wire.now(),
        )  # fmt: skip
        return f"{url}?{query}"

    def native(self, bucket: str) -> Any:
        found = self._natives.get(bucket)
        if found is None:
            forks.use_obstore()
            target = self.target("HeadBucket", bucket)
            if self.config.aws is not None:
                # Tells the bucket's region: obstore would stumble over another one.
                with contextlib.suppress(AccessRefused):
                    self.wire.call(target, "HEAD")
            region = self.wire.region(bucket)
            with self._lock:
                found = self._natives.setdefault(
                    bucket, native.native_store(self.config, self.credentials, bucket, region)
                )
        return found


def _row_order(row: Entry | CommonPrefix | Problem) -> bytes:
    name = row.prefix if isinstance(row, CommonPrefix) else row.key
    return name.encode("utf-8", "surrogatepass")
