"""The decision on one file: every combination, and that no version is ever lost by it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svstorage.jupyter.decide import Side, Verdict, decide, held

ABSENT, SAME, CHANGED = Side.ABSENT, Side.SAME, Side.CHANGED

TABLE = {
    # known, local, remote -> verdict
    (False, ABSENT, ABSENT): Verdict.NOTHING,
    (False, CHANGED, ABSENT): Verdict.PUSH,
    (False, ABSENT, CHANGED): Verdict.PULL,
    (False, CHANGED, CHANGED): Verdict.COMPARE,
    (True, ABSENT, ABSENT): Verdict.FORGET,
    (True, SAME, SAME): Verdict.NOTHING,
    (True, CHANGED, SAME): Verdict.PUSH,
    (True, SAME, CHANGED): Verdict.PULL,
    (True, CHANGED, CHANGED): Verdict.COMPARE,
    (True, ABSENT, SAME): Verdict.DELETE_REMOTE,
    (True, SAME, ABSENT): Verdict.DELETE_LOCAL,
    (True, ABSENT, CHANGED): Verdict.PULL,
    (True, CHANGED, ABSENT): Verdict.PUSH,
}


@pytest.mark.parametrize(("case", "verdict"), TABLE.items(), ids=str)
def test_every_combination(case: tuple[bool, Side, Side], verdict: Verdict) -> None:
    assert decide(*case) is verdict


def test_the_table_is_whole() -> None:
    possible = {
        (known, local, remote)
        for known, local, remote in product((False, True), Side, Side)
        if known or SAME not in (local, remote)
    }
    assert possible == set(TABLE)


contents = st.one_of(st.none(), st.sampled_from("abc"))


@given(base=contents, local=contents, remote=contents, undo=st.booleans(), looked=st.booleans())
def test_no_version_is_lost(
    base: str | None, local: str | None, remote: str | None, undo: bool, looked: bool
) -> None:
    """Whatever the verdict does, what was new on a side is somewhere afterwards."""
    verdict = decide(
        base is not None,
        _side(local, base),
        _side(remote, base),
        equal=(local == remote) if looked else None,
        undo_deletes=undo,
    )
    before = {content for content in (local, remote) if content is not None and content != base}
    after_local, after_remote, kept = _carried(verdict, local, remote)
    assert before <= {after_local, after_remote, kept}
    if base is not None and local == base and remote == base:
        assert (after_local, after_remote) == (base, base)


@given(base=contents, local=contents, remote=contents, undo=st.booleans())
def test_both_sides_end_alike(
    base: str | None, local: str | None, remote: str | None, undo: bool
) -> None:
    """And deciding again on what came out of it finds nothing to do."""
    verdict = decide(
        base is not None,
        _side(local, base),
        _side(remote, base),
        equal=local == remote,
        undo_deletes=undo,
    )
    after_local, after_remote, _ = _carried(verdict, local, remote)
    assert after_local == after_remote
    again = decide(
        after_local is not None, _side(after_local, after_local), _side(after_remote, after_local)
    )
    assert again is Verdict.NOTHING


def test_a_version_that_nobody_can_have_seen_is_not_deleted() -> None:
    assert decide(True, SAME, ABSENT, listed=False) is Verdict.PUSH
    assert decide(True, SAME, ABSENT, listed=True) is Verdict.DELETE_LOCAL
    assert decide(True, ABSENT, ABSENT, listed=False) is Verdict.FORGET
    assert decide(True, ABSENT, SAME, listed=False) is Verdict.DELETE_REMOTE


@given(local=contents, remote=contents)
def test_an_unseen_overwrite_keeps_both(local: str | None, remote: str | None) -> None:
    assert decide(True, SAME, CHANGED, descends=False) is Verdict.CONFLICT
    assert decide(True, SAME, SAME, descends=False) is Verdict.NOTHING


def _side(content: str | None, base: str | None) -> Side:
    if content is None:
        return ABSENT
    return SAME if content == base else CHANGED


def _carried(
    verdict: Verdict, local: str | None, remote: str | None
) -> tuple[str | None, str | None, str | None]:
    """(folder, storage, conflict copy) after a verdict was carried out."""
    match verdict:
        case Verdict.PUSH:
            return local, local, None
        case Verdict.PULL:
            return remote, remote, None
        case Verdict.DELETE_LOCAL | Verdict.DELETE_REMOTE:
            return None, None, None
        case Verdict.CONFLICT:
            return remote, remote, local
        case Verdict.COMPARE:
            return local, remote, None
    return local, remote, None


HOLD = {
    "present": 5, "known": 10, "trusted": True, "was_held": False, "accepted": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"present": 0}, "empty"),
        ({"present": 0, "accepted": True}, None),
        ({"trusted": False}, "could not be read"),
        ({"trusted": False, "accepted": True}, "could not be read"),
        ({"was_held": True}, "before"),
        ({"was_held": True, "accepted": True}, None),
    ],
)
def test_deletions_are_held(change: dict, reason: str | None) -> None:
    why = held(3, **{**HOLD, **change})
    assert (why is None) if reason is None else reason in (why or "")


def test_too_many_deletions_are_held() -> None:
    """The rule of the contract: 10 % or 1,000, whichever is larger."""
    assert held(1000, **{**HOLD, "known": 2000}) is None
    assert held(1001, **{**HOLD, "known": 2000}) is not None
    assert held(2000, **{**HOLD, "known": 20_000}) is None
    assert held(2001, **{**HOLD, "known": 20_000}) is not None
    assert held(0, **{**HOLD, "present": 0}) is None
