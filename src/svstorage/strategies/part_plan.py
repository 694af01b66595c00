"""How a big object is cut into parts: a pure function of its size and the service's limits."""

from __future__ import annotations

from svstorage.errors import KeyNotSupported
from svstorage.model import PartLimits

MIB = 1 << 20
PREFERRED_PART = 16 * MIB
PARTS_THRESHOLD = 64 * MIB


def part_size(size: int, limits: PartLimits, preferred: int = PREFERRED_PART) -> int:
    """Size of every part but the last, in bytes; a whole number of MiB where the limits allow.

    Never leads to more than ``limits.max_parts`` parts, never goes below ``limits.min_part``.

    Raises:
        KeyNotSupported: the service cannot hold an object of this size.
    """
    if size > limits.max_object:
        raise KeyNotSupported(
            f"an object of {size} bytes is larger than the service holds ({limits.max_object})"
        )
    least = -(-size // limits.max_parts)
    chosen = max(preferred, limits.min_part, -(-least // MIB) * MIB)
    chosen = min(chosen, limits.max_part)
    if chosen * limits.max_parts < size:
        raise KeyNotSupported(
            f"an object of {size} bytes needs more than {limits.max_parts} parts "
            f"of at most {limits.max_part} bytes"
        )
    return chosen


def part_ranges(size: int, part: int) -> list[tuple[int, int, int]]:
    """(number from 1, offset, length) of each part."""
    count = max(1, -(-size // part))
    return [(n + 1, n * part, min(part, size - n * part)) for n in range(count)]
