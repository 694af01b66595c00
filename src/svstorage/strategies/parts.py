"""Big objects, part by part: several at once, and those that are finished survive a crash."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import NoReturn, cast

from svstorage.addresses import display
from svstorage.errors import (
    ChecksumMismatch,
    ConnectionFailed,
    NotSupported,
    ObjectChanged,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)
from svstorage.model import Checksum, Entry, ObjectInfo, Part, PartLimits, Stored
from svstorage.providers.base import MultipartStore, ShowsUploads
from svstorage.strategies.attributes import carried, tagged
from svstorage.strategies.base import Confirmed, Context, Job
from svstorage.strategies.digest import KeepsMd5, joined, told_part
from svstorage.strategies.following import Follower
from svstorage.strategies.hashing import Digest, HashingBody
from svstorage.strategies.part_crcs import PartCrcs
from svstorage.strategies.part_plan import MIB, PARTS_THRESHOLD, part_ranges, part_size

PART_TRIES = 4
LONGEST_WAIT = 10.0
LARGEST_PART = 128 * MIB


class PartsStrategy:
    name = "parts"
    summary = "resumable: ranges of the source to parts of the destination, several at once"

    def can_carry(self, job: Job) -> float | None:
        if job.entry.size < PARTS_THRESHOLD:
            return None
        store = job.pair.destination.store
        if store.capabilities.parts is None or not isinstance(store, MultipartStore):
            return None
        return 5.0

    def carry(self, job: Job, context: Context) -> Confirmed:
        return _PartsCopy(job, context).run()


class _PartsCopy:
    """One object on its way."""

    def __init__(self, job: Job, context: Context) -> None:
        self.job = job
        self.context = context
        self.source = job.pair.source
        self.destination = job.pair.destination
        self.multipart = cast(MultipartStore, self.destination.store)
        self.digests: dict[int, bytes] = {}
        self.moved = 0
        self.count = 0
        self.info: ObjectInfo | None = None
        self.crcs = PartCrcs(job, context, self._look)
        self.hashed = context.verify == "checksum" and not self._is_read_back
        self.whole: Digest | None = None
        """Of all bytes so far, where they go in order."""
        self.follower: Follower | None = None
        self.source_part = told_part(self.source, job.entry) if self.hashed else None

    def run(self) -> Confirmed:
        entry = self.job.entry
        upload_id, part, finished = self._resume() or self._begin()
        done = {p.number: p for p in finished}
        ranges = part_ranges(entry.size, part)
        self.count = len(ranges)
        missing = [r for r in ranges if r[0] not in done]
        for known in finished:
            self.context.resumed(known.size)
            if known.checksum is not None and known.checksum.algorithm == "md5":
                self.digests[known.number] = bytes.fromhex(known.checksum.value)
        if self._proves_whole and not finished and self.crcs.told is None:
            self.whole = hashlib.md5(usedforsecurity=False)
        self._follow(upload_id, ranges, set(done))
        try:
            self._carry_all(upload_id, missing, done)
            sent = self.follower.checksum() if self.follower is not None else self._sent()
        except NotSupported as error:
            # A service that cannot take a part twice (rclone's) would refuse it for ever.
            raise self._begun_anew(upload_id, error) from None
        finally:
            if self.follower is not None:
                self.follower.give_up()
        if self.follower is not None and sent != entry.checksum:
            self._refuse(upload_id, "MD5")
        if self.whole is not None and Checksum("md5", self.whole.hexdigest()) != entry.checksum:
            self._refuse(upload_id, "MD5")
        if sent is not None and part == self.source_part and sent != entry.checksum:
            # The parts are cut as the source's own were, so that their ETags must be equal.
            self._refuse(upload_id, "ETag")
        crc = self.crcs.whole(upload_id, ranges)
        if crc is not None and self.crcs.told is not None:
            if crc != self.crcs.told:
                self._refuse(upload_id, "CRC")
            self.crcs.proven = True
        stored = self._complete(upload_id, [done[number] for number in sorted(done)], sent)
        self.context.parts.forget()
        return Confirmed(stored, sent=sent, source=entry, crc=crc, bytes_sent=self.moved)

    @property
    def _is_read_back(self) -> bool:
        """True where a local file is compared as a whole with what the source announces: digests
        of its parts could be compared with nothing."""
        if not self.destination.store.capabilities.is_local:
            return False
        announced = self.job.entry.checksum
        by_md5 = announced is not None and announced.algorithm == "md5"
        return by_md5 or self.crcs.told is not None

    def _look(self) -> ObjectInfo:
        """What the source tells of the object. Raises `ObjectChanged` for another version."""
        if self.info is None:
            entry = self.job.entry
            info = self.source.store.head(self.source.bucket, entry.key)
            if entry.etag is not None and info.entry.etag != entry.etag:
                raise ObjectChanged(f"{display(entry.key)}: it changed before it was copied")
            self.info = info
        return self.info

    @property
    def _proves_whole(self) -> bool:
        """Between two services only an MD5 of the whole tells whether what was read is right.

        It needs the bytes in order, and so one part at a time. A local destination is read
        once more instead, which costs less (see `svstorage.strategies.following`).
        """
        announced = self.job.entry.checksum
        if not self.hashed or announced is None or announced.algorithm != "md5":
            return False
        return not self.destination.store.capabilities.is_local

    def _follow(
        self, upload_id: str, ranges: list[tuple[int, int, int]], finished: set[int]
    ) -> None:
        """Where the parts are not hashed, their whole is, if the destination shows it."""
        store = self.destination.store
        if self.context.verify != "checksum" or self.hashed or not isinstance(store, ShowsUploads):
            return
        if self.crcs.told is not None:
            return
        bucket, key = self.destination.bucket, self.job.destination_key
        self.follower = Follower(
            lambda: store.open_upload(bucket, key, upload_id),
            ranges,
            finished,
            self.context.check_stop,
        )

    def _refuse(self, upload_id: str, which: str) -> NoReturn:
        """Which part is the bad one cannot be told: none of them is used again."""
        self._give_up(upload_id)
        raise ChecksumMismatch(
            f"{display(self.job.entry.key)}: the bytes that arrived are not those announced "
            f"({which})"
        )

    def _complete(self, upload_id: str, parts: list[Part], sent: Checksum | None) -> Stored:
        bucket, key = self.destination.bucket, self.job.destination_key
        md5 = self._proven_md5()
        try:
            if md5 is not None and isinstance(self.multipart, KeepsMd5):
                return self.multipart.complete_upload(bucket, key, upload_id, parts, md5=md5)
            return self.multipart.complete_upload(bucket, key, upload_id, parts)
        except (ServiceError, ConnectionFailed, ObjectNotFound) as error:
            # The answer was lost: perhaps the object is there. Only its ETag could prove it.
            there = self._there() if sent is not None else None
            if there is None or there.checksum != sent or there.size != self.job.entry.size:
                if isinstance(error, ObjectNotFound):  # there is no such upload (any more)
                    raise self._begun_anew(upload_id, error) from None
                raise
            return Stored(there.size, there.etag, there.checksum, there.modified_ns)

    def _proven_md5(self) -> bytes | None:
        """The MD5 of the whole, where every byte was compared with what the source announces:
        with the MD5 itself, or with the CRC that the service tells of the same version."""
        if self.whole is not None:
            return bytes.fromhex(self.whole.hexdigest())
        told = self._look().entry.checksum if self.crcs.proven else None
        return bytes.fromhex(told.value) if told is not None and told.algorithm == "md5" else None

    def _there(self) -> Entry | None:
        try:
            return self.destination.store.head(
                self.destination.bucket, self.job.destination_key
            ).entry
        except ObjectNotFound:
            return None

    def _begun_anew(self, upload_id: str, error: StorageError) -> ServiceError:
        """Give this upload up, so that the next try begins another."""
        self._give_up(upload_id)
        return ServiceError(f"{error}. The upload is begun anew")

    def _give_up(self, upload_id: str) -> None:
        """Forgotten last: a crash between the two must leave nothing that nobody knows."""
        self._drop(upload_id)
        self.context.parts.forget()

    def _drop(self, upload_id: str) -> None:
        with contextlib.suppress(StorageError, OSError):
            self.multipart.abort_upload(
                self.destination.bucket, self.job.destination_key, upload_id
            )

    def _begin(self) -> tuple[str, int, list[Part]]:
        capabilities = self.destination.store.capabilities
        entry = self.job.entry
        size = self._part_size(capabilities.parts)
        info = tagged(self.source, self._look(), wanted=self.context.tags)
        attributes, modified_ns = carried(
            info, self.source.store.capabilities, capabilities, tags=self.context.tags
        )
        # Noted before it is begun: a crash between the two must leave nothing that nobody knows.
        self.context.parts.begin("", size)
        upload_id = self.multipart.start_upload(
            self.destination.bucket,
            self.job.destination_key,
            size=entry.size,
            attributes=attributes,
            modified_ns=modified_ns,
        )
        self.context.parts.begin(upload_id, size)
        return upload_id, size, []

    def _part_size(self, limits: PartLimits | None) -> int:
        """As the source was cut, where the destination allows: then the ETag proves the bytes."""
        size = self.job.entry.size
        if limits is None:
            raise NotSupported("the destination has no uploads in parts")
        own = part_size(size, limits)
        theirs = self.source_part
        # Of very large parts only few could move at once, and each failure would cost much.
        if theirs is None or not limits.min_part <= theirs <= min(limits.max_part, LARGEST_PART):
            return own
        return theirs if -(-size // theirs) <= limits.max_parts else own

    def _resume(self) -> tuple[str, int, list[Part]] | None:
        """The upload of an earlier run, with the parts that journal and service agree on."""
        known = self.context.parts.upload()
        if known is None:
            return None
        upload_id, part, journalled = known
        try:
            held = self.multipart.list_parts(
                self.destination.bucket, self.job.destination_key, upload_id
            )
        except ObjectNotFound:
            # Of what is gone as an upload a crash may have left a file (see `LocalStore`).
            self._give_up(upload_id)
            return None
        by_number = {p.number: p for p in held}
        if not self.hashed and isinstance(self.destination.store, ShowsUploads):
            # Its own record is nearer to the bytes than the journal, and all are read again.
            journalled = held
        lengths = {number: length for number, _, length in part_ranges(self.job.entry.size, part)}
        agreed = [
            p
            for p in journalled
            if (other := by_number.get(p.number)) is not None
            and (other.size, other.etag) == (p.size, p.etag)
            and lengths.get(p.number) == p.size
        ]
        return upload_id, part, agreed

    def _carry_all(
        self, upload_id: str, missing: list[tuple[int, int, int]], done: dict[int, Part]
    ) -> None:
        threads = (
            1 if self.whole is not None else max(1, min(self.context.part_threads, len(missing)))
        )
        if threads == 1:
            for number, offset, length in missing:
                done[number] = self._carry_part(upload_id, number, offset, length)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="svstorage-part") as pool:
            futures: list[Future[Part]] = [
                pool.submit(self._carry_part, upload_id, *ranges) for ranges in missing
            ]
            wait(futures, return_when=FIRST_EXCEPTION)
            # On a failure the parts not yet begun are dropped; those under way end and count.
            pool.shutdown(wait=True, cancel_futures=True)
        for future in futures:
            if not future.cancelled() and future.exception() is None:
                part = future.result()
                done[part.number] = part
        for future in futures:
            if not future.cancelled():
                future.result()

    def _carry_part(self, upload_id: str, number: int, offset: int, length: int) -> Part:
        """One part, with tries of its own: of ten thousand parts some always fail."""
        for attempt in range(1, min(PART_TRIES, self.context.part_tries)):
            try:
                return self._carry_part_once(upload_id, number, offset, length)
            except (ServiceError, ConnectionFailed, Throttled, ChecksumMismatch) as error:
                self._pause(attempt, error)
        return self._carry_part_once(upload_id, number, offset, length)

    def _pause(self, attempt: int, error: Exception) -> None:
        """Full jitter, as between the tries of whole objects; ends at once on a stop."""
        left = random.uniform(0, min(0.5 * 2**attempt, LONGEST_WAIT))  # noqa: S311
        if isinstance(error, Throttled):
            self.context.throttled()
            left = min(max(left, error.retry_after or 0), LONGEST_WAIT)
        while left > 0:
            self.context.check_stop()
            time.sleep(min(left, 0.1))
            left -= 0.1

    def _carry_part_once(self, upload_id: str, number: int, offset: int, length: int) -> Part:
        entry = self.job.entry
        self.context.check_stop()
        moved = 0
        whole = self.whole.copy() if self.whole is not None else None
        crc = self.crcs.new()

        def progress(count: int) -> None:
            nonlocal moved
            moved += count
            self.context.progress(count)

        try:
            with self.source.store.read(
                self.source.bucket, entry.key, start=offset, length=length, if_match=entry.etag
            ) as reader:
                body = HashingBody(
                    reader,
                    size=length,
                    name=f"{display(entry.key)} (part {number})",
                    hashed=self.hashed,
                    whole=whole,
                    crc=crc,
                    progress=progress,
                    check_stop=self.context.check_stop,
                )
                part = self.multipart.put_part(
                    self.destination.bucket,
                    self.job.destination_key,
                    upload_id,
                    number=number,
                    offset=offset,
                    size=length,
                    body=body,
                )
            sent = body.checksum
            told = part.checksum
            if sent and told and told.algorithm == sent.algorithm and told != sent:
                raise ChecksumMismatch(
                    f"{display(entry.key)}: part {number} arrived with other bytes (MD5)"
                )
        except BaseException:
            self.context.progress(-moved)
            raise
        self.moved += length
        self.whole = whole
        self.crcs.finished(number, crc)
        if sent is not None:
            self.digests[number] = bytes.fromhex(sent.value)
            part = replace(part, checksum=sent)
        self.context.parts.finished(part)
        if self.follower is not None:
            self.follower.part_finished(number)
        return part

    def _sent(self) -> Checksum | None:
        """What S3's ETag of the object must be; None where the digest of a part is not known."""
        if not self.digests or sorted(self.digests) != list(range(1, self.count + 1)):
            return None
        return joined([self.digests[number] for number in sorted(self.digests)])
