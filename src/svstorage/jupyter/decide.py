"""What to do about one file: a pure function of both sides and their last common state.

No time decides anything. A side is the same as last time, has changed, or is absent; where both
changed, only equal bytes end the question.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from svstorage.transfer.deletion import LEAST_ALLOWED, SHARE_ALLOWED


class Side(Enum):
    """One side of a file, compared with the last common state. New is ``CHANGED``."""

    ABSENT = "absent"
    SAME = "same"
    CHANGED = "changed"


class Verdict(Enum):
    """What is to be done."""

    NOTHING = "nothing"
    PUSH = "push"
    PULL = "pull"
    DELETE_REMOTE = "delete in the storage"
    DELETE_LOCAL = "delete in the folder"
    ADOPT = "adopt"
    """Both sides hold the same bytes: only remember it."""
    FORGET = "forget"
    COMPARE = "compare"
    """Both changed: look whether the bytes are the same, then ask again."""
    CONFLICT = "conflict"
    """Keep both: the storage's version under the name, the folder's under a further name."""


Deletes = Literal["carry", "accept", "undo"]
"""``carry`` a deletion to the other side (within `held`), ``accept`` also those that were held
back, or ``undo`` them: what is missing on one side is brought back from the other."""


def decide(
    known: bool,
    local: Side,
    remote: Side,
    *,
    equal: bool | None = None,
    descends: bool = True,
    undo_deletes: bool = False,
    listed: bool = True,
) -> Verdict:
    """The verdict on one file.

    Args:
        known: there is a last common state. Without one no side can be ``SAME``.
        local, remote: both sides against it.
        equal: whether both sides hold the same bytes; None where nobody has looked.
        descends: False where the storage's version is known not to build upon the one that the
            folder has: somebody overwrote what we had sent without having seen it.
        undo_deletes: bring back what one side deleted.
        listed: False where we have sent the version and never saw it in the storage since: whoever
            deleted the file there may have meant the version before.
    """
    absent, same, changed = Side.ABSENT, Side.SAME, Side.CHANGED
    if local is absent and remote is absent:
        return Verdict.FORGET if known else Verdict.NOTHING
    if local is same and remote is same:
        return Verdict.NOTHING
    if local is changed and remote is changed:
        if equal is None:
            return Verdict.COMPARE
        return Verdict.ADOPT if equal else Verdict.CONFLICT
    if remote is absent:
        # An edit outweighs a deletion; a file that was not edited follows it.
        send = local is changed or undo_deletes or not listed
        return Verdict.PUSH if send else Verdict.DELETE_LOCAL
    if local is absent:
        return Verdict.PULL if remote is changed or undo_deletes else Verdict.DELETE_REMOTE
    if local is changed:
        return Verdict.PUSH
    return Verdict.PULL if descends else Verdict.CONFLICT


def held(
    deletions: int,
    *,
    present: int,
    known: int,
    trusted: bool,
    was_held: bool,
    accepted: bool,
) -> str | None:
    """Why deletions that one side asks of the other are held back; None where they may go.

    Args:
        deletions: how many.
        present: files on the side that asks. An empty side is one that is not mounted, or a
            prefix that is wrong, until somebody says otherwise.
        known: files of the last common state.
        trusted: the side was read in full.
        was_held: the last pass held some back; then they wait for a word, so that a side that
            fills up again does not set off what was held.
        accepted: somebody said so.
    """
    if not deletions:
        return None
    if not trusted:
        return "part of that side could not be read"
    if accepted:
        return None
    if not present:
        return "that side is empty"
    if was_held:
        return "they were held back before"
    if deletions > max(LEAST_ALLOWED, int(known * SHARE_ALLOWED)):
        return "they are too many to be done unasked"
    return None
