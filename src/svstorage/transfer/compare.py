"""Does the destination already hold what the source holds? By evidence, never by size alone.

In order of strength: equal checksums, a journal row whose two versions both still stand, times
that leave no doubt. Where the listings do not tell, the answer is ``UNSURE`` and `settle` looks
closer (a metadata request, or reading the local side) instead of guessing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum

from svstorage.model import Checksum, Entry
from svstorage.strategies.attributes import recorded_modified_ns
from svstorage.strategies.base import End

# S3 refuses requests signed more than 15 minutes off its own clock (RequestTimeTooSkewed), so
# the clock of a service and the local one agree at least to that.
CLOCK_DOUBT_NS = 15 * 60 * 1_000_000_000
READ_CHUNK = 1 << 20


class Verdict(Enum):
    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"


def comparable(one: Checksum | None, other: Checksum | None) -> bool:
    """Two whole-object digests of one algorithm. Two multipart ETags that differ may still be
    of equal bytes cut into other parts, so only equal ones tell anything."""
    if one is None or other is None or one.algorithm != other.algorithm:
        return False
    return one.algorithm != "etag-multipart" or one.value == other.value


def compare(source: Entry, destination: Entry, *, both_remote: bool) -> Verdict:
    """What the two listings tell of one key, without any request."""
    if source.size != destination.size:
        return Verdict.DIFFERENT
    if source.is_folder_marker:
        return Verdict.SAME
    if comparable(source.checksum, destination.checksum):
        return Verdict.SAME if source.checksum == destination.checksum else Verdict.DIFFERENT
    times = (source.modified_ns, source.changed_ns)
    last_change = max((t for t in times if t is not None), default=None)
    if last_change is None or destination.modified_ns is None:
        return Verdict.UNSURE
    # A local source carries its inode change time, which cannot be set back: a file put in
    # place with an old date is noticed. Between two services only the modification times speak.
    told = source.changed_ns is not None or both_remote
    if told and last_change + CLOCK_DOUBT_NS < destination.modified_ns:
        return Verdict.SAME
    return Verdict.UNSURE


def settle(
    source_end: End, source: Entry, end: End, destination: Entry, check_stop: Callable[[], None]
) -> bool:
    """Look closer at an unsure pair of equal size: True where the content is the same.

    A local side is read and its digest compared with what the other side offers; else the
    modification times recorded in the metadata decide. False means: copy it.
    """
    for one_end, one, other in (
        (source_end, source, destination),
        (end, destination, source),
    ):
        offered = other.checksum
        if one_end.store.capabilities.is_local and offered and offered.algorithm == "md5":
            return read_digest(one_end, one, check_stop) == offered
    source_recorded = _modified(source_end, source)
    if source_recorded is None:
        return False
    if end.store.capabilities.is_local and source_end.store.capabilities.is_local:
        return source_recorded == destination.modified_ns
    return source_recorded == _modified(end, destination)


def _modified(end: End, entry: Entry) -> int | None:
    if end.store.capabilities.sets_modified:
        return entry.modified_ns
    info = end.store.head(end.bucket, entry.key)
    if info.entry.etag != entry.etag:
        return None
    return recorded_modified_ns(info)


def read_digest(end: End, entry: Entry, check_stop: Callable[[], None]) -> Checksum:
    """MD5 of an object, by reading it. Raises `ObjectChanged` if it changes meanwhile."""
    digest = hashlib.md5(usedforsecurity=False)
    with end.store.read(end.bucket, entry.key, if_match=entry.etag) as reader:
        while chunk := reader.read(READ_CHUNK):
            check_stop()
            digest.update(chunk)
    return Checksum("md5", digest.hexdigest())
