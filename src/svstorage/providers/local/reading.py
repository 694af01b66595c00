"""Objects looked at and read, symbolic links resolved as the policy says."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from svstorage.errors import (
    AccessRefused,
    ObjectChanged,
    ObjectError,
    ObjectNotFound,
    ServiceError,
    StorageError,
)
from svstorage.model import Attributes, Entry, ObjectInfo

from . import xattrs
from .failures import LinkInTheWay, failure
from .folders import open_base, open_below
from .keys import KeyPath
from .reader import LinkReader, LocalReader
from .root import LINK_ATTRIBUTES, Root
from .walk import file_entry, marker_entry

if TYPE_CHECKING:
    from svstorage.providers.base import ObjectReader

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Reading(Root):
    """The part of the store that reads."""

    def head(self, bucket: str, key: str) -> ObjectInfo:
        path = self._key_path(bucket, key)
        try:
            folder, name, found = self._find(bucket, path, exact=True)
            try:
                entry = self._entry(path, found)
                if path.is_folder or not self._has_xattrs:
                    return ObjectInfo(entry)
                if stat.S_ISLNK(found.st_mode):
                    return ObjectInfo(entry, LINK_ATTRIBUTES)
                # A descriptor's entry in /proc takes the place of the fgetxattrat that is not.
                return ObjectInfo(entry, xattrs.read(b"/proc/self/fd/%d/%s" % (folder, name)))
            finally:
                os.close(folder)
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "read", key) from error

    def read(
        self,
        bucket: str,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> ObjectReader:
        path = self._key_path(bucket, key)
        fd = -1
        try:
            # An entry to be matched was spelled by a listing or by `head`.
            folder, name, found = self._find(bucket, path, exact=if_match is None)
            try:
                # Looked at before it is opened: opening a device or a pipe can do things.
                entry = self._entry(path, found)
                if stat.S_ISLNK(found.st_mode):
                    self._check_match(entry, if_match)
                    text = os.readlink(name, dir_fd=folder)
                    text = text[start : None if length is None else start + length]
                    return LinkReader(text, ObjectInfo(entry, LINK_ATTRIBUTES))
                fd = os.open(
                    name, (_READ | os.O_DIRECTORY) if path.is_folder else _READ, dir_fd=folder
                )
            finally:
                os.close(folder)
            found = os.fstat(fd)
            entry = self._entry(path, found)
            self._check_match(entry, if_match)
            attributes = (
                xattrs.read(fd) if self._has_xattrs and not path.is_folder else Attributes()
            )
            count = entry.size - start if length is None else length
            if count < 0 or start + count > entry.size:
                raise ServiceError(
                    f"{key!r}: it ends at byte {entry.size}, before the range asked for"
                )
            reader = LocalReader(
                fd, found, ObjectInfo(entry, attributes), start, count, current=if_match is not None
            )
            fd = -1
            return reader
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "read", key) from error
        finally:
            if fd >= 0:
                os.close(fd)

    def _find(
        self, bucket: str, path: KeyPath, *, exact: bool
    ) -> tuple[int, bytes, os.stat_result]:
        """An open folder, the name in it where the object lies, and what is there; links
        resolved as the policy says. The folder is the caller's to close. ``exact``: not what
        only a disk that folds names takes for it. Raises `OSError`.
        """
        place = (bucket, path.parents)
        folder = self._last_read.get(place)
        try:
            found = _look(folder, path.name) if folder >= 0 else None
        except FileNotFoundError:
            found = None  # the folder may have been moved away
        if found is None:
            folder = self._open_bucket(bucket)
            try:
                folder = open_below(folder, path.parents, path.key)
            except LinkInTheWay:
                return self._find_real(bucket, path)
            found = _look(folder, path.name)
            self._last_read.keep(place, folder)
        if exact:
            try:
                if self._is_other(bucket, path, folder):
                    raise ObjectNotFound(
                        f"{path.key!r}: it is not there, only a name that this disk folds into it"
                    )
            except BaseException:
                os.close(folder)
                raise
        if not stat.S_ISLNK(found.st_mode) or self._links == "copy":
            return folder, path.name, found
        os.close(folder)
        return self._find_real(bucket, path)

    def _is_other_folder(self, bucket: str, prefix: str) -> bool:
        """Whether the folders of a prefix are there only for a disk that folds names."""
        if "/" not in prefix:
            return False
        try:
            path = self._key_path(bucket, prefix[: prefix.rindex("/") + 1])
            folder = self._open_parents(bucket, path)
            try:
                return self._is_other(bucket, path, folder)
            finally:
                os.close(folder)
        except (OSError, StorageError):
            return False  # not there, or behind a link: the walk says what there is to say

    def _find_real(self, bucket: str, path: KeyPath) -> tuple[int, bytes, os.stat_result]:
        """Resolve the links first, then go there from the root without following any."""
        if self._links != "follow":
            raise ObjectNotFound(
                f"{path.key!r}: it is, or lies behind, a symbolic link, and links are left out"
            )
        root = os.path.realpath(self._root)
        whole = b"/".join((self._base(bucket), *path.parents, path.name))
        real = os.path.realpath(whole, strict=True)
        inside = root if root.endswith(b"/") else root + b"/"
        if not real.startswith(inside):
            raise AccessRefused(
                f"{path.key!r}: a symbolic link on the way leads out of {self._path!r}"
            )
        *parents, name = real[len(inside) :].split(b"/")
        folder = open_below(open_base(root, may_be_link=False), parents, path.key)
        return folder, name, _look(folder, name)

    def _entry(self, path: KeyPath, found: os.stat_result) -> Entry:
        mode = found.st_mode
        if path.is_folder:
            if stat.S_ISDIR(mode):
                return marker_entry(path.key, found)
        elif stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and self._links == "copy"):
            return file_entry(path.key, found)
        elif not stat.S_ISDIR(mode):
            raise ObjectError(f"{path.key!r}: it is no file (a pipe, socket or device)")
        raise ObjectNotFound(f"{path.key!r}: it is not there")

    @staticmethod
    def _check_match(entry: Entry, wanted: str | None) -> None:
        if wanted is not None and entry.etag != wanted:
            raise ObjectChanged(f"{entry.key!r}: it is another version than the one listed")


def _look(folder: int, name: bytes) -> os.stat_result:
    """What has the name, links not followed; closes the folder where that fails."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except BaseException:
        os.close(folder)
        raise
