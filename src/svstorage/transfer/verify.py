"""Was the object really stored? Believed only on the destination's own word.

With ``checksum``, the digest of the bytes as they were read is compared with what the source
had announced and with what the destination answered (or, where the answer tells none, with a
metadata request). Where no digest can be compared without reading again, the size decides.
"""

from __future__ import annotations

from collections.abc import Callable

from svstorage.addresses import display
from svstorage.errors import ChecksumMismatch, ObjectChanged
from svstorage.model import Checksum, Entry, Stored
from svstorage.strategies.base import Confirmed, Job, Verify
from svstorage.transfer.compare import comparable, read_digest


def confirm(
    job: Job, confirmed: Confirmed, verify: Verify, check_stop: Callable[[], None]
) -> tuple[Stored, Checksum | None]:
    """What the destination confirmed, and the checksum that was compared (None: size only).

    Raises:
        ChecksumMismatch: the destination holds other bytes than were read.
        ObjectChanged: the destination's object has another size.
    """
    stored = confirmed.stored
    if verify == "none":
        return stored, None
    entry = confirmed.source or job.entry
    destination = job.pair.destination
    if stored.size != entry.size:
        raise ObjectChanged(
            f"{display(job.destination_key)}: {stored.size} bytes were stored of {entry.size}"
        )
    if verify == "size":
        return stored, None
    announced, sent = entry.checksum, confirmed.sent
    if comparable(sent, announced) and sent != announced:
        raise ChecksumMismatch(_message(job, "the bytes read are not those the source announces"))
    if destination.store.capabilities.is_local and confirmed.crc is not None:
        return stored, confirmed.crc  # of what was written, and what the source tells
    if destination.store.capabilities.is_local:
        # A local disk tells no digest. What was hashed on the way in is known; a big object
        # that came in parts is read once more where the source announces a digest of the whole.
        if sent is None or (announced is not None and not comparable(sent, announced)):
            if announced is None or announced.algorithm != "md5":
                return stored, None
            held = Entry(job.destination_key, stored.size, etag=stored.etag)
            if read_digest(destination, held, check_stop) != announced:
                raise ChecksumMismatch(_message(job, "the file holds other bytes than announced"))
            return stored, announced
        return stored, sent
    expected = sent or announced
    if comparable(expected, stored.checksum) and expected == stored.checksum:
        return stored, expected
    if _agrees(job, confirmed.crc, stored.crc):
        return stored, confirmed.crc
    if expected is None and confirmed.crc is None:
        return stored, None
    # No digest in the answer, or one of another kind: an ETag that looks like an MD5 is none
    # where the bucket is encrypted with its own keys. A metadata request tells.
    info = destination.store.head(destination.bucket, job.destination_key)
    told = info.entry
    if stored.etag is not None and told.etag != stored.etag:
        raise ObjectChanged(_message(job, "somebody else stored another version meanwhile"))
    if told.size != entry.size:
        raise ObjectChanged(_message(job, f"the destination holds {told.size} bytes"))
    if _agrees(job, confirmed.crc, info.crc):
        return stored, confirmed.crc
    if expected is None or not comparable(expected, told.checksum):
        return stored, None
    if expected != told.checksum:
        raise ChecksumMismatch(_message(job, "the destination holds other bytes than were read"))
    return stored, expected


def _agrees(job: Job, crc: Checksum | None, told: Checksum | None) -> bool:
    """True where the destination tells the CRC of the bytes that were read; False where it tells
    none of the kind. Raises `ChecksumMismatch` for another one."""
    if not comparable(crc, told):
        return False
    if crc != told:
        raise ChecksumMismatch(_message(job, "the destination holds other bytes than were read"))
    return True


def _message(job: Job, what: str) -> str:
    return f"{display(job.destination_key)}: {what} (checksum)"
