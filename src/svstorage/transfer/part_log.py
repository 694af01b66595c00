"""The memory of unfinished uploads: in the journal, or for the tries of one run only."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Protocol, cast

from svstorage.addresses import display
from svstorage.errors import ObjectNotFound, StorageError
from svstorage.model import Entry, Part
from svstorage.providers.base import MultipartStore
from svstorage.strategies.base import End, PartLog
from svstorage.transfer.journal import Journal

log = logging.getLogger(__name__)


class RunPartLog(PartLog, Protocol):
    """A part log that hears when a run has done with its object."""

    def ended(self, *, failed: bool) -> None: ...


def abort(end: End, key: str, upload_id: str) -> None:
    """Drop an upload that nobody will go on with. That it fails costs no object.

    An empty ``upload_id`` is that of an upload that was about to begin when its run died:
    whatever the service then holds for the key is dropped. A living upload of another program
    to the same key, if there is one, begins anew.
    """
    store = cast(MultipartStore, end.store)
    with contextlib.suppress(OSError):
        try:
            if upload_id:
                store.abort_upload(end.bucket, key, upload_id)
                return
            for other, begun in list(store.list_uploads(end.bucket, key)):
                if other == key:
                    store.abort_upload(end.bucket, key, begun)
        except ObjectNotFound:
            return  # rclone's way to say that there are no uploads
        except StorageError as error:
            log.warning("an unfinished upload of %s was left behind: %s", display(key), error)


class ToldPartLog:
    """Another part log, whose finished parts are told."""

    def __init__(self, log: PartLog, told: Callable[[Part], None]) -> None:
        self._log = log
        self._told = told
        self.upload = log.upload
        self.begin = log.begin
        self.forget = log.forget

    def finished(self, part: Part) -> None:
        self._log.finished(part)
        self._told(part)


class JournalPartLog:
    """The part log of one object, kept in the journal (see `svstorage.strategies.base.PartLog`).

    An upload of another version of the source is dropped at the service.
    """

    def __init__(
        self, journal: Journal, key: str, source: Entry, end: End, destination_key: str
    ) -> None:
        self._journal = journal
        self._key = key
        self._source = source
        self._end = end
        self._destination_key = destination_key

    def upload(self) -> tuple[str, int, list[Part]] | None:
        known = self._journal.upload(self._key, self._source)
        if known is None or not known[0]:
            known = None
            stale = self._journal.unfinished(self._key)
            if stale is not None:
                abort(self._end, *stale)
                self.forget()
        return known

    def begin(self, upload_id: str, part_size: int) -> None:
        self._journal.begin_upload(
            self._key, self._source, self._destination_key, upload_id, part_size
        )

    def finished(self, part: Part) -> None:
        self._journal.part_finished(self._key, part)

    def forget(self) -> None:
        self._journal.forget_upload(self._key)

    def ended(self, *, failed: bool) -> None:
        """The upload of a failed object waits for the next run."""


class MemoryPartLog:
    """For runs without a journal: further tries of one run go on, and nothing is left behind."""

    def __init__(self, end: End, destination_key: str) -> None:
        self._end = end
        self._destination_key = destination_key
        self._upload: tuple[str, int] | None = None
        self._parts: dict[int, Part] = {}

    def upload(self) -> tuple[str, int, list[Part]] | None:
        if self._upload is None or not self._upload[0]:
            return None
        return (*self._upload, list(self._parts.values()))

    def begin(self, upload_id: str, part_size: int) -> None:
        self._upload = upload_id, part_size
        self._parts = {}

    def finished(self, part: Part) -> None:
        self._parts[part.number] = part

    def forget(self) -> None:
        self._upload = None
        self._parts = {}

    def ended(self, *, failed: bool) -> None:
        """Nobody comes back for what is not finished now."""
        if failed and self._upload is not None and self._upload[0]:
            abort(self._end, self._destination_key, self._upload[0])
            self.forget()
