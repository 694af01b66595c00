"""What the steps of a pass share, and what they leave behind: the account of the pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ObjectChanged,
    ObjectNotFound,
    StorageError,
)
from svstorage.jupyter.folder import Folder
from svstorage.jupyter.manifest import Manifest
from svstorage.jupyter.moving import AnnotatedFolder
from svstorage.jupyter.names import Conflict
from svstorage.jupyter.place import Options, Target
from svstorage.jupyter.plan import Plan, Planner
from svstorage.model import ObjectInfo
from svstorage.providers.local.store import LocalStore
from svstorage.strategies.base import End
from svstorage.transfer.carry import describe
from svstorage.transfer.retry import retrying
from svstorage.transfer.stop import StopToken
from svstorage.transfer.work import Outcome

Direction = Literal["both", "pull", "push"]
T = TypeVar("T")
_HEADS_AT_ONCE = 16


@dataclass(slots=True)
class Account:
    """How a pass ended. Keys are relative to the folder."""

    pushed: int = 0
    pulled: int = 0
    copied: int = 0
    """New files whose bytes the storage held already: copied there, not sent."""
    deleted_remote: int = 0
    deleted_local: int = 0
    in_step: int = 0
    new_conflicts: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    """All conflicting versions that lie in the folder or the storage."""
    problems: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    """Files that are being written."""
    again: list[str] = field(default_factory=list)
    """Files that changed while they were looked at: the next pass sees to them."""
    held: list[str] = field(default_factory=list)
    """Deletions that wait for a word, one sentence for each side."""
    to_push: list[str] = field(default_factory=list)
    to_pull: list[str] = field(default_factory=list)
    """What this pass was not asked to carry."""

    @property
    def moved(self) -> int:
        done = self.pushed + self.pulled + self.copied + self.deleted_local + self.deleted_remote
        return done + len(self.new_conflicts)

    @property
    def clean(self) -> bool:
        return not (self.problems or self.waiting or self.again or self.held)

    def add(self, later: Account) -> None:
        """Take in the account of a later pass: what was done adds up, the rest is as it is now."""
        for name in ("pushed", "pulled", "copied", "deleted_remote", "deleted_local"):
            setattr(later, name, getattr(self, name) + getattr(later, name))
        later.new_conflicts[:0] = self.new_conflicts
        for name in self.__slots__:
            setattr(self, name, getattr(later, name))


@dataclass(slots=True)
class Bench:
    """One pass under way."""

    folder: Folder
    target: Target
    manifest: Manifest
    options: Options
    stop: StopToken
    planner: Planner
    plan: Plan
    account: Account
    tell: Callable[[str], None] = lambda text: None
    hurry: Callable[[], bool] = lambda: False
    """Whether something new waits for the next pass."""

    def remote_end(self) -> End:
        target = self.target
        return End(target.storage.store, target.bucket, target.prefix, target.base, target.base)

    def local_end(self, notes: dict[str, dict[str, str]] | None = None) -> End:
        store = AnnotatedFolder(self.folder.root, links="skip", single_folder=True)
        store.notes = notes or {}
        return End(store, "", location=str(self.folder.root), base=f"{self.folder.root}/")

    def stage_end(self, stage: Path) -> End:
        store = LocalStore.for_folder(stage, durability="folder")
        return End(store, "", location=str(self.folder.root), base=f"{self.folder.root}/")

    def full(self, key: str) -> str:
        return self.target.prefix + key

    def failed(self, key: str, error: Exception, name: str | None = None) -> None:
        """Take down why a file was not carried. A changing one is no problem: there is a next
        pass; a service that is gone ends this one. ``name``: what it is called while staged."""
        if isinstance(error, BucketNotFound):
            raise error
        if isinstance(error, (ObjectChanged, ObjectNotFound)):
            self.account.again.append(key)
        else:
            text = describe(error)
            self.account.problems[key] = text.replace(name, key) if name else text

    def heads(self, keys: Iterable[str]) -> dict[str, ObjectInfo | None]:
        """The storage's word on some keys, several asked at once. None: there is no object."""
        store, bucket = self.target.storage.store, self.target.bucket

        def ask(key: str) -> ObjectInfo | None:
            self.stop.check()
            try:
                return retrying(lambda: store.head(bucket, self.full(key)), self.stop)
            except BucketNotFound:
                raise
            except (ObjectNotFound, KeyNotSupported):
                return None

        return dict(in_threads(ask, keys))

    def digest_told(self, outcome: Outcome) -> str | None:
        told = outcome.result.checksum
        return told.value if told is not None and told.algorithm == "md5" else None


def in_threads(ask: Callable[[str], T], keys: Iterable[str]) -> list[tuple[str, T]]:
    """(key, answer) of each; the first error is raised once those under way have ended.

    The threads are daemons: a server that has to end does not wait for a storage that stalls.
    """
    names = list(keys)
    if len(names) <= 1:
        return [(key, ask(key)) for key in names]
    answers: dict[str, T] = {}
    errors: list[BaseException] = []
    left = iter(names)
    lock = threading.Lock()

    def work() -> None:
        while not errors:
            with lock:
                key = next(left, None)
            if key is None:
                return
            try:
                answers[key] = ask(key)
            except BaseException as error:  # raised again in the caller's thread
                errors.append(error)

    threads = [
        threading.Thread(target=work, name="svstorage-head", daemon=True)
        for _ in range(min(_HEADS_AT_ONCE, len(names)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [(key, answers[key]) for key in names]


def outcome_or_error(ask: Callable[[str], Any]) -> Callable[[str], Exception | None]:
    """``ask`` with what went wrong as its answer, for work on many keys."""

    def asked(key: str) -> Exception | None:
        try:
            ask(key)
        except (StorageError, OSError) as error:
            return error
        return None

    return asked
