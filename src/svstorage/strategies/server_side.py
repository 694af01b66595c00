"""Copies inside one service: the bytes never come here."""

from __future__ import annotations

from svstorage.strategies.base import Confirmed, Context, Job


class ServerSideStrategy:
    name = "server-side"
    summary = "a copy made by the service itself (on a local disk: reflink or copy_file_range)"

    def can_carry(self, job: Job) -> float | None:
        pair = job.pair
        if not pair.same_service or not pair.destination.store.capabilities.server_side_copy:
            return None
        return 1.0

    def carry(self, job: Job, context: Context) -> Confirmed:
        source, destination = job.pair.source, job.pair.destination
        context.check_stop()
        stored = destination.store.copy(
            source.bucket, job.entry, destination.bucket, job.destination_key
        )
        context.progress(job.entry.size)
        return Confirmed(stored, sent=None, source=job.entry)
