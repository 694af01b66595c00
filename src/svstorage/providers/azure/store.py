"""Azure Blob Storage as an `ObjectStore`: containers are buckets, block blobs are objects."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from svstorage import forks
from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ListingError,
    ObjectChanged,
    ObjectError,
    ObjectNotFound,
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
from svstorage.providers.azure import keys, listing
from svstorage.providers.azure.copying import Copying
from svstorage.providers.azure.objects import PART_LIMITS
from svstorage.providers.default import BaseStore
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from svstorage.credentials.azure_values import AzureCredentials
    from svstorage.credentials.base import CredentialSource
    from svstorage.providers.azure.config import AzureConfig

START_VERSION = "2026-02-06"
"""The service version that brought ``startFrom`` to List Blobs."""
_MAX_PRESIGN = 7 * 24 * 3600


class AzureStore(Copying, BaseStore):
    """One storage account. The first request is made by the first method called."""

    # object_store sends no Content-MD5 and tells only an ETag, which says nothing of the bytes.
    native_writes = False
    deletes_at_once = 8
    page_size = 5000
    """Keys in one answer of a listing: the most that the service gives."""

    def __init__(
        self, config: AzureConfig, credentials: CredentialSource[AzureCredentials] | None
    ) -> None:
        super().__init__(config, credentials)
        self._has_start = True
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._native: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def native_reads(self) -> bool:
        return forks.obstore_works()

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
        """See `ObjectStore.list`. A service older than `START_VERSION` has no start: earlier keys
        are listed and dropped."""
        self._check_bucket(bucket)
        folders = self._traits().folders
        # Folder by folder, keys of later bytes may come before the start: where the account may
        # be one that lists so, it is not told.
        flat = not folders and self._known is not None
        entries = self._entries(bucket, prefix, listing.start(start_after) if flat else "")
        if not folders:
            entries = listing.in_byte_order(entries)
        if not start_after:
            return entries
        after = key_order(start_after)
        return (entry for entry in entries if key_order(entry.key) > after)

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        self._check_bucket(bucket)
        for page in self._pages(bucket, prefix, {"delimiter": "/"}):
            # A page may hold its prefixes and its blobs one after the other.
            yield from sorted(page, key=listing.item_order)

    def _entries(self, bucket: str, prefix: str, start: str) -> Iterator[Entry]:
        more = {"startFrom": start} if start > prefix and self._has_start else {}
        for page in self._pages(bucket, prefix, more):
            for item in page:
                if isinstance(item, Entry):
                    yield item

    def _pages(
        self, bucket: str, prefix: str, more: Mapping[str, str]
    ) -> Iterator[tuple[Entry | CommonPrefix, ...]]:
        query = {"restype": "container", "comp": "list", "maxresults": str(self.page_size), **more}
        if prefix:
            query["prefix"] = prefix
        target = Target("list", bucket)
        while True:
            try:
                headers = {"x-ms-version": START_VERSION} if "startFrom" in query else {}
                _, body = self.client.call(target, "GET", query=query, headers=headers)
            except ObjectError as error:
                if type(error) is not ObjectError or "startFrom" not in query or "marker" in query:
                    raise
                # Not a version that the service knows. All of the listing holds the rest of it too.
                self._has_start = False
                del query["startFrom"]
                continue
            page = listing.parse_blobs(body)
            yield page.items
            if not page.next_marker:
                return
            if page.next_marker == query.get("marker"):
                raise ListingError(f"{target}: the listing goes in circles")
            query["marker"] = page.next_marker

    def delete_version(self, bucket: str, key: str, etag: str) -> None:
        """See `DeletesVersions`."""
        self._check(bucket, key)
        try:
            headers = {"if-match": f'"{etag}"'}
            self.client.call(Target("delete", bucket, key), "DELETE", headers=headers)
        except BucketNotFound:
            raise
        except ObjectNotFound:
            return
        except ObjectChanged:  # also the answer where nothing is there
            with contextlib.suppress(ObjectNotFound):
                self.head(bucket, key)
                raise

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
        if keys.held_by_azurite_only(key):
            raise KeyNotSupported(f"no URL can name the key {key!r}: clients would resolve it")
        if not 0 < expires <= _MAX_PRESIGN:
            raise UsageError("a URL can be made for 1 second to 7 days")
        permission = "r" if method == "GET" else "cw"
        return signed_url(self.client, bucket, key, permission, expires)

    def native(self, bucket: str) -> Any:
        """The obstore store of one container."""
        from svstorage.providers.azure.native import make

        self._check_bucket(bucket)
        forks.use_obstore()
        with self._lock:
            store = self._native.get(bucket)
            if store is None:
                store = self._native[bucket] = make(self.config, self.credentials, bucket)
            return store

    def close(self) -> None:
        self.client.close()
        self._native.clear()
