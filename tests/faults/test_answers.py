"""Answers that no real server here would give: listings and transfers not to be believed.

The service is scripted (`tests.servers.scripted`), since no real one can be made to lie so.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.faults.command import Cli
from tests.faults.journey import Journey
from tests.faults.rows import row
from tests.faults.sides import KIB, Tree, sample
from tests.servers.scripted import Answer, Asked, ScriptedS3, error

pytestmark = pytest.mark.faults


KEYS: Tree = {f"k{n:03}": b"%d" % n for n in range(40)}


def changes(service: ScriptedS3, key: str, versions: list[bytes], *, after: int) -> None:
    """After every ``after`` reads of the object it is overwritten with the next version."""
    reads: list[Asked] = []

    def answer(asked: Asked) -> Answer | None:
        if asked.method == "GET" and asked.key == key:
            reads.append(asked)
            if len(reads) % after == 0 and versions:
                with service.lock:
                    given = service.honest(asked)
                    service.objects[key] = versions.pop(0)
                return given
        return None

    service.answer = answer


@row("M32", "an object overwritten while its ranges are read", "copied again or named; never mixed",
     contract="7")  # fmt: skip
@pytest.mark.parametrize("size", [700, 200 * KIB, 1500 * KIB])
def test_overwritten_while_read(size: int, down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    old, new = b"o" * size, b"N" * size
    copy.fill({"other": b"x", "big": old})
    changes(service, "big", [new], after=1 if size < 1000 * KIB else 2)
    done = copy.run()
    copy.tree["big"] = service.objects["big"]
    found = copy.holds_versions({"big": old})
    assert found["other"] == b"x"
    if done.code == 0:
        assert found["big"] in (old, new)
    else:
        assert set(copy.failed_keys()) == {"big"}
    service.answer = lambda asked: None
    copy.run()
    assert copy.destination.read()["big"] == new


@row("M32", "an object overwritten while its ranges are read", "copied again or named; never mixed",
     contract="7")  # fmt: skip
def test_overwritten_and_if_match_ignored(down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    old, new = b"o" * 1500 * KIB, b"N" * 1500 * KIB
    copy.fill({"other": b"x", "big": old})
    reads: list[Asked] = []

    def answer(asked: Asked) -> Answer | None:
        if asked.method != "GET" or asked.key != "big":
            return None
        reads.append(asked)
        if len(reads) == 3:
            service.objects["big"] = new
        asked.headers.pop("if-match", None)
        return service.honest(asked)

    service.answer = answer
    copy.run()
    found = copy.destination.read().get("big")
    assert found in (None, old, new), "a mixture of two versions"


def shorter(answer: Answer) -> Answer:
    headers = dict(answer.headers)
    if answer.status == 206:
        span, _, total = headers["Content-Range"].removeprefix("bytes ").partition("/")
        first, _, last = span.partition("-")
        headers["Content-Range"] = f"bytes {first}-{int(last) - 100}/{total}"
    return replace(answer, body=answer.body[:-100], headers=headers)


LIES: dict[str, Callable[[Answer], Answer]] = {
    "shorter than asked, and saying so": shorter,
    "shorter than asked": lambda a: replace(a, body=a.body[:-100]),
    "another range": lambda a: replace(a, headers={**a.headers, "Content-Range": "bytes 7-9/99"}),
    "longer than asked": lambda a: replace(a, body=a.body + b"?" * 50),
    "empty": lambda a: replace(a, body=b""),
    "another object's bytes": lambda a: replace(a, body=b"?" * len(a.body)),
    "200 with a page of HTML": lambda a: Answer(200, b"<html>" * 20),
}


@row("M33", "answers shorter, longer, of other ranges or other bytes than asked for",
     "noticed, and the object named; never zeros, never a wrong file", contract="2")  # fmt: skip
@pytest.mark.parametrize("how", list(LIES))
@pytest.mark.parametrize("size", [900, 200 * KIB, 1500 * KIB])
def test_lying_answers(how: str, size: int, down: Journey, seed: int) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    copy.fill({"other": b"x", "big": random.Random(seed).randbytes(size)})
    lied: list[Asked] = []

    def answer(asked: Asked) -> Answer | None:
        if asked.method == "GET" and asked.key == "big":
            honest = service.honest(asked)
            if how == "another range" and honest.status != 206:
                return None
            lied.append(asked)
            return LIES[how](honest)
        return None

    service.answer = answer
    done = copy.run("--retries", "1")
    if not lied:
        pytest.skip("nothing of this size is read by ranges")
    found = copy.check(done, {0, 1}, left=True)
    if done.code == 1:
        assert set(copy.failed_keys()) == {"big"}
        assert "big" not in found
    else:
        assert found["big"] == copy.tree["big"]
    service.answer = lambda asked: None
    copy.again()


@row("M34", "an answer cut after every single byte of a small object", "retried; equal",
     contract="2")  # fmt: skip
def test_cut_after_every_byte(down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    data = bytes(range(48))
    copy.fill({f"cut{n:02}": data for n in range(len(data))})
    cut: set[str] = set()

    def answer(asked: Asked) -> Answer | None:
        if asked.method == "GET" and asked.key.startswith("cut") and asked.key not in cut:
            cut.add(asked.key)
            honest = service.honest(asked)
            return Answer(honest.status, data[: int(asked.key[3:])], honest.headers, length=48)
        return None

    service.answer = answer
    copy.check(copy.run(), 0)
    assert len(cut) == len(data)


ETAGS = {
    "of other bytes": (hashlib.md5(b"other").hexdigest(), {1}),
    "none": (None, {0, 1}),  # obstore calls that an error
    "not an MD5 (encrypted bucket)": ("0123abc-encrypted", {0}),
}


@row("M36", "a PUT answered with the ETag of other bytes, or with none that tells",
     "other bytes: failure; one that tells nothing: asked further", contract="2")  # fmt: skip
@pytest.mark.parametrize("how", list(ETAGS))
@pytest.mark.parametrize("size", [900, 200 * KIB])
def test_etag_of_put(how: str, size: int, up: Journey) -> None:
    copy, service = up, up.destination.server  # type: ignore[attr-defined]
    copy.fill({"one": b"1" * size})
    etag, codes = ETAGS[how]

    def answer(asked: Asked) -> Answer | None:
        if asked.key != "one" or asked.method not in ("PUT", "HEAD"):
            return None
        honest = service.honest(asked)
        headers = dict(honest.headers)
        headers.pop("ETag", None)
        if etag is not None:
            headers["ETag"] = f'"{etag}"'
        return Answer(honest.status, honest.body, headers, length=honest.length)

    service.answer = answer
    done = copy.run("--retries", "1")
    assert done.code in codes, done.explained
    service.answer = lambda asked: None
    copy.run()
    assert service.objects == copy.tree


@row("M37", "CompleteMultipartUpload answered 200 with an error, or lost, or no such upload",
     "resolved: exit 0, the object whole, no upload left", contract="2 3")  # fmt: skip
@pytest.mark.parametrize("how", ["200 with an error", "done but the answer lost", "no such upload"])
def test_complete(how: str, up: Journey, seed: int) -> None:
    copy, service = up, up.destination.server  # type: ignore[attr-defined]
    copy.fill({"big": random.Random(seed).randbytes(1500 * KIB), "small": b"s"})
    struck: list[Asked] = []

    def answer(asked: Asked) -> Answer | None:
        if asked.method != "POST" or "uploadId" not in asked.query or struck:
            return None
        struck.append(asked)
        if how == "200 with an error":
            return Answer(body=error(200, "InternalError").body)
        if how == "done but the answer lost":
            service.honest(asked)
            return Answer(body=b"<Comp", length=900)
        service.uploads.clear()
        return error(404, "NoSuchUpload")

    service.answer = answer
    done = copy.run()
    assert struck
    copy.check(done, 0)


@row("M40", "one object answered 403, 404 (deleted since it was listed), 416",
     "named; exit 1; all others copied", contract="4")  # fmt: skip
@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (404, "NoSuchKey"), (416, "InvalidRange")]
)
@pytest.mark.parametrize("size", [700, 200 * KIB, 1500 * KIB])
def test_one_object_refused(status: int, code: str, size: int, down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    copy.fill({**KEYS, "victim": b"v" * size})
    service.answer = lambda a: error(status, code) if a.key == "victim" else None
    done = copy.run("--retries", "1")
    found = copy.check(done, 1, left=True)
    assert set(copy.failed_keys()) == {"victim"}
    assert set(found) == set(KEYS)
    service.answer = lambda asked: None
    copy.again()


def skewed(asked: Asked, hours: float) -> Answer | None:
    """What S3 says to a request that is signed more than 15 minutes off its own clock."""
    theirs = datetime.now(timezone.utc) + timedelta(hours=hours)
    stamp = asked.headers.get("x-amz-date", "")
    if not stamp:
        return None
    ours = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    if abs((ours - theirs).total_seconds()) < 900:
        return None
    date = format_datetime(theirs, usegmt=True)
    refused = error(403, "RequestTimeTooSkewed")
    return Answer(403, refused.body, {**refused.headers, "X-Date": date, "Date": date})


@row("M41", "a clock that is wrong by hours", "corrected by the service's own; exit 0, a warning")
def test_clock_skew(down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    copy.fill({**KEYS, "m": b"m" * 200 * KIB})
    service.answer = lambda asked: skewed(asked, 5)
    done = copy.run()
    copy.check(done, 0)
    assert "clock" in done.stderr


@row("M42", "keys that expire in the middle and cannot be renewed",
     "exit 1 or 3, says so; a re-run with new ones completes", contract="3")  # fmt: skip
def test_expired(down: Journey) -> None:
    copy, service = down, down.source.server  # type: ignore[attr-defined]
    copy.fill({**KEYS, "big": b"b" * 1500 * KIB})
    count: list[Asked] = []

    def answer(asked: Asked) -> Answer | None:
        count.append(asked)
        return error(400, "ExpiredToken") if len(count) > 20 else None

    service.answer = answer
    done = copy.run("--retries", "1", "--concurrency", "4")
    copy.check(done, {1, 3}, left=True)
    assert "expired" in done.stderr.lower() or "ExpiredToken" in done.stderr
    service.answer = lambda asked: None
    copy.again()


@row("M45", "redirects to another host, to http, to itself, to instance metadata",
     "not followed: nothing reaches the other host")  # fmt: skip
@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("way", ["down", "up"])
def test_redirects(
    status: int, way: str, down: Journey, up: Journey, scripted_s3: Callable[[], ScriptedS3]
) -> None:
    copy = down if way == "down" else up
    service = copy.source.server if way == "down" else copy.destination.server  # type: ignore[attr-defined]
    stranger = scripted_s3()
    stranger.objects.update({key: b"poison" for key in KEYS})
    copy.fill({**KEYS, "big": b"b" * 1500 * KIB, "middle": b"m" * 200 * KIB})

    def answer(asked: Asked) -> Answer | None:
        if asked.key:
            return Answer(status, headers={"Location": f"{stranger.endpoint}{asked.target}"})
        return None

    service.answer = answer
    done = copy.run("--retries", "1")
    copy.check(done, {1, 3}, left=True)
    if way == "up":
        assert not stranger.requests, "data or credentials went to a stranger"
    for asked in stranger.requests:
        assert "x-amz-security-token" not in asked.headers
        assert "authorization" not in asked.headers
    assert b"poison" not in copy.destination.read().values()


@row("M45", "redirects to another host, to http, to itself, to instance metadata",
     "not followed: nothing reaches the other host")  # fmt: skip
def test_redirects_with_a_session_token(
    cli: Cli, down: Journey, tmp_path: Path, scripted_s3: Callable[[], ScriptedS3]
) -> None:
    copy, service, stranger = down, down.source.server, scripted_s3()  # type: ignore[attr-defined]
    copy.fill({**KEYS, "big": b"b" * 1500 * KIB})
    env = service.write_env(tmp_path / "token.env", STORAGE_SESSION_TOKEN="sessiontokenvalue")
    service.answer = lambda a: (
        Answer(307, headers={"Location": f"{stranger.endpoint}{a.target}"}) if a.key else None
    )
    done = cli.run(
        "sync", "--retries", "1", "--from-env", env, copy.source.address, copy.destination.address
    )
    assert done.code in (1, 3), done.explained
    assert not stranger.requests


@row("M47", "a service that refuses the SDK's checksum headers and chunked signing",
     "never sent to a service that is not AWS; exit 0")  # fmt: skip
def test_plain_service(up: Journey, seed: int) -> None:
    copy, service = up, up.destination.server  # type: ignore[attr-defined]
    copy.fill(sample(seed))

    def answer(asked: Asked) -> Answer | None:
        odd = [
            n
            for n in asked.headers
            if n.startswith(("x-amz-checksum", "x-amz-sdk", "x-amz-trailer"))
        ]
        if odd or "aws-chunked" in asked.headers.get("content-encoding", ""):
            return error(501, "NotImplemented")
        return None

    service.answer = answer
    copy.check(copy.run(), 0)


@row("M48", "an object stored with Content-Encoding: gzip", "its stored bytes are copied")
def test_stored_gzip(down: Journey) -> None:
    import gzip

    copy, service = down, down.source.server  # type: ignore[attr-defined]
    packed = gzip.compress(b"hello " * 1000)
    copy.fill({"page.html": packed, "big.html": packed + bytes(200 * KIB)})

    def answer(asked: Asked) -> Answer | None:
        if not asked.key:
            return None
        honest = service.honest(asked)
        headers = {**honest.headers, "Content-Encoding": "gzip"}
        return Answer(honest.status, honest.body, headers, length=honest.length)

    service.answer = answer
    copy.check(copy.run(), 0)
