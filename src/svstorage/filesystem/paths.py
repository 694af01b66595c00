"""Paths of the ``sv://`` filesystem: ``bucket/key`` with the key exactly as the service has it.

A folder (a common prefix) is called by its prefix without the closing ``/``, as everywhere in
fsspec. Only where the prefix ends in an empty name (``a//``) it keeps both slashes, so that
the folder ``a//`` of the key ``a//b`` and the folder ``a/`` have different paths, and each path
leads to its own listing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

SCHEME = "sv"


class SvPathText(str):
    """A path without the slash that it ended in, which it remembers.

    fsspec's callers take a stripped path to be free of closing slashes and join names to it;
    but ``trail/`` may be the name of an object. Joined, this is a plain path; handed back to the
    filesystem as it is, it means the exact key.
    """

    __slots__ = ("exact",)

    exact: str

    def __new__(cls, text: str, exact: str) -> SvPathText:
        path = super().__new__(cls, text)
        path.exact = exact
        return path

    def __reduce__(self) -> tuple[Any, ...]:
        return SvPathText, (str(self), self.exact)


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket (``name@bucket`` for one of a linked storage) and an exact key in it.

    No bucket: the storage itself. No key: the bucket.
    """

    bucket: str
    key: str = ""

    @property
    def path(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def folder_prefix(self) -> str:
        """What the keys of this folder begin with."""
        return self.key if not self.key or self.key.endswith("/") else self.key + "/"

    @property
    def folder_path(self) -> str:
        """The path of this location as a folder."""
        return folder_path(self.bucket, self.folder_prefix)


def text_of(path: object) -> str:
    """The address as text, without ``sv://`` and otherwise as given."""
    if isinstance(path, SvPathText):
        return path.exact
    text = path if isinstance(path, str) else None
    if text is None and isinstance(path, os.PathLike):
        text = os.fsdecode(path)
    if text is None:
        text = getattr(path, "path", None)  # UPath and other path objects
    if not isinstance(text, str):
        raise TypeError(f"a path must be text or path-like, not {type(path).__name__}")
    for start in (f"{SCHEME}://", f"{SCHEME}::"):
        if text.startswith(start):
            text = text[len(start) :]
            break
    # No bucket has an empty name: programs that begin paths with / mean the root.
    return text.lstrip("/") if text.startswith("/") else text


def locate(path: object) -> Location:
    """Bucket and key of a path; the key is what follows the first slash, exactly."""
    bucket, _, key = text_of(path).partition("/")
    return Location(bucket, key)


def strip(path: object) -> str:
    """What fsspec calls the stripped path; see `SvPathText`."""
    if isinstance(path, SvPathText):
        return path
    text = text_of(path)
    if not text.endswith("/"):
        return text
    if "/" not in text[:-1]:
        return text[:-1]  # the bucket itself
    return SvPathText(text[:-1], text)


def folder_path(bucket: str, prefix: str) -> str:
    """The path of the folder that ``prefix`` (which ends in ``/``, or is empty) stands for."""
    if not prefix:
        return bucket
    return f"{bucket}/{prefix}" if _nameless(prefix) else f"{bucket}/{prefix[:-1]}"


def parent_of(path: str) -> str:
    """The path of the folder that a path lies in; the root is ``""``."""
    here = locate(path)
    if not here.key:
        return ""
    key = here.key
    # A folder is one level below where its prefix says; so is an object called `trail/`.
    inner = key[:-1] if key.endswith("/") else key
    cut = inner.rfind("/") + 1
    return folder_path(here.bucket, inner[:cut])


def name_of(path: str) -> str:
    """The last name of a path: what is left behind its parent's prefix."""
    here = locate(path)
    if not here.key:
        return here.bucket
    inner = here.key[:-1] if here.key.endswith("/") else here.key
    return here.key[inner.rfind("/") + 1 :]


def joined(folder: str, relative: str) -> str:
    """A path below a folder. An empty ``relative`` is the folder's own path."""
    if not relative:
        return folder
    if not folder:
        return relative
    return folder + relative if folder.endswith("/") else f"{folder}/{relative}"


def _nameless(prefix: str) -> bool:
    return prefix == "/" or prefix.endswith("//")
