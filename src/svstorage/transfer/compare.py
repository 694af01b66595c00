"""Does the destination already hold what the source holds? By evidence, never by size alone.

In order of strength: equal checksums, a journal row whose two versions both still stand, times
that leave no doubt. Where the listings do not tell, the answer is ``UNSURE`` and `settle` looks
closer (a metadata request, or reading the local side) instead of guessing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from enum import Enum

from svstorage.model import Checksum, Entry, ObjectInfo
from svstorage.providers.base import Chunk
from svstorage.strategies.attributes import recorded_modified_ns
from svstorage.strategies.base import End
from svstorage.strategies.crc import Crc, computable
from svstorage.strategies.digest import PartsDigest, likely_parts, told_part

# S3 refuses requests signed more than 15 minutes off its own clock (RequestTimeTooSkewed), so
# the clock of a service and the local one agree at least to that.
CLOCK_DOUBT_NS = 15 * 60 * 1_000_000_000
READ_CHUNK = 1 << 20
SECOND = 1_000_000_000


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


def compare(
    source: Entry, destination: Entry, *, both_remote: bool, same_clock: bool = False
) -> Verdict:
    """What the two listings tell of one key, without any request.

    With ``same_clock`` one service tells both times, so that they can be compared exactly.
    """
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
    doubt = 0 if same_clock and both_remote else CLOCK_DOUBT_NS
    if told and last_change + doubt < destination.modified_ns:
        return Verdict.SAME
    return Verdict.UNSURE


def settle(
    source_end: End, source: Entry, end: End, destination: Entry, check_stop: Callable[[], None]
) -> bool:
    """Look closer at an unsure pair of equal size: True where the content is the same.

    A local side is read and its digest compared with what the other side offers; else the
    modification times recorded in the metadata decide, unless the source was written after
    the destination. False means: copy it.
    """
    for one_end, one, other_end, other in (
        (source_end, source, end, destination),
        (end, destination, source_end, source),
    ):
        if one_end.store.capabilities.is_local and other.checksum is not None:
            same = read_and_compare(one_end, one, other_end, other, check_stop)
            if same is not None:
                return same
    if _written_later(source, destination):
        return False
    source_recorded = _modified(source_end, source)
    if source_recorded is None:
        return False
    return _equal_times(source_recorded, _modified(end, destination))


def _written_later(source: Entry, destination: Entry) -> bool:
    """May the source have been put in place after the destination was?

    Two clocks can have a say here, and many services tell whole seconds only: a time in the
    same second counts as later. Wrongly True costs one copy more.
    """
    source_ns = source.changed_ns or source.modified_ns
    destination_ns = destination.changed_ns or destination.modified_ns
    if source_ns is None or destination_ns is None:
        return False
    latest = source_ns + SECOND - 1 if source_ns % SECOND == 0 else source_ns
    return latest > destination_ns


def _equal_times(one: int, other: int | None) -> bool:
    """To the grain of the coarser: whole seconds where a tool recorded no fraction."""
    if other is None:
        return False
    if one % SECOND and other % SECOND:
        return one == other
    return one // SECOND == other // SECOND


def _modified(end: End, entry: Entry) -> int | None:
    if end.store.capabilities.sets_modified:
        return entry.modified_ns
    info = end.store.head(end.bucket, entry.key)
    if info.entry.etag != entry.etag:
        return None
    return recorded_modified_ns(info)


def read_and_compare(
    end: End,
    entry: Entry,
    other_end: End,
    other: Entry | ObjectInfo,
    check_stop: Callable[[], None],
) -> bool | None:
    """Read ``entry`` once and compare it with the checksum of ``other``, or with its CRC.

    None where that checksum cannot be computed: an ETag of parts whose sizes nobody tells says
    nothing but when it is equal.

    Raises:
        ObjectChanged: the object changed while it was read.
    """
    if isinstance(other, ObjectInfo):
        if other.crc is not None and computable(other.crc):
            crc = Crc(other.crc.algorithm)
            for chunk in _chunks(end, entry, check_stop):
                crc.update(chunk)
            return crc.checksum() == other.crc
        other = other.entry
    wanted = other.checksum
    if wanted is None:
        return None
    if wanted.algorithm == "md5":
        return read_digest(end, entry, check_stop) == wanted
    if wanted.algorithm != "etag-multipart":
        return None
    told = told_part(other_end, other)
    parts = [told] if told is not None else likely_parts(entry.size, wanted)
    builders = [PartsDigest(part) for part in parts]
    if not builders:
        return None
    for chunk in _chunks(end, entry, check_stop):
        for builder in builders:
            builder.update(chunk)
    if any(builder.checksum() == wanted for builder in builders):
        return True
    return False if told is not None else None


def read_digest(end: End, entry: Entry, check_stop: Callable[[], None]) -> Checksum:
    """MD5 of an object, by reading it. Raises `ObjectChanged` if it changes meanwhile."""
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in _chunks(end, entry, check_stop):
        digest.update(chunk)
    return Checksum("md5", digest.hexdigest())


def _chunks(end: End, entry: Entry, check_stop: Callable[[], None]) -> Iterator[Chunk]:
    with end.store.read(end.bucket, entry.key, if_match=entry.etag) as reader:
        while chunk := reader.read(READ_CHUNK):
            check_stop()
            yield chunk
