"""Which versions an object builds upon, written into its metadata.

Two servers may send the same notebook at the same moment; the second overwrites the first, and
no storage that cannot refuse a stale write would tell. So each version that is sent carries short
digests of those it was made from. Whoever finds a version that does not descend from its own
knows that its own was overwritten unseen, and keeps it as a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping

NAME = "svstorage-lineage"
CONTENT = "svstorage-content"
"""On a local disk, the MD5 of the bytes that the entry is about: whoever writes to a file in
place leaves its metadata as it is, and then the lineage says nothing of the new bytes."""
_SHORT = 12
_MOST = 64
"""As many saves may lie between two looks; 64 digests are 832 bytes of the 2 KiB that S3 allows
("Working with object metadata", user-defined metadata)."""
_FIRST = "-"


def descends(metadata: Mapping[str, str], digest: str) -> bool:
    """False where the version is known not to build upon the one with ``digest``.

    A version that another program stored says nothing, and counts as meant.
    """
    text = metadata.get(NAME)
    return text is None or digest[:_SHORT] in text.split(",")


def extended(
    metadata: Mapping[str, str], digest: str | None, content: str | None = None
) -> dict[str, str]:
    """The entries for a version made from that of ``metadata``, which has ``digest``.

    A new object (None) begins a lineage: an empty one tells more than none. ``content`` is the
    MD5 of the new version, for a local disk.
    """
    before = [one for one in metadata.get(NAME, "").split(",") if one and one != _FIRST]
    if digest is not None and digest[:_SHORT] not in before:
        before.append(digest[:_SHORT])
    entry = {NAME: ",".join(before[-_MOST:]) or _FIRST}
    return {**entry, CONTENT: content} if content is not None else entry
