"""One root folder of the local disk: its buckets, and how their folders are opened.

Base of the store's parts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Literal, TypeAlias

from svstorage import forks
from svstorage.errors import BucketNotFound
from svstorage.model import Attributes

from . import folding, xattrs
from .failures import LinkInTheWay, failure
from .folders import STEP, TO_SYNC, LastFolder, open_base, open_below, sync_folder
from .keys import KeyPath, bucket_name, check_encoding, key_path
from .walk import Links

Durability: TypeAlias = Literal["file", "folder", "none"]
"""When a stored object survives a loss of power (it survives kill -9 in every case).

``folder``, the default: the bytes are on disk before the object gets its name, so that it is the
old or the new one whatever happens; that it is the new one is certain after `LocalStore.flush`,
which a copy calls at its end. ``file``: when ``put`` returns; costs a third more for small files.
``none``: whenever the kernel gets to it; a power loss can leave a short file.
"""

LINK_MARK = "svstorage-link"
"""User metadata of an object that stands for a symbolic link (``links="copy"``): its bytes are
the link's text."""
LINK_ATTRIBUTES = Attributes(metadata={LINK_MARK: "1"})
_UNSYNCED_FOLDERS = 1000
_KNOWN_FOLDERS = 10_000


class Root:
    """The folder that holds the buckets, or that is the one bucket ``""``."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        links: Links = "follow",
        durability: Durability = "folder",
        single_folder: bool = False,
    ) -> None:
        check_encoding()
        path = os.fspath(root)
        if not os.path.isabs(path) or path.endswith("/"):
            path = os.path.abspath(path)
        self._path = path
        self._root = os.fsencode(path)
        self._links: Links = links
        self._durability: Durability = durability
        self._single = single_folder
        self._unsynced: set[bytes] = set()
        self._folding: dict[tuple[str, tuple[bytes, ...]], bool] = {}  # by folder: see `folding`
        self._any_folds = False
        self._last_read, self._last_written = LastFolder(), LastFolder()
        self.after_fork()
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def in_sequence(self) -> Iterator[None]:
        """See `Sequential`: the folder of the last object stays open for the next."""
        both = (self._last_read, self._last_written)
        for last in both:
            last.on = True
        try:
            yield
        finally:
            for last in both:
                last.on = False
                last.drop()

    @cached_property
    def _has_xattrs(self) -> bool:
        return xattrs.supported(self._root)

    def _base(self, bucket: str) -> bytes:
        if self._single:
            if bucket:
                raise BucketNotFound(f"{self._path!r} is one folder and has no buckets")
            return self._root
        return self._root + b"/" + bucket_name(bucket)

    def _key_path(self, bucket: str, key: str) -> KeyPath:
        return key_path(key, len(self._base(bucket)))

    def _open_bucket(self, bucket: str, flags: int = STEP, *, create: bool = False) -> int:
        base = self._base(bucket)
        shown = bucket or self._path
        try:
            try:
                return open_base(base, may_be_link=self._single, flags=flags)
            except FileNotFoundError:
                if not create:
                    raise
                os.makedirs(base, exist_ok=True)
                return open_base(base, may_be_link=self._single, flags=flags)
        except FileNotFoundError:
            what = "folder" if self._single else "bucket"
            raise BucketNotFound(f"there is no {what} {shown!r}") from None
        except OSError as error:
            if not self._single and os.path.islink(base):
                raise LinkInTheWay(
                    f"the bucket {shown!r} is a symbolic link; svstorage does not follow it"
                ) from None
            if isinstance(error, NotADirectoryError):
                raise BucketNotFound(f"{shown!r} is a file, not a folder") from None
            if isinstance(error, PermissionError) and flags != STEP:
                return self._open_bucket(bucket)
            raise failure(error, "open the bucket", shown) from error

    def _open_parents(self, bucket: str, path: KeyPath) -> int:
        return open_below(self._open_bucket(bucket), path.parents, path.key)

    def _folds(self, bucket: str, parents: tuple[bytes, ...], folder: int, name: bytes) -> bool:
        """Whether names fold in this folder, as far as ``name`` tells (`folding.shows`)."""
        place = (bucket, parents)
        known = self._folding.get(place)
        if known is None:
            known = folding.shows(folder, name)
            if known is None:
                return False
            if len(self._folding) >= _KNOWN_FOLDERS:
                self._folding.clear()
            self._folding[place] = known
            self._any_folds = self._any_folds or known
        return known

    def _is_other(self, bucket: str, path: KeyPath, folder: int) -> bool:
        """Whether the key's name in ``folder`` leads to something of another name (`folding`).

        Raises `OSError`.
        """
        if not self._folds(bucket, path.parents, folder, path.name):
            return False
        names = (*path.parents, path.name)
        return not folding.is_spelled(
            self._open_bucket(bucket), self._base(bucket), names, path.key
        )

    def _remember(self, folder: bytes) -> None:
        with self._lock:
            self._unsynced.add(folder)
            full = len(self._unsynced) > _UNSYNCED_FOLDERS
        if full:
            self.flush()

    def flush(self) -> None:
        """Make all that was stored survive a loss of power (with ``durability="folder"``)."""
        with self._lock:
            folders, self._unsynced = self._unsynced, set()
        failed: OSError | None = None
        for folder in folders:
            try:
                fd = os.open(folder, TO_SYNC & ~os.O_NOFOLLOW)
            except OSError:
                continue  # emptied and removed since, moved away, or not readable for us
            try:
                sync_folder(fd)
            except OSError as error:
                failed = error
            finally:
                os.close(fd)
        if failed is not None:
            raise failure(failed, "write to disk", self._path) from failed
