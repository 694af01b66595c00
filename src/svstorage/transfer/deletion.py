"""Deleting what the source no longer has: last of all, and only when everything else is well."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from svstorage.errors import StorageError
from svstorage.model import key_order
from svstorage.strategies.base import End
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.report import Counters
from svstorage.transfer.retry import ATTEMPTS, PASSING, pause
from svstorage.transfer.stop import StopToken

BATCH = 1_000
LEAST_ALLOWED = 1_000
SHARE_ALLOWED = 0.10


@dataclass(slots=True)
class Trust:
    """What the listings were worth; deletions ask this."""

    source_complete: bool = False
    destination_complete: bool = False
    problems: int = 0
    source_objects: int = 0
    destination_objects: int = 0


class Deletions:
    """Keys to delete, spooled to a temporary file so that any number of them fits."""

    IN_MEMORY = 1 << 20

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(max_size=self.IN_MEMORY)  # noqa: SIM115
        self.count = 0

    def add(self, key: str) -> None:
        raw = key_order(key)
        self._spool.write(struct.pack("<I", len(raw)) + raw)
        self.count += 1

    def batches(self) -> Iterator[list[str]]:
        self._spool.seek(0)
        batch: list[str] = []
        while head := self._spool.read(4):
            raw = self._spool.read(struct.unpack("<I", head)[0])
            batch.append(raw.decode("utf-8", "surrogateescape"))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def close(self) -> None:
        self._spool.close()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is deleted. ``exit_code`` 2: the request is unsafe, and another option mends it,
    though the copies have been made by now; 1: something failed."""

    reason: str
    exit_code: int = 1


def refusal(
    deletions: Deletions, trust: Trust, counters: Counters, options: TransferOptions
) -> Refusal | None:
    """The rules of contract section 4, promise 8; None where deleting is in order."""
    if not trust.source_complete or not trust.destination_complete:
        return Refusal("a listing did not come to its end, so nothing was deleted")
    if trust.problems:
        return Refusal("part of a tree could not be read, so nothing was deleted")
    if counters.failed or counters.left:
        return Refusal("not everything was copied, so nothing was deleted")
    if not deletions.count:
        return None
    if not trust.source_objects and not options.allow_empty_source:
        return Refusal(
            "the source is empty, so nothing was deleted. Is it mounted, is the prefix right? "
            "To empty the destination on purpose: --allow-empty-source",
            exit_code=2,
        )
    allowed = options.max_delete
    if allowed is None:
        allowed = max(LEAST_ALLOWED, int(trust.destination_objects * SHARE_ALLOWED))
    if deletions.count > allowed:
        made = "" if options.dry_run else "; what was to be copied is copied"
        return Refusal(
            f"{deletions.count} objects would be deleted, more than --max-delete allows "
            f"({allowed}), so nothing was deleted{made}. If it is meant: "
            f"--max-delete {deletions.count}",
            exit_code=2,
        )
    return None


def delete(
    end: End, deletions: Deletions, *, dry_run: bool, stop: StopToken
) -> Iterator[tuple[str, Exception | None]]:
    """Delete batch by batch until told to stop; yields each key with its outcome.

    What fails for a passing reason is asked again. Deleting what is gone is no error, so that
    this is safe.
    """
    for batch in deletions.batches():
        if stop.stopped:
            return
        if dry_run:
            yield from ((key, None) for key in batch)
            continue
        left = batch
        for attempt in range(1, ATTEMPTS + 1):
            failed: dict[str, Exception] = {}
            for key, error in _deleted(end, left):
                if error is not None and isinstance(error, PASSING) and attempt < ATTEMPTS:
                    failed[key] = error
                else:
                    yield key, error
            if not failed:
                break
            if not pause(attempt, next(iter(failed.values())), stop):
                yield from failed.items()
                return
            left = list(failed)


def _deleted(end: End, keys: list[str]) -> Iterator[tuple[str, Exception | None]]:
    """One outcome for each key, also where the call itself fails half-way."""
    open_keys = dict.fromkeys(keys)
    try:
        for key, error in end.store.delete_many(end.bucket, keys):
            open_keys.pop(key, None)
            yield key, error
    except (StorageError, OSError) as error:
        for key in open_keys:
            yield key, error
