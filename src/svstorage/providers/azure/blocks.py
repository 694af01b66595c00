"""Uploads made of blocks ("Put Block", "Put Block List", "Get Block List").

Azure has no uploads as objects of their own: a blob has uncommitted blocks, whosever they are.
So each upload has a random token that begins all its block ids, no two writers can mix their
blocks, and an upload is found again by it. Number, offset and MD5 stand in the id as well, so
that a listing of the blocks tells all of a part. The attributes, which only the last request sets,
travel in the upload id.

Three things follow from the service: whoever commits or puts a blob first discards the
uncommitted blocks of all others (the later one's commit fails, and is repeated from the start);
there is nothing to abort, uncommitted blocks vanish after a week or with the next write; and an
upload without a block is not known to anybody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import re
import secrets
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree as ET

from svstorage.errors import AccessRefused, ObjectChanged, ObjectNotFound, ServiceError, UsageError
from svstorage.model import Attributes, Checksum, Entry, Part, Stored
from svstorage.providers.azure import listing
from svstorage.providers.azure.account import Account
from svstorage.providers.body import SizedBody, whole
from svstorage.providers.target import Target

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

log = logging.getLogger(__name__)


_TOKEN = re.compile(r"svs1[0-9a-f]{16}\Z")
_BLOCK = re.compile(rb"(svs1[0-9a-f]{16})-(\d{5})-(\d{15})-(.{16})\Z", re.DOTALL)
_NO_MD5 = bytes(16)

LARGEST_HELD = 32 * 1024 * 1024
_HELD = threading.BoundedSemaphore(8)
"""Parts held in memory at once, of all accounts together."""


class BlockUploads(Account):
    """The part of the store that is `MultipartStore`."""

    def start_upload(
        self,
        bucket: str,
        key: str,
        *,
        size: int | None,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
    ) -> str:
        """Begins nothing at the service, but asks whether the container is there."""
        self._check(bucket, key)
        try:
            target = Target("look for", bucket)
            self.client.call(target, "HEAD", query={"restype": "container"})
        except AccessRefused:
            log.debug("%s: may not be asked for; the first part will tell", bucket)
        self._headers(Target("upload", bucket, key), attributes)
        token = f"svs1{secrets.token_hex(8)}"
        return f"{token}.{_packed(attributes)}" if attributes is not None else token

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
        """See `MultipartStore.put_part`. ``Part.etag`` is the block id.

        The service checks the MD5 of every block, which goes before the bytes: so parts of up
        to `LARGEST_HELD` bytes are held in memory, few at once. Larger ones, which only objects
        above 1.5 TiB have, are sent as they are read, protected by TLS alone.
        """
        self._check(bucket, key)
        token, _ = _upload(upload_id)
        target = Target(f"put part {number} of", bucket, key)
        if not hasattr(body, "read"):
            view = memoryview(body).cast("B")
            if len(view) != size:
                raise ObjectChanged(f"{target}: the body has {len(view)} bytes, not {size}")
            return self._put_block(target, token, number, offset, view)
        source = cast("Body", body)
        if size <= LARGEST_HELD:
            with _HELD:
                view = memoryview(whole(source, size, str(target)))
                return self._put_block(target, token, number, offset, view)
        block = block_id(token, number, offset)
        sent = SizedBody(source, size, str(target))
        self.client.call(target, "PUT", query=_block_query(block), body=sent, size=size)
        return Part(number, size, block, offset)

    def _put_block(
        self, target: Target, token: str, number: int, offset: int, view: memoryview
    ) -> Part:
        md5 = hashlib.md5(view, usedforsecurity=False).digest()
        block = block_id(token, number, offset, md5)
        headers = {"content-md5": base64.b64encode(md5).decode("ascii")}
        self.client.call(target, "PUT", query=_block_query(block), headers=headers, body=view)
        return Part(number, len(view), block, offset, Checksum("md5", md5.hex()))

    def list_parts(self, bucket: str, key: str, upload_id: str) -> list[Part]:
        """The parts that the service holds; none where it has forgotten the upload."""
        self._check(bucket, key)
        token, _ = _upload(upload_id)
        blocks = self._uncommitted(bucket, key)
        return sorted((part for owner, part in blocks if owner == token), key=lambda p: p.number)

    keeps_md5 = True

    def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        md5: bytes | None = None,
    ) -> Stored:
        """Publish. Raises `ObjectNotFound` where the service no longer has all the parts.

        ``md5`` becomes the Content-MD5 that the service tells of the blob. It does not check it.
        """
        self._check(bucket, key)
        _, attributes = _upload(upload_id)
        target = Target("complete", bucket, key)
        size = 0
        root = ET.Element("BlockList")
        for part in parts:
            if part.offset != size:
                raise UsageError(f"{target}: part {part.number} does not begin at byte {size}")
            size += part.size
            ET.SubElement(root, "Uncommitted").text = part.etag
        headers = self._headers(target, attributes)
        if md5 is not None:
            headers["x-ms-blob-content-md5"] = base64.b64encode(md5).decode("ascii")
        stored = self._commit(target, root, headers, size)
        return replace(stored, checksum=_digest_of_parts(parts))

    def _commit(
        self, target: Target, blocks: ET.Element, headers: dict[str, str], size: int
    ) -> Stored:
        body = b'<?xml version="1.0" encoding="utf-8"?>' + ET.tostring(blocks)
        try:
            answer, _ = self.client.call(
                target, "PUT", query={"comp": "blocklist"}, headers=headers, body=body
            )
        except ServiceError:
            raise
        except Exception as error:
            if any(code in str(error) for code in ("InvalidBlockList", "InvalidBlobOrBlock")):
                raise ObjectNotFound(
                    f"{target}: the service no longer has all parts of this upload (another "
                    "upload to the same key was completed, or a week has passed)"
                ) from None
            raise
        value = answer.get("etag")
        return Stored(size=size, etag=value.strip('"') if value else None)

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Nothing to do: see the top of this module."""
        self._check(bucket, key)
        _upload(upload_id)

    def list_uploads(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Unfinished uploads of ours to keys that hold no object yet, without attributes.

        Of those to a key that holds an object the service's listing says nothing.
        """
        self._check_bucket(bucket)
        query = {"restype": "container", "comp": "list", "include": "uncommittedblobs"}
        if prefix:
            query["prefix"] = prefix
        while True:
            _, body = self.client.call(Target("list uploads of", bucket), "GET", query=query)
            page = listing.parse_blobs(body)
            for item in page.items:
                # An uncommitted blob has no content yet: size 0, and never a stored MD5.
                if isinstance(item, Entry) and not item.size and item.checksum is None:
                    blocks = self._uncommitted(bucket, item.key)
                    for token in sorted({owner for owner, _ in blocks}):
                        yield item.key, token
            if not page.next_marker or page.next_marker == query.get("marker"):
                return
            query["marker"] = page.next_marker

    def _uncommitted(self, bucket: str, key: str) -> list[tuple[str, Part]]:
        """(token, part) of every uncommitted block that is ours."""
        target = Target("list parts of", bucket, key)
        query = {"comp": "blocklist", "blocklisttype": "uncommitted"}
        try:
            _, body = self.client.call(target, "GET", query=query)
        except ObjectNotFound as error:
            if type(error) is ObjectNotFound:
                return []
            raise
        found: list[tuple[str, Part]] = []
        try:
            for node in ET.fromstring(body).iter("Block"):  # noqa: S314 - expat bounds entities
                name, size = node.findtext("Name") or "", int(node.findtext("Size") or "")
                if part := _part(name, size):
                    found.append(part)
        except (ET.ParseError, ValueError):
            raise ServiceError(f"{target}: the answer cannot be read") from None
        return found


def block_id(token: str, number: int, offset: int, md5: bytes | None = None) -> str:
    """All ids of a blob must be of one length, at most 64 bytes before base64 ("Put Block").

    The MD5 that the service checked stands in it, so that a later listing of the parts can tell
    what they hold; zeros stand for none.
    """
    if not 1 <= number <= 50_000:
        raise UsageError(f"part {number}: Azure takes 50,000 parts")
    name = f"{token}-{number:05d}-{offset:015d}-".encode() + (md5 or _NO_MD5)
    return base64.b64encode(name).decode("ascii")


def _block_query(block: str) -> dict[str, str]:
    return {"comp": "block", "blockid": block}


def _digest_of_parts(parts: Sequence[Part]) -> Checksum | None:
    """The service checked each block's MD5, and the object is made of exactly these blocks."""
    digests = [p.checksum.value for p in parts if p.checksum and p.checksum.algorithm == "md5"]
    if not parts or len(digests) != len(parts):
        return None
    joined = hashlib.md5(bytes.fromhex("".join(digests)), usedforsecurity=False).hexdigest()
    return Checksum("etag-multipart", f"{joined}-{len(parts)}")


def _part(block: str, size: int) -> tuple[str, Part] | None:
    """Token and part of a block of ours, None for those of other programs."""
    match = _BLOCK.match(base64.b64decode(block))
    if match is None:
        return None
    checksum = None if match[4] == _NO_MD5 else Checksum("md5", match[4].hex())
    return match[1].decode(), Part(int(match[2]), size, block, int(match[3]), checksum)


def _packed(attributes: Attributes) -> str:
    fields: dict[str, Any] = {k: v for k, v in asdict(attributes).items() if v}
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(fields).encode())).decode("ascii")


def _upload(upload_id: str) -> tuple[str, Attributes | None]:
    token, _, packed = upload_id.partition(".")
    problem = None if _TOKEN.match(token) else "it has another form"
    attributes = None
    if packed and problem is None:
        try:
            unpacked = zlib.decompress(base64.urlsafe_b64decode(packed))
            attributes = Attributes(**json.loads(unpacked))
        except (binascii.Error, zlib.error, ValueError, TypeError):
            problem = "it is damaged"
    if problem:
        raise UsageError(f"this is not the id of an upload to Azure: {problem}")
    return token, attributes
