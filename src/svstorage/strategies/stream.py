"""From any store to any other: one read, one put, hashed on the way."""

from __future__ import annotations

from svstorage.addresses import display
from svstorage.strategies.attributes import carried, tagged
from svstorage.strategies.base import Confirmed, Context, Job
from svstorage.strategies.crc import Crc, computable, wanted_crc
from svstorage.strategies.digest import told_part
from svstorage.strategies.hashing import HashingBody


class StreamStrategy:
    name = "stream"
    summary = "one read and one put, for any pair of storages"

    def can_carry(self, job: Job) -> float | None:
        limits = job.pair.destination.store.capabilities.parts
        if limits is not None and job.entry.size > limits.max_single_put:
            return None
        return 10.0

    def carry(self, job: Job, context: Context) -> Confirmed:
        source, destination = job.pair.source, job.pair.destination
        entry = job.entry
        part = told_part(source, entry) if context.verify == "checksum" else None
        with source.store.read(source.bucket, entry.key, if_match=entry.etag) as reader:
            attributes, modified_ns = carried(
                tagged(source, reader.info, wanted=context.tags),
                source.store.capabilities,
                destination.store.capabilities,
                tags=context.tags,
            )
            hashed = context.verify == "checksum"
            crc, told_crc = None, reader.info.crc if hashed else None
            if told_crc is not None and computable(told_crc):
                crc = Crc(told_crc.algorithm)
                # Both would be of the same bytes, and a service is to confirm by the MD5.
                hashed = not destination.store.capabilities.is_local
            elif hashed:
                crc, told_crc = wanted_crc(job), None
            body = HashingBody(
                reader,
                size=entry.size,
                name=display(entry.key),
                expected=entry.checksum,
                part=part,
                hashed=hashed,
                crc=crc,
                told_crc=told_crc,
                progress=context.progress,
                check_stop=context.check_stop,
            )
            stored = destination.store.put(
                destination.bucket,
                job.destination_key,
                body,
                size=entry.size,
                attributes=attributes,
                modified_ns=modified_ns,
            )
        return Confirmed(
            stored,
            sent=body.checksum,
            source=entry,
            crc=crc.checksum() if crc is not None else None,
            bytes_sent=body.count,
        )
