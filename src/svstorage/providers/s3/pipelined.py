"""Small objects with several requests under way in one thread: see `PipelinedStore`."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from svstorage.model import Attributes, Entry, ObjectInfo, Stored
from svstorage.providers.s3 import attributes as attrs
from svstorage.providers.s3.objects import Objects, check_confirmed
from svstorage.providers.s3.quick import UnderWay
from svstorage.providers.target import Target


@dataclass(frozen=True, slots=True)
class PutUnderWay:
    """A put that was sent and not yet answered."""

    target: Target
    request: UnderWay
    size: int
    md5: bytes | None


@dataclass(frozen=True, slots=True)
class GetUnderWay:
    """A get that was sent and not yet answered."""

    target: Target
    request: UnderWay
    entry: Entry


class Pipelined(Objects):
    """The part of the store that sends a request before the last one is answered."""

    @property
    def pipelines(self) -> bool:
        return self.wire.is_quick

    def send_put(
        self,
        bucket: str,
        key: str,
        body: bytes | memoryview,
        *,
        attributes: Attributes | None,
        md5: bytes | None,
    ) -> PutUnderWay:
        target = self.target("PutObject", bucket, key)
        size = len(body)
        self.check_writable(target, size)
        headers = attrs.to_headers(target, attributes)
        if md5 is not None:
            headers["content-md5"] = base64.b64encode(md5).decode("ascii")
        return PutUnderWay(
            target, self.wire.send(target, "PUT", headers=headers, body=body), size, md5
        )

    def receive_put(self, sent: PutUnderWay) -> Stored:
        answer = self.wire.receive(sent.target, sent.request).headers
        etag = attrs.unquoted(answer.get("etag"))
        checksum = attrs.confirmed_checksum(sent.target.bucket, etag, answer)
        check_confirmed(sent.target, sent.md5, checksum)
        return Stored(sent.size, etag, checksum, crc=self.crc_in(answer))

    def send_get(self, bucket: str, entry: Entry) -> GetUnderWay:
        target = self.target("GetObject", bucket, entry.key)
        self.check_readable(target)
        request = self.wire.send(target, "GET", headers=self.whole_headers(entry))
        return GetUnderWay(target, request, entry)

    def receive_get(self, sent: GetUnderWay) -> tuple[bytes, ObjectInfo]:
        answer = self.wire.receive(sent.target, sent.request)
        return bytes(answer.body), self.read_info(sent.target, sent.entry, answer.headers)
