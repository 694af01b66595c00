"""What S3 allows, in bytes and counts."""

from __future__ import annotations

from svstorage.model import PartLimits

MIB = 1024 * 1024
GIB = 1024 * MIB

# "Amazon S3 multipart upload limits" in the User Guide. The page gave 5 TiB as the largest
# object for long and gives more today; what the parts allow is the limit here, and a service
# that holds less refuses by itself.
LIMITS = PartLimits(
    min_part=5 * MIB,
    max_part=5 * GIB,
    max_parts=10_000,
    max_object=10_000 * 5 * GIB,
    max_single_put=5 * GIB,
)

MAX_KEY_BYTES = 1024  # "Creating object key names"
MAX_DELETE = 1000  # keys in one DeleteObjects
SINGLE_COPY = 5 * GIB  # CopyObject; above it UploadPartCopy
COPY_PART = 512 * MIB


def copy_part_size(size: int) -> int:
    """Size of the parts of a server-side copy, a whole number of MiB."""
    least = -(-size // LIMITS.max_parts)
    return max(COPY_PART, -(-least // MIB) * MIB)
