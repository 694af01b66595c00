"""Deleting many objects, each outcome told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from svstorage.cli.failure import message_of
from svstorage.cli.retrying import PASSING, retrying
from svstorage.cli.state import State
from svstorage.cli.targets import Target

_BATCH = 1000
"""As many as S3's DeleteObjects takes in one request."""


class Deleter:
    """Deletes in batches and counts; a failure is named and does not stop the others."""

    def __init__(self, state: State, *, dry_run: bool = False, quiet: bool = False) -> None:
        self.state = state
        self.out = state.out
        self.quiet = quiet
        self.dry_run = dry_run
        self.deleted = 0
        self.failures = 0

    @property
    def exit_code(self) -> int:
        return 1 if self.failures else 0

    def delete(self, target: Target, keys: Iterable[str]) -> int:
        """Delete ``keys`` of the target's bucket; how many there were."""
        count = 0
        iterator = iter(keys)
        while batch := list(islice(iterator, _BATCH)):
            count += len(batch)
            for key, error in self._outcomes(target, batch):
                if error is not None:
                    self.failed(target, key, message_of(error), type(error).__name__)
                    continue
                self.deleted += 1
                self._done(target, key)
        return count

    def _outcomes(self, target: Target, keys: list[str]) -> Iterator[tuple[str, Exception | None]]:
        if self.dry_run:
            yield from ((key, None) for key in keys)
            return
        again: list[str] = []
        store, bucket = target.store, target.bucket
        for key, error in retrying(lambda: list(store.delete_many(bucket, keys))):
            if isinstance(error, PASSING):
                again.append(key)
            else:
                yield key, error
        for key in again:
            yield key, _one_more_time(target, key)

    def _done(self, target: Target, key: str) -> None:
        address = target.address(key)
        if self.quiet:
            return
        if self.out.json:
            action = "would delete" if self.dry_run else "deleted"
            self.out.record({"action": action, "address": address, "key": key})
        elif self.dry_run:
            self.out.line(f"would delete {address}")
        elif self.out.verbose:
            self.out.note(f"deleted {address}")

    def failed(self, target: Target, key: str, reason: str, kind: str) -> None:
        self.failures += 1
        address = target.address(key)
        text = reason if address in reason else f"{address}: {reason}"
        self.out.failure(text, kind=kind, address=address, exit_code=1)

    def tell(self) -> None:
        """The sum, in one line on stderr."""
        word = "would delete" if self.dry_run else "deleted"
        failed = f", {self.failures} failed" if self.failures else ""
        if not self.out.json:
            noun = "object" if self.deleted == 1 else "objects"
            self.out.note(f"{word} {self.deleted} {noun}{failed}")


def _one_more_time(target: Target, key: str) -> Exception | None:
    try:
        retrying(lambda: target.store.delete(target.bucket, key))
    except Exception as error:  # handed on as this key's outcome
        return error
    return None
