"""Copies inside one service: the bytes never come here."""

from __future__ import annotations

from svstorage.providers.base import CopiesAcross
from svstorage.strategies.base import Confirmed, Context, Job, Pair, PairMemo


class ServerSideStrategy:
    """Asks the service (or the kernel) to copy."""

    name = "server-side"
    summary = "a copy made by the service itself (on a local disk: reflink or copy_file_range)"

    def __init__(self) -> None:
        self._able = PairMemo(_able)

    def can_carry(self, job: Job) -> float | None:
        return 1.0 if self._able(job.pair) else None

    def carry(self, job: Job, context: Context) -> Confirmed:
        source, destination = job.pair.source, job.pair.destination
        context.check_stop()
        # Without attributes, those of the source stay: the time it records among them.
        across = None if job.pair.same_service else _across(job.pair)
        if across is not None:
            stored = across.copy_from(
                source.store, source.bucket, job.entry, destination.bucket, job.destination_key
            )
        else:
            stored = destination.store.copy(
                source.bucket, job.entry, destination.bucket, job.destination_key
            )
        context.progress(job.entry.size)
        return Confirmed(stored, sent=None, source=job.entry)


def _able(pair: Pair) -> bool:
    if pair.same_service:
        return pair.destination.store.capabilities.server_side_copy
    return _across(pair) is not None


def _across(pair: Pair) -> CopiesAcross | None:
    store = pair.destination.store
    if isinstance(store, CopiesAcross) and store.copies_from(pair.source.store):
        return store
    return None
