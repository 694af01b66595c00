"""Small objects with several requests under way in one thread: see `PipelinedStore`."""

from __future__ import annotations

from dataclasses import dataclass

from svstorage.model import Attributes, Entry, ObjectInfo, Stored
from svstorage.providers.s3.objects import Objects
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
        headers = self.put_headers(target, attributes, md5)
        request = self.wire.send(target, "PUT", headers=headers, body=body)
        return PutUnderWay(target, request, size, md5)

    def receive_put(self, sent: PutUnderWay) -> Stored:
        answer = self.wire.receive(sent.target, sent.request).headers
        return self.stored_by(sent.target, sent.size, sent.md5, answer)

    def send_get(self, bucket: str, entry: Entry) -> GetUnderWay:
        target = self.target("GetObject", bucket, entry.key)
        self.check_readable(target)
        request = self.wire.send(target, "GET", headers=self.whole_headers(entry))
        return GetUnderWay(target, request, entry)

    def receive_get(self, sent: GetUnderWay) -> tuple[bytes, ObjectInfo]:
        answer = self.wire.receive(sent.target, sent.request)
        return bytes(answer.body), self.read_info(sent.target, sent.entry, answer.headers)
