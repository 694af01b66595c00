"""The digest of a whole object whose parts arrive in any order: read again as they do.

An MD5 takes the bytes in their order, and parts that are fetched several at once do not come
so. Where the destination can show what it holds of an unfinished upload (a local disk, from
memory that the kernel keeps anyway), one thread follows the finished parts and reads them in
order, while later parts are still on their way. So the digest is known when the last part is,
and before anything is published.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from svstorage.errors import ObjectChanged
from svstorage.model import Checksum

CHUNK = 1 << 20


class Follower:
    """Hashes an upload's parts in order. ``open_upload`` gives what the destination holds."""

    def __init__(
        self,
        open_upload: Callable[[], BinaryIO],
        ranges: list[tuple[int, int, int]],
        finished: set[int],
        check_stop: Callable[[], None],
    ) -> None:
        """``ranges`` are (number, offset, length) of all parts, ``finished`` the numbers of those
        that an earlier run left."""
        self._open = open_upload
        self._ranges = ranges
        self._done = set(finished)
        self._check_stop = check_stop
        self._changed = threading.Condition()
        self._given_up = False
        self._error: Exception | None = None
        self._digest = hashlib.md5(usedforsecurity=False)
        self._thread = threading.Thread(target=self._follow, name="svstorage-hash", daemon=True)
        self._thread.start()

    def part_finished(self, number: int) -> None:
        with self._changed:
            self._done.add(number)
            self._changed.notify()

    def checksum(self) -> Checksum:
        """The MD5 of the whole, once all parts have finished. Raises what reading them raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return Checksum("md5", self._digest.hexdigest())

    def give_up(self) -> None:
        """End the thread; harmless when it has ended."""
        with self._changed:
            self._given_up = True
            self._changed.notify()
        self._thread.join()

    def _follow(self) -> None:
        try:
            with self._open() as file:
                buffer = memoryview(bytearray(CHUNK))
                for number, offset, length in self._ranges:
                    if not self._wait_for(number):
                        return
                    for piece in pieces(file, buffer, offset, length, self._check_stop):
                        self._digest.update(piece)
        except Exception as error:  # raised again by `checksum`, in the thread of the copy
            self._error = error

    def _wait_for(self, number: int) -> bool:
        with self._changed:
            while number not in self._done and not self._given_up:
                self._changed.wait()
            self._done.discard(number)
            return not self._given_up


def pieces(
    file: BinaryIO,
    buffer: memoryview,
    offset: int,
    length: int,
    check_stop: Callable[[], None],
) -> Iterator[memoryview]:
    """What an unfinished file holds of one part, read into ``buffer`` again and again.

    Raises `ObjectChanged` where it is shorter.
    """
    file.seek(offset)
    while length:
        check_stop()
        count = file.readinto(buffer[: min(len(buffer), length)])  # type: ignore[attr-defined]
        if not count:
            raise ObjectChanged("the unfinished file is shorter than its parts")
        yield buffer[:count]
        length -= count
