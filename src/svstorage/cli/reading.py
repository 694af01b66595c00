"""The bytes of one object, version for version, begun again where a connection broke."""

from __future__ import annotations

from collections.abc import Iterator

from svstorage.cli.retrying import ATTEMPTS, PASSING, pause, retrying
from svstorage.cli.targets import Target

_CHUNK = 1 << 20


def chunks(target: Target, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """``length`` bytes from ``start`` (to the end where None, and where there are fewer).

    Every request names the version first seen: raises `ObjectChanged` rather than mix two.
    """
    entry = retrying(lambda: target.store.head(target.bucket, target.key)).entry
    end = entry.size if length is None else min(entry.size, start + length)
    position, tries = start, 0
    while position < end:
        try:
            with target.store.read(
                target.bucket,
                target.key,
                start=position,
                length=end - position,
                if_match=entry.etag,
            ) as reader:
                while chunk := bytes(reader.read(_CHUNK)):
                    # Counted before it is handed on: the consumer's failure is not the store's.
                    position, tries = position + len(chunk), 0
                    yield chunk
        except PASSING as error:
            tries += 1
            if tries >= ATTEMPTS:
                raise
            pause(tries, error)
