"""Big objects, part by part: several at once, and those that are finished survive a crash."""

from __future__ import annotations

import hashlib
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import cast

from svstorage.addresses import display
from svstorage.errors import ChecksumMismatch, ObjectNotFound
from svstorage.model import Checksum, Part
from svstorage.providers.base import MultipartStore
from svstorage.strategies.attributes import carried
from svstorage.strategies.base import Confirmed, Context, Job
from svstorage.strategies.hashing import HashingBody
from svstorage.strategies.part_plan import PARTS_THRESHOLD, part_ranges, part_size


class PartsStrategy:
    name = "parts"
    summary = "resumable: ranges of the source to parts of the destination, several at once"

    def can_carry(self, job: Job) -> float | None:
        store = job.pair.destination.store
        if store.capabilities.parts is None or not isinstance(store, MultipartStore):
            return None
        if job.entry.size < PARTS_THRESHOLD:
            return None
        return 5.0

    def carry(self, job: Job, context: Context) -> Confirmed:
        return _PartsCopy(job, context).run()


class _PartsCopy:
    """One object on its way."""

    def __init__(self, job: Job, context: Context) -> None:
        self.job = job
        self.context = context
        self.source = job.pair.source
        self.destination = job.pair.destination
        self.multipart = cast(MultipartStore, self.destination.store)
        self.digests: dict[int, bytes] = {}
        self.moved = 0
        self.count = 0

    def run(self) -> Confirmed:
        upload_id, part, finished = self._resume() or self._begin()
        done = {p.number: p for p in finished}
        ranges = part_ranges(self.job.entry.size, part)
        self.count = len(ranges)
        missing = [r for r in ranges if r[0] not in done]
        for known in finished:
            self.context.progress(known.size)
            if known.checksum is not None and known.checksum.algorithm == "md5":
                self.digests[known.number] = bytes.fromhex(known.checksum.value)
        self._carry_all(upload_id, missing, done)
        parts = [done[number] for number in sorted(done)]
        stored = self.multipart.complete_upload(
            self.destination.bucket, self.job.destination_key, upload_id, parts
        )
        self.context.parts.forget()
        return Confirmed(stored, sent=self._sent(), source=self.job.entry, bytes_sent=self.moved)

    def _begin(self) -> tuple[str, int, list[Part]]:
        capabilities = self.destination.store.capabilities
        assert capabilities.parts is not None
        size = part_size(self.job.entry.size, capabilities.parts)
        info = self.source.store.head(self.source.bucket, self.job.entry.key)
        attributes, modified_ns = carried(
            info, self.source.store.capabilities, capabilities, tags=self.context.tags
        )
        upload_id = self.multipart.start_upload(
            self.destination.bucket,
            self.job.destination_key,
            size=self.job.entry.size,
            attributes=attributes,
            modified_ns=modified_ns,
        )
        self.context.parts.begin(upload_id, size)
        return upload_id, size, []

    def _resume(self) -> tuple[str, int, list[Part]] | None:
        """The upload of an earlier run, with the parts that journal and service agree on."""
        known = self.context.parts.upload()
        if known is None:
            return None
        upload_id, part, journalled = known
        try:
            held = self.multipart.list_parts(
                self.destination.bucket, self.job.destination_key, upload_id
            )
        except ObjectNotFound:
            self.context.parts.forget()
            return None
        by_number = {p.number: p for p in held}
        agreed = [
            other
            for p in journalled
            if (other := by_number.get(p.number)) is not None
            and (other.size, other.etag) == (p.size, p.etag)
        ]
        return upload_id, part, agreed

    def _carry_all(
        self, upload_id: str, missing: list[tuple[int, int, int]], done: dict[int, Part]
    ) -> None:
        threads = max(1, min(self.context.part_threads, len(missing)))
        if threads == 1:
            for number, offset, length in missing:
                done[number] = self._carry_part(upload_id, number, offset, length)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="svstorage-part") as pool:
            futures: list[Future[Part]] = [
                pool.submit(self._carry_part, upload_id, *ranges) for ranges in missing
            ]
            wait(futures, return_when=FIRST_EXCEPTION)
            # On a failure the parts not yet begun are dropped; those under way end and count.
            pool.shutdown(wait=True, cancel_futures=True)
        for future in futures:
            if not future.cancelled() and future.exception() is None:
                part = future.result()
                done[part.number] = part
        for future in futures:
            if not future.cancelled():
                future.result()

    def _carry_part(self, upload_id: str, number: int, offset: int, length: int) -> Part:
        entry = self.job.entry
        self.context.check_stop()
        with self.source.store.read(
            self.source.bucket, entry.key, start=offset, length=length, if_match=entry.etag
        ) as reader:
            body = HashingBody(
                reader,
                size=length,
                name=f"{display(entry.key)} (part {number})",
                hashed=self.context.verify == "checksum",
                progress=self.context.progress,
                check_stop=self.context.check_stop,
            )
            part = self.multipart.put_part(
                self.destination.bucket,
                self.job.destination_key,
                upload_id,
                number=number,
                offset=offset,
                size=length,
                body=body,
            )
        self.moved += length
        sent = body.checksum
        if sent is not None:
            told = part.checksum
            if told is not None and told.algorithm == sent.algorithm and told != sent:
                raise ChecksumMismatch(
                    f"{display(entry.key)}: part {number} arrived with other bytes (MD5)"
                )
            self.digests[number] = bytes.fromhex(sent.value)
        self.context.parts.finished(part)
        return part

    def _sent(self) -> Checksum | None:
        """S3's rule for the ETag of a multipart object: the MD5 of its parts' MD5s, and their
        count. None where the digest of a part is not known."""
        if not self.digests or sorted(self.digests) != list(range(1, self.count + 1)):
            return None
        joined = b"".join(self.digests[number] for number in sorted(self.digests))
        digest = hashlib.md5(joined, usedforsecurity=False).hexdigest()
        return Checksum("etag-multipart", f"{digest}-{self.count}")
