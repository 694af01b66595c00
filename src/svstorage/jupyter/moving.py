"""Carries files by the engine that copies use: its strategies, retries and confirmations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from svstorage.errors import Interrupted, StorageError
from svstorage.model import ObjectInfo
from svstorage.plugins import plugins
from svstorage.providers.base import ObjectReader
from svstorage.providers.local.store import LocalStore
from svstorage.strategies.base import Job
from svstorage.transfer.carry import SERVICE_WIDE, Carrier
from svstorage.transfer.concurrency import AdaptiveConcurrency
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Outcome, Work

_HOPELESS = 8
"""So many failures in a row that speak of the service, and no success: it is not there."""


class AnnotatedFolder(LocalStore):
    """A folder whose files are read with metadata that is not on the disk."""

    notes: Mapping[str, Mapping[str, str]] = {}
    """Key -> metadata to add."""

    def head(self, bucket: str, key: str) -> ObjectInfo:
        return self._annotated(super().head(bucket, key), key)

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> ObjectReader:
        reader = super().read(bucket, key, start=start, length=length, if_match=if_match)
        reader.info = self._annotated(reader.info, key)
        return reader

    def _annotated(self, info: ObjectInfo, key: str) -> ObjectInfo:
        notes = self.notes.get(key)
        if not notes:
            return info
        attributes = info.attributes
        metadata = {**attributes.metadata, **notes}
        return replace(info, attributes=replace(attributes, metadata=metadata))


def move(
    jobs: Iterable[tuple[str, Job]], *, retries: int, stop: StopToken
) -> Iterator[tuple[str, Outcome]]:
    """Carry jobs, each with a name of its own; outcomes come in any order.

    Raises:
        StorageError: the service is gone or refuses everything; what came before was yielded.
        Interrupted: ``stop`` was set.
    """
    registry = plugins().registry
    inner = StopToken()
    options = TransferOptions(retries=retries, journal="none")
    concurrency = AdaptiveConcurrency()
    carrier = Carrier(
        list(registry.strategies.values()),
        options,
        stop=inner,
        throttled=concurrency.slow_down,
    )
    works = (Work(job, name) for name, job in jobs)
    groups = registry.engines["local"].outcomes(works, carrier, concurrency=concurrency, stop=inner)
    in_a_row = 0
    succeeded = False
    fatal: Exception | None = None
    try:
        for group in groups:
            for outcome in group:
                error = outcome.error
                if error is None:
                    succeeded = True
                if isinstance(error, SERVICE_WIDE) and not succeeded:
                    in_a_row += 1
                    if in_a_row >= _HOPELESS and fatal is None:
                        fatal = error
                        inner.stop()
                yield outcome.result.key, outcome
            if stop.stopped:
                inner.stop()
    except Interrupted:
        pass
    finally:
        inner.stop()
        groups.close()
    if isinstance(fatal, StorageError):
        raise fatal
    stop.check()
