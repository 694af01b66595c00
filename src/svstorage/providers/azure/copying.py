"""Copies inside one account, without the bytes passing through this process.

"Copy Blob From URL" up to 256 MiB; beyond that, and where the attributes change, "Put Block
From URL" and one commit, so that the new blob appears whole and with its attributes at once.
"""

from __future__ import annotations

import base64
import secrets
from xml.etree import ElementTree as ET

from svstorage.credentials.azure_values import Bearer, Sas
from svstorage.errors import ObjectChanged, ServiceError
from svstorage.model import Attributes, Entry, Stored
from svstorage.providers.azure import keys, listing
from svstorage.providers.azure.blocks import BlockUploads, block_id
from svstorage.providers.azure.objects import Objects, etag
from svstorage.providers.target import Target

MIB = 1024 * 1024
MAX_SINGLE_COPY = 256 * MIB
MIN_BLOCK = 100 * MIB
_MAX_BLOCKS = 50_000
_SIGNED_SECONDS = 3600


class Copying(Objects, BlockUploads):
    """The part of the store that copies server-side."""

    def copy(
        self,
        source_bucket: str,
        source: Entry,
        bucket: str,
        key: str,
        *,
        attributes: Attributes | None = None,
    ) -> Stored:
        """See `ObjectStore.copy`. None ``attributes`` keeps those of the source, with its tags."""
        self._check(source_bucket, source.key)
        self._check(bucket, key)
        target = Target(f"copy {source_bucket}/{source.key} to", bucket, key)
        if keys.held_by_azurite_only(source.key):
            return self._copy_through_here(target, source_bucket, source, attributes)
        if attributes is None and source.size <= MAX_SINGLE_COPY:
            return self._copy_whole(target, source_bucket, source)
        if attributes is None:
            info = self.head(source_bucket, source.key)
            if source.etag is not None and info.entry.etag != source.etag:
                raise ObjectChanged(f"{target}: the source is of another version by now")
            source, attributes = info.entry, info.attributes
        return self._copy_blocks(target, source_bucket, source, attributes)

    def _copy_whole(self, target: Target, source_bucket: str, source: Entry) -> Stored:
        headers = {
            "x-ms-requires-sync": "true",
            "x-ms-copy-source-tag-option": "COPY",
            **self._source(source_bucket, source),
        }
        answer, _ = self.client.call(target, "PUT", headers=headers)
        status = answer.get("x-ms-copy-status")
        if status != "success":
            raise ServiceError(f"{target}: the service says that the copy is {status}")
        # What the listing said of the source holds for the copy: its ETag was the condition.
        checksum = source.checksum if source.etag is not None else None
        return Stored(
            size=source.size,
            etag=etag(answer),
            checksum=listing.md5_checksum(answer.get("content-md5")) or checksum,
        )

    def _copy_blocks(
        self, target: Target, source_bucket: str, source: Entry, attributes: Attributes
    ) -> Stored:
        token = f"svs1{secrets.token_hex(8)}"
        step = max(MIN_BLOCK, -(-source.size // _MAX_BLOCKS))
        root = ET.Element("BlockList")
        for number, offset in enumerate(range(0, source.size, step), start=1):
            block = block_id(token, number, offset)
            last = min(offset + step, source.size) - 1
            headers = {
                **self._source(source_bucket, source),
                "x-ms-source-range": f"bytes={offset}-{last}",
            }
            self.client.call(
                target, "PUT", query={"comp": "block", "blockid": block}, headers=headers
            )
            ET.SubElement(root, "Uncommitted").text = block
        headers = self._headers(target, attributes)
        if source.checksum is not None and source.checksum.algorithm == "md5":
            headers["x-ms-blob-content-md5"] = _md5_header(source.checksum.value)
        return self._commit(target, root, headers, source.size)

    def _copy_through_here(
        self, target: Target, source_bucket: str, source: Entry, attributes: Attributes | None
    ) -> Stored:
        """For keys with dot segments: a service resolves those in the URL of a copy's source."""
        with self.read(source_bucket, source.key, if_match=source.etag) as reader:
            return self.put(
                target.bucket,
                target.key or "",
                reader,
                size=reader.info.entry.size,
                attributes=reader.info.attributes if attributes is None else attributes,
            )

    def _source(self, bucket: str, source: Entry) -> dict[str, str]:
        """The headers that name the source, its version, and the right to read it."""
        used = self.client.credentials.get() if self.client.credentials else None
        url = self.client.url(bucket, source.key)
        headers = {}
        match used:
            case Bearer():
                headers["x-ms-copy-source-authorization"] = f"Bearer {used.token.reveal()}"
            case Sas():
                url = f"{url}?{used.token.reveal()}"
            case None:
                pass
            case _:
                from svstorage.providers.azure.sas import signed_url

                url = signed_url(self.client, bucket, source.key, "r", _SIGNED_SECONDS)
        headers["x-ms-copy-source"] = url
        if source.etag is not None:
            headers["x-ms-source-if-match"] = f'"{source.etag}"'
        return headers


def _md5_header(value: str) -> str:
    return base64.b64encode(bytes.fromhex(value)).decode("ascii")
