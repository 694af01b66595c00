"""Folder markers: zero-byte keys that end in ``/``; on a local disk, empty folders."""

from __future__ import annotations

from svstorage.model import Attributes
from svstorage.strategies.base import Confirmed, Context, Job


class MarkerStrategy:
    name = "marker"
    summary = "folder markers and empty folders"

    def can_carry(self, job: Job) -> float | None:
        return 0.5 if job.entry.is_folder_marker and job.destination_key.endswith("/") else None

    def carry(self, job: Job, context: Context) -> Confirmed:
        destination = job.pair.destination
        stored = destination.store.put(
            destination.bucket, job.destination_key, b"", size=0, attributes=Attributes()
        )
        return Confirmed(stored)
