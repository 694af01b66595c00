"""Azure Blob Storage as an `ObjectStore`: containers are buckets, block blobs are objects."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast
from xml.etree import ElementTree as ET

from svstorage.errors import (
    BucketNotFound,
    ListingError,
    ObjectChanged,
    ObjectError,
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
    PartLimits,
    Problem,
    Stored,
    key_order,
)
from svstorage.providers.azure import keys, listing, metadata
from svstorage.providers.azure.body import CountedBody
from svstorage.providers.azure.copying import Copying
from svstorage.providers.azure.failures import Target
from svstorage.providers.azure.reader import AzureReader

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.credentials.azure_values import AzureCredentials
    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.azure.config import AzureConfig
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
_MAX_PRESIGN = 7 * 24 * 3600
_DELETING_THREADS = 8
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


class AzureStore(Copying):
    """One storage account. The first request is made by the first method called."""

    native_reads = True
    # object_store sends no Content-MD5 and tells only an ETag, which says nothing of the bytes.
    native_writes = False

    def __init__(
        self, config: AzureConfig, credentials: CredentialSource[AzureCredentials] | None
    ) -> None:
        super().__init__(config, credentials)
        self._native: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def capabilities(self) -> Capabilities:
        """Asks the account once whether it has a hierarchical namespace.

        Such accounts list folder by folder instead of by the bytes of the name, and hold neither
        empty path segments nor blob index tags.
        """
        folders = self._traits().folders
        return Capabilities(
            listing_order="unordered" if folders else "bytes",
            holds_tags=not folders,
            holds_folder_markers=not folders,
            server_side_copy=True,
            presign=True,
            parts=PART_LIMITS,
            put_checksum="md5",
        )

    @property
    def identity(self) -> str:
        return f"azure:{self.config.location}"

    # Containers

    def list_buckets(self) -> list[BucketInfo]:
        found: list[BucketInfo] = []
        query = {"comp": "list"}
        target = Target("list buckets")
        while True:
            _, body = self.client.call(target, "GET", query=query)
            names, marker = listing.parse_names(body, "Container")
            found += [BucketInfo(name) for name in names]
            if not marker:
                return found
            if marker == query.get("marker"):
                raise ListingError(f"{target}: the listing goes in circles")
            query = {**query, "marker": marker}

    def bucket_exists(self, bucket: str) -> bool:
        if not keys.is_container_name(bucket):
            return False
        try:
            self.client.call(Target("look for", bucket), "HEAD", query={"restype": "container"})
        except BucketNotFound:
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        """Raises `ObjectExists`, and `UsageError` for a name that no container can have."""
        keys.check_container_name(bucket)
        self.client.call(Target("create", bucket), "PUT", query={"restype": "container"})

    def delete_bucket(self, bucket: str) -> None:
        """Raises `ObjectError` where it holds anything, also snapshots or unfinished uploads.

        The service itself would delete a container with all that is in it; what somebody stores
        between the look and the deletion is lost.
        """
        self._check_bucket(bucket)
        target = Target("delete", bucket)
        query = {
            "restype": "container",
            "comp": "list",
            "include": "snapshots,uncommittedblobs",
            "maxresults": "1",
        }
        marker = "first"
        while marker:
            _, body = self.client.call(target, "GET", query=query)
            names, marker = listing.parse_names(body, "Blob")
            if names:
                raise ObjectError(f"{target}: it is not empty")
            query["marker"] = marker
        self.client.call(target, "DELETE", query={"restype": "container"})

    # Listings

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        """See `ObjectStore.list`. The service has no start: earlier keys are listed and dropped."""
        self._check_bucket(bucket)
        entries = self._entries(bucket, prefix)
        if not self._traits().folders:
            entries = listing.in_byte_order(entries)
        if not start_after:
            return entries
        after = key_order(start_after)
        return (entry for entry in entries if key_order(entry.key) > after)

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        self._check_bucket(bucket)
        for page in self._pages(bucket, prefix, {"delimiter": "/"}):
            yield from page

    def _entries(self, bucket: str, prefix: str) -> Iterator[Entry]:
        for page in self._pages(bucket, prefix, {}):
            for item in page:
                if isinstance(item, Entry):
                    yield item

    def _pages(
        self, bucket: str, prefix: str, more: Mapping[str, str]
    ) -> Iterator[tuple[Entry | CommonPrefix, ...]]:
        query = {"restype": "container", "comp": "list", **more}
        if prefix:
            query["prefix"] = prefix
        target = Target("list", bucket)
        while True:
            _, body = self.client.call(target, "GET", query=query)
            page = listing.parse_blobs(body)
            yield page.items
            if not page.next_marker:
                return
            if page.next_marker == query.get("marker"):
                raise ListingError(f"{target}: the listing goes in circles")
            query["marker"] = page.next_marker

    # Objects

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """Tags are fetched where the object has any: one request more."""
        self._check(bucket, key)
        target = Target("head", bucket, key)
        headers, _ = self.client.call(target, "HEAD")
        if headers.get("x-ms-resource-type") == "directory":
            raise ObjectNotFound(f"{target}: it is a folder of the account's namespace")
        size = _number(target, headers, "content-length")
        info = _info(target, key, headers, size)
        if headers.get("x-ms-tag-count", "0") != "0":
            tags = self._tags(bucket, key)
            info = replace(info, attributes=replace(info.attributes, tags=tags))
        return info

    def _tags(self, bucket: str, key: str) -> dict[str, str]:
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
    ) -> AzureReader:
        self._check(bucket, key)
        target = Target("read", bucket, key)
        if length == 0:
            info = self._head_if(target, if_match)
            return AzureReader(info, target, None, 0)
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
                    return AzureReader(info, target, None, 0)
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
        sent: Buffer | CountedBody
        if hasattr(body, "read"):
            sent = CountedBody(cast("Body", body), size)
            if not size:
                sent.check_end()
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

    def delete_many(
        self, bucket: str, keys: Sequence[str]
    ) -> Iterable[tuple[str, Exception | None]]:
        def one(key: str) -> tuple[str, Exception | None]:
            try:
                self.delete(bucket, key)
            except StorageError as error:
                return key, error
            return key, None

        if len(keys) < 2:
            yield from map(one, keys)
            return
        with ThreadPoolExecutor(min(_DELETING_THREADS, len(keys))) as pool:
            yield from pool.map(one, keys)

    def presign(
        self,
        bucket: str,
        key: str,
        *,
        expires: int,
        method: Literal["GET", "PUT"] = "GET",
    ) -> str:
        """A URL with a shared access signature, at most for 7 days. It is a secret.

        An upload by such a URL needs the header ``x-ms-blob-type: BlockBlob``. Raises
        `NotSupported` where the credentials are themselves a signature.
        """
        from svstorage.providers.azure.sas import signed_url

        self._check(bucket, key)
        if not 0 < expires <= _MAX_PRESIGN:
            raise UsageError("a URL can be made for 1 second to 7 days")
        permission = "r" if method == "GET" else "cw"
        return signed_url(self.client, bucket, key, permission, expires)

    def native(self, bucket: str) -> Any:
        """The obstore store of one container."""
        from svstorage.providers.azure.native import make

        self._check_bucket(bucket)
        with self._lock:
            store = self._native.get(bucket)
            if store is None:
                store = self._native[bucket] = make(self.config, self.credentials, bucket)
            return store

    def close(self) -> None:
        self.client.close()
        self._native.clear()


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
) -> AzureReader:
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
    return AzureReader(info, target, response, arriving)
