"""Listings that must not be believed, or are asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import Tree
from tests.servers.scripted import Answer, Asked, ScriptedS3, error, page

pytestmark = pytest.mark.faults


KEYS: Tree = {f"k{n:03}": b"%d" % n for n in range(40)}


def lists(service: ScriptedS3, *pages: bytes | Answer) -> None:
    """The listing gives these pages, one after the other, then the last for ever."""
    asked_for: list[str] = []

    def listing(asked: Asked) -> bytes | Answer:
        token = asked.query.get("continuation-token", "")
        number = int(token) if token.isdecimal() else 0
        asked_for.append(token)
        assert len(asked_for) < 500, "endless"
        return pages[min(number, len(pages) - 1)]

    service.listing = listing


def part_of(start: int, end: int) -> Tree:
    return dict(list(KEYS.items())[start:end])


BROKEN_LISTINGS: dict[str, Any] = {
    "out of order": (page(dict(reversed(list(KEYS.items())))),),
    "the same key on two pages": (
        page(part_of(0, 20), token="1", truncated=True),
        page(part_of(19, 40)),
    ),
    "the same page again": (
        page(part_of(0, 20), token="1", truncated=True),
        page(part_of(0, 20), token="2", truncated=True),
        page(part_of(20, 40)),
    ),
    "a token that leads back to itself": (
        page(part_of(0, 20), token="1", truncated=True),
        page({}, token="1", truncated=True),
    ),
    "truncated without a token": (page(part_of(0, 20), truncated=True),),
    "a page that is no XML": (
        page(part_of(0, 20), token="1", truncated=True),
        b"<html>welcome to the wifi of this hotel</html>",
    ),
    "a page cut in the middle": (
        page(part_of(0, 20), token="1", truncated=True),
        page(part_of(20, 40))[:-300],
    ),
    "the second page always 500": (
        page(part_of(0, 20), token="1", truncated=True),
        error(500, "InternalError"),
    ),
    "the second page 403": (
        page(part_of(0, 20), token="1", truncated=True),
        error(403, "AccessDenied"),
    ),
}


@row("M14", "a listing out of order, repeated, endless, cut, or failing on a later page",
     "exit 1 or 3, the listing named; never a gap, nothing deleted", contract="8 9")  # fmt: skip
@pytest.mark.parametrize("how", list(BROKEN_LISTINGS))
@pytest.mark.parametrize("side", ["source", "destination"])
def test_broken_listing(how: str, side: str, down: Journey, up: Journey, tmp_path: Path) -> None:
    copy = down if side == "source" else up
    service = copy.source.server if side == "source" else copy.destination.server  # type: ignore[attr-defined]
    if side == "source":
        copy.fill(dict(KEYS), before={"old": b"old", "k001": b"before"})
    else:
        copy.fill({"k001": b"1"}, before=dict(KEYS))
    lists(service, *BROKEN_LISTINGS[how])
    done = copy.run("--delete", "--max-delete", "1000", timeout=40)
    assert done.code in (1, 3), done.explained
    found = copy.destination.read()
    assert set(copy.before) <= set(found), "something was deleted on the word of a bad listing"
    copy.holds_versions()
    copy.told_no_secret(done)
    service.listing = None
    done = copy.run("--delete", "--max-delete", "1000")
    assert done.code == 0, done.explained
    assert copy.destination.read() == copy.tree


@row("M15", "a listing page that fails once", "asked for again; exit 0, nothing missing",
     contract="9")  # fmt: skip
@pytest.mark.parametrize("status", [500, 503])
def test_listing_fails_once(status: int, down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    copy.fill(dict(KEYS))
    failed: list[Asked] = []

    def answer(asked: Asked) -> Answer | None:
        if "list-type" in asked.query and len(failed) < 2:
            failed.append(asked)
            return error(status, "SlowDown")
        return None

    service.answer = answer
    copy.check(copy.run(), 0)
    assert len(failed) == 2


BOMBS = {
    "billion laughs": b'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (97 + n, b"&%c;" % (96 + n) * 10) for n in range(1, 9))
    + b"]><ListBucketResult>&i;</ListBucketResult>",
    "deep nesting": b"<ListBucketResult>" + b"<a>" * 200_000,
}


@row("M49", "hostile XML, a Content-Length of 10 GB with no body", "exit 1 or 3, bounded memory")
@pytest.mark.parametrize("how", [*BOMBS, "10 GB announced"])
def test_bombs(how: str, down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    copy.fill({"k": b"k"})
    if how in BOMBS:
        service.listing = lambda asked: BOMBS[how]
    else:
        service.listing = lambda asked: Answer(body=b"<ListBucketResult>", length=10 * 1000**3)
    limits = {"RLIMIT_AS": 3 << 30}
    done = copy.run(timeout=40, limits=limits)
    copy.check(done, {1, 3})
    assert not copy.destination.read()
