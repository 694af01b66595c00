"""The part plan for every size that S3 (to 50 TiB) and Azure (to 190 TiB) can hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from svstorage.errors import KeyNotSupported
from svstorage.model import PartLimits
from svstorage.providers.azure.objects import PART_LIMITS as AZURE
from svstorage.providers.s3.limits import LIMITS as S3
from svstorage.providers.s3.limits import copy_part_size
from svstorage.strategies.part_plan import PREFERRED_PART, part_ranges, part_size
from tests.faults.rows import row

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
S3_LARGEST, AZURE_LARGEST = 10_000 * 5 * GIB, 50_000 * 4000 * MIB


def test_the_limits_are_those_of_the_services() -> None:
    """ "Amazon S3 multipart upload limits"; "Scalability and performance targets for Blob"."""
    assert (S3.min_part, S3.max_part, S3.max_parts) == (5 * MIB, 5 * GIB, 10_000)
    assert (AZURE.max_part, AZURE.max_parts) == (4000 * MIB, 50_000)
    assert S3.max_object == S3_LARGEST
    assert 48 * TIB < S3_LARGEST < 49 * TIB
    assert 190 * TIB < AZURE.max_object == AZURE_LARGEST


def obeys(size: int, limits: PartLimits) -> None:
    part = part_size(size, limits)
    count = max(1, -(-size // part))
    assert count <= limits.max_parts
    assert limits.min_part <= part <= limits.max_part
    assert part >= min(PREFERRED_PART, limits.max_part)


EDGES = (0, 1, PREFERRED_PART - 1, PREFERRED_PART, PREFERRED_PART + 1, 5 * GIB - 1, 5 * GIB,
         5 * GIB + 1, 10_000 * PREFERRED_PART, 10_000 * PREFERRED_PART + 1,
         50_000 * 4 * MIB, 5 * TIB, 5 * TIB + 1, S3_LARGEST)  # fmt: skip


@row("M59", "part plan of any size up to 48.8 TiB (S3) and 190 TiB (Azure)",
     "never over 10,000 or 50,000 parts, never a part under the minimum but the last")  # fmt: skip
@pytest.mark.parametrize("size", EDGES)
def test_edges(size: int) -> None:
    obeys(size, S3)
    obeys(size, AZURE)


@row("M59", "part plan of any size up to 48.8 TiB (S3) and 190 TiB (Azure)",
     "never over 10,000 or 50,000 parts, never a part under the minimum but the last")  # fmt: skip
@given(st.integers(0, S3_LARGEST))
@example(S3_LARGEST)
def test_any_size_on_s3(size: int) -> None:
    obeys(size, S3)
    copied = copy_part_size(size)
    assert -(-size // copied) <= S3.max_parts
    assert S3.min_part <= copied <= S3.max_part


@row("M59", "part plan of any size up to 48.8 TiB (S3) and 190 TiB (Azure)",
     "never over 10,000 or 50,000 parts, never a part under the minimum but the last")  # fmt: skip
@given(st.integers(0, AZURE_LARGEST))
@example(AZURE_LARGEST)
def test_any_size_on_azure(size: int) -> None:
    obeys(size, AZURE)


@given(st.integers(1, 1 << 60))
def test_what_no_service_holds_is_refused(beyond: int) -> None:
    for limits in (S3, AZURE):
        with pytest.raises(KeyNotSupported):
            part_size(limits.max_object + beyond, limits)


@given(st.integers(0, 1 << 20), st.integers(1 << 8, 1 << 14))
def test_ranges_cover_everything_once(size: int, part: int) -> None:
    end = 0
    for number, (named, offset, length) in enumerate(part_ranges(size, part), 1):
        assert (named, offset) == (number, end)
        assert length <= part
        end += length
    assert end == size
