"""Fingerprints of the versions of objects, as the journal keeps them."""

from __future__ import annotations

import hashlib

from svstorage.model import Entry, Stored


def version_of(entry: Entry) -> bytes:
    """A fingerprint of one version of an object: size and ETag, or size and times."""
    if entry.etag is not None:
        return _digest(f"{entry.size}|{entry.etag}")
    return _digest(f"{entry.size}|{entry.modified_ns}|{entry.changed_ns}")


def source_version(entry: Entry) -> bytes:
    """The fingerprint of a source: with the inode change time of a local file, which nobody can
    set back, where its ETag was made of time and size alone."""
    if entry.etag is None or entry.changed_ns is None:
        return version_of(entry)
    return _digest(f"{entry.size}|{entry.etag}|{entry.changed_ns}")


def stored_version(stored: Stored) -> bytes:
    """The fingerprint of what the destination confirmed; equals `version_of` of its listing."""
    if stored.etag is not None:
        return _digest(f"{stored.size}|{stored.etag}")
    return _digest(f"{stored.size}|{stored.modified_ns}|None")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()
