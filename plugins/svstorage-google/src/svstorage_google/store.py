"""Google Cloud Storage as an object store, over its JSON API with exact keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from svstorage.credentials.base import CredentialSource
from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ListingError,
    ObjectChanged,
    ObjectError,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    SettingsError,
    StorageError,
)
from svstorage.model import (
    Attributes,
    BucketInfo,
    Capabilities,
    CommonPrefix,
    Entry,
    ObjectInfo,
    Problem,
    Stored,
    key_order,
)
from svstorage.providers import BaseStore
from svstorage_google.client import Client, finished
from svstorage_google.config import PROJECT, GoogleConfig
from svstorage_google.credentials import Token
from svstorage_google.resources import (
    LISTED,
    bucket_path,
    entry_of,
    info_of,
    object_path,
    resource_of,
    stored_of,
)
from svstorage_google.transfer import Reader, Upload

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

_CAPABILITIES = Capabilities(server_side_copy=True, put_checksum="md5")


class GoogleStore(BaseStore):
    """An `ObjectStore` over the buckets of a project."""

    deletes_at_once = 16

    def __init__(self, config: GoogleConfig, credentials: CredentialSource[Token] | None) -> None:
        self._config = config
        self._client = Client(config, credentials)

    def __repr__(self) -> str:
        return f"<GoogleStore {self._config.location}>"

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def identity(self) -> str:
        return f"google {self._config.location}"

    # Buckets

    def list_buckets(self) -> list[BucketInfo]:
        found = []
        query = {"project": self._project(), "fields": "nextPageToken,items(name)"}
        for page in self._pages("/storage/v1/b", "the buckets", query):
            found += [BucketInfo(str(one["name"])) for one in page.get("items", ())]
        return sorted(found, key=lambda bucket: bucket.name)

    def bucket_exists(self, bucket: str) -> bool:
        try:
            self._client.json("GET", bucket_path(bucket), repr(bucket), query={"fields": "name"})
        except ObjectNotFound:
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        try:
            bucket_path(bucket)
        except BucketNotFound as error:
            raise KeyNotSupported(str(error)) from None
        if self.bucket_exists(bucket):
            raise ObjectExists(f"{bucket!r}: the bucket is there already")
        self._client.json(
            "POST", "/storage/v1/b", repr(bucket),
            query={"project": self._project()}, body={"name": bucket},
        )  # fmt: skip

    def delete_bucket(self, bucket: str) -> None:
        try:
            self._client.delete(bucket_path(bucket), repr(bucket))
        except ObjectNotFound as error:
            raise self._no_bucket(bucket) from error
        except ObjectChanged as error:
            raise ObjectError(f"{bucket!r}: the bucket is not empty") from error

    def _project(self) -> str:
        if self._config.project is None:
            raise SettingsError(
                "it is not set", variable=PROJECT,
                mend="Name the project whose buckets are meant; one bucket needs no project",
            )  # fmt: skip
        return self._config.project

    @staticmethod
    def _no_bucket(bucket: str) -> BucketNotFound:
        return BucketNotFound(f"{bucket!r}: there is no such bucket")

    # Listings

    def list(
        self, bucket: str, prefix: str = "", *, start_after: str = ""
    ) -> Iterator[Entry | Problem]:
        last = b""
        query = {"prefix": prefix, "startOffset": start_after}
        for page in self._listing(bucket, query):
            for resource in page.get("items", ()):
                entry = entry_of(resource)
                order = key_order(entry.key)
                if order <= last:
                    raise ListingError(f"{bucket!r}: the listing is out of order at {entry.key!r}")
                last = order
                if entry.key > start_after or order > key_order(start_after):
                    yield entry

    def list_level(self, bucket: str, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        for page in self._listing(bucket, {"prefix": prefix, "delimiter": "/"}):
            rows: list[Entry | CommonPrefix] = [entry_of(one) for one in page.get("items", ())]
            rows += [CommonPrefix(str(one)) for one in page.get("prefixes", ())]
            # A page tells objects and prefixes apart; each page is a stretch of the keys.
            yield from sorted(rows, key=_level_order)

    def _listing(self, bucket: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        wanted = {"fields": f"nextPageToken,prefixes,items({LISTED})"}
        for name, text in query.items():
            if not text:
                continue
            # A lone surrogate begins no key, and sorts near the replacement character.
            wanted[name] = text.encode("utf-8", "replace").decode()
            if name == "prefix" and wanted[name] != text:
                return
        try:
            yield from self._pages(f"{bucket_path(bucket)}/o", repr(bucket), wanted)
        except ObjectNotFound as error:
            raise self._no_bucket(bucket) from error

    def _pages(self, path: str, what: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._client.json(
                "GET", path, what, query={**query, **({"pageToken": token} if token else {})}
            )
            yield page
            following = page.get("nextPageToken") or ""
            if not following:
                return
            if following == token:
                raise ListingError(f"{what}: the listing does not go on")
            token = following

    # Objects

    def head(self, bucket: str, key: str) -> ObjectInfo:
        try:
            return info_of(self._client.json("GET", object_path(bucket, key), repr(key)))
        except ObjectNotFound as error:
            raise self._missing(bucket, error) from error

    def _missing(self, bucket: str, error: ObjectNotFound) -> ObjectNotFound:
        """A 404 says in words alone whether object or bucket is missing."""
        return error if self.bucket_exists(bucket) else self._no_bucket(bucket)

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> Reader:
        info = self.head(bucket, key)
        entry = info.entry
        if if_match is not None and entry.etag != if_match:
            raise ObjectChanged(f"{key!r}: it is another version than the one listed")
        count = entry.size - start if length is None else length
        if count < 0 or start + count > entry.size:
            raise ServiceError(f"{key!r}: it ends at byte {entry.size}, before the range asked for")
        if not count:
            return Reader(None, info, 0)
        part = {"Range": f"bytes={start}-{start + count - 1}"} if count != entry.size else {}
        try:
            response = self._client.send(
                "GET",
                object_path(bucket, key),
                repr(key),
                query={"alt": "media", "ifGenerationMatch": entry.etag or ""},
                headers=part,
            )
        except ObjectNotFound as error:
            raise ObjectChanged(f"{key!r}: it was deleted while it was read") from error
        if response.headers.get("X-Goog-Generation", entry.etag) != entry.etag:
            response.close()
            raise ObjectChanged(f"{key!r}: it was replaced while it was read")
        told = response.headers.get("Content-Length")
        if (told is not None and told != str(count)) or (
            count != entry.size and response.status != 206
        ):
            response.close()
            raise ServiceError(f"{key!r}: the answer is not the range asked for")
        return Reader(response, info, count)

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
        path = "/upload" + object_path(bucket, key).partition("/o/")[0] + "/o"
        upload = Upload({**resource_of(attributes), "name": key}, body, size, repr(key), md5)
        query = {"uploadType": "multipart"}
        if if_none_match:
            query["ifGenerationMatch"] = "0"
        try:
            response = self._client.send(
                "POST", path, repr(key), query=query, headers=upload.headers, body=upload
            )
            stored = stored_of(finished(response, repr(key)))
        except ObjectChanged as error:
            if if_none_match and upload.error is None:
                raise ObjectExists(f"{key!r}: it is there already") from error
            raise upload.error or error from None
        except ObjectNotFound as error:
            if upload.error is not None:
                raise upload.error from None
            raise self._no_bucket(bucket) from error
        except StorageError:
            if upload.error is not None:
                raise upload.error from None
            raise
        if stored.size != size:
            raise ServiceError(f"{key!r}: the service holds {stored.size} bytes of {size} sent")
        return stored

    def delete(self, bucket: str, key: str) -> None:
        try:
            self._client.delete(object_path(bucket, key), repr(key))
        except ObjectNotFound as error:
            if not self.bucket_exists(bucket):
                raise self._no_bucket(bucket) from error

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        """``rewriteTo``, called again until the service is done: big objects take several."""
        path = object_path(source_bucket, source.key)
        path += "/rewriteTo" + object_path(bucket, key).removeprefix("/storage/v1")
        query = {"ifSourceGenerationMatch": source.etag} if source.etag else {}
        body = None if attributes is None else resource_of(attributes)
        while True:
            try:
                answer = self._client.json("POST", path, repr(key), query=query, body=body)
            except ObjectNotFound as error:
                for name in (source_bucket, bucket):
                    if not self.bucket_exists(name):
                        raise self._no_bucket(name) from error
                raise
            if answer.get("done", True):
                return stored_of(answer.get("resource") or {})
            query = {**query, "rewriteToken": str(answer["rewriteToken"])}

    def close(self) -> None:
        self._client.close()


def _level_order(row: Entry | CommonPrefix) -> bytes:
    return key_order(row.prefix if isinstance(row, CommonPrefix) else row.key)
