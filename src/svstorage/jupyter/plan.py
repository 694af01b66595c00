"""Turns what was seen into what is to be done: one list for each verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from svstorage.errors import ObjectError
from svstorage.jupyter.decide import Side, Verdict, decide
from svstorage.jupyter.folder import Folder
from svstorage.jupyter.looking import Seen, Sides
from svstorage.jupyter.manifest import Base
from svstorage.jupyter.versions import digest_of, is_settled, local_version, remote_version
from svstorage.model import Entry


@dataclass(slots=True)
class Plan:
    """What is to be done, and what was found on the way."""

    sides: Sides = field(default_factory=Sides)
    known: int = 0
    in_step: int = 0
    too_large: dict[str, int] = field(default_factory=dict)
    todo: dict[Verdict, list[Seen]] = field(default_factory=dict)
    refreshed: list[Base] = field(default_factory=list)
    """Rows whose bytes are the same though the version's name is another."""

    def of(self, verdict: Verdict) -> list[Seen]:
        return self.todo.setdefault(verdict, [])


class Planner:
    """Decides on each file. Reads local files only where nothing else tells."""

    def __init__(
        self,
        folder: Folder,
        *,
        now_ns: int,
        max_size: int,
        undo_deletes: bool = False,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._now_ns = now_ns
        self._max_size = max_size
        self._undo = undo_deletes
        self._check_stop = check_stop

    def plan(self, seen: Iterable[Seen], sides: Sides, note: Callable[[str], None]) -> Plan:
        """The plan of everything in ``seen``; ``note`` hears each key that exists."""
        plan = Plan(sides)
        open_questions: list[Seen] = []
        for one in seen:
            if one.base is not None:
                plan.known += 1
            if one.local is not None or one.remote is not None:
                note(one.key)
            if self._is_in_step(one):
                plan.in_step += 1
            else:
                open_questions.append(one)
        hidden = bool(sides.problems or sides.left_out)
        for one in open_questions:
            if hidden and sides.covers(one):
                continue
            if self._is_too_large(one, plan):
                continue
            self._check_stop()
            try:
                self._decide(one, plan)
            except OSError as error:
                sides.problems[one.key] = f"it cannot be read: {error.strerror or error}"
        return plan

    def _is_in_step(self, one: Seen) -> bool:
        base, local, remote = one.base, one.local, one.remote
        return (
            base is not None
            and local is not None
            and remote is not None
            and base.settled
            and base.listed
            and base.local == local_version(local)
            and base.remote == remote_version(remote)
        )

    def _is_too_large(self, one: Seen, plan: Plan) -> bool:
        size = max(e.size for e in (one.local, one.remote, Entry("", 0)) if e is not None)
        if size <= self._max_size or (one.local is None and one.base is not None):
            return False
        plan.too_large[one.key] = size
        return True

    def _decide(self, one: Seen, plan: Plan) -> None:
        local, remote = self.local_side(one), self.remote_side(one)
        verdict = decide(
            one.base is not None,
            local,
            remote,
            equal=self._equal(one) if local is remote is Side.CHANGED else None,
            undo_deletes=self._undo,
            listed=one.base is None or one.base.listed,
        )
        if verdict is not Verdict.NOTHING:
            plan.of(verdict).append(one)
            return
        plan.in_step += 1
        if one.base is not None and one.local is not None and one.remote is not None:
            row = self.row(one.key, one.local, remote_version(one.remote), one.base.digest)
            if row != one.base:
                plan.refreshed.append(row)

    def local_side(self, one: Seen) -> Side:
        """The folder's side against the memory; by its bytes where its marks are not enough."""
        base, entry = one.base, one.local
        if entry is None:
            return Side.ABSENT
        if base is None or entry.size != base.size:
            return Side.CHANGED
        if base.settled and base.local == local_version(entry):
            return Side.SAME
        same = digest_of(self._folder.path(one.key)) == base.digest
        return Side.SAME if same else Side.CHANGED

    def remote_side(self, one: Seen) -> Side:
        base, entry = one.base, one.remote
        if entry is None:
            return Side.ABSENT
        if base is not None:
            if base.remote == remote_version(entry):
                return Side.SAME
            told = entry.checksum
            if told is not None and (told.algorithm, told.value) == ("md5", base.digest):
                return Side.SAME
        return Side.CHANGED

    def _equal(self, one: Seen) -> bool | None:
        if one.file.size != one.object.size:
            return False
        told = one.object.checksum
        if told is None or told.algorithm != "md5":
            return None
        return digest_of(self._folder.path(one.key)) == told.value

    def row(self, key: str, entry: Entry, remote: str, digest: str, *, listed: bool = True) -> Base:
        """What is to be remembered of a file that is in step."""
        settled = is_settled(entry, self._now_ns)
        return Base(key, local_version(entry), settled, entry.size, digest, remote, listed)


def same_content(
    plan: Plan, candidates: Iterable[Seen], folder: Folder, known: Callable[[], Iterator[Base]]
) -> dict[str, Base]:
    """Which new local files have bytes that the storage holds already: key -> row of another.

    Only files of a size that some row has are read.
    """
    new = [one for one in candidates if one.base is None and one.remote is None]
    sizes = {one.local.size for one in new if one.local is not None and one.local.size}
    if not sizes:
        return {}
    changed = {one.key for v in plan.todo for one in plan.todo[v] if v is not Verdict.DELETE_REMOTE}
    by_digest = {row.digest: row for row in known() if row.size in sizes and row.key not in changed}
    found = {}
    for one in new:
        if one.local is not None and one.local.size in sizes and by_digest:
            try:
                row = by_digest.get(digest_of(folder.path(one.key)))
            except (OSError, ObjectError):
                continue  # the transfer will say what is wrong
            if row is not None:
                found[one.key] = row
    return found
