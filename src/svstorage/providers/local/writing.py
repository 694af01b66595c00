"""Objects written: whole or not at all, and never through a symbolic link."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import dropwhile
from typing import TYPE_CHECKING

from svstorage.errors import KeyNotSupported, ObjectError, ObjectExists, StorageError
from svstorage.model import Attributes, Checksum, Stored

from . import folding, xattrs
from .content import write_body
from .draft import Draft, is_conflict
from .failures import failure, file_and_folder
from .folders import TO_SYNC, open_below, sync_folder
from .keys import PATH_MAX, KeyPath
from .root import LINK_MARK, Root
from .walk import version_token

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from svstorage.providers.base import Body

_TRIES = 20
_NOTHING_TO_LOOK_AT = contextlib.nullcontext()


class Writing(Root):
    """The part of the store that puts objects."""

    def put(
        self,
        bucket: str,
        key: str,
        body: Buffer | Body,
        *,
        size: int,
        attributes: Attributes | None = None,
        modified_ns: int | None = None,
        md5: bytes | None = None,
        if_none_match: bool = False,
    ) -> Stored:
        path = self._key_path(bucket, key)
        if path.is_folder:
            return self._put_marker(bucket, path, size, modified_ns, if_none_match)
        made: list[int] = []
        try:
            with self._draft(bucket, path, made) as draft:
                write_body(draft.fd, body, size, md5, key)
                if self._links == "copy" and attributes and LINK_MARK in attributes.metadata:
                    return self._put_link(bucket, path, draft, size)
                found = self._publish(
                    draft, bucket, path, attributes, modified_ns, overwrite=not if_none_match
                )
        except BaseException as error:
            self._unmake(bucket, path, made)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise failure(error, "write", key) from error
            raise
        return self._stored(found, md5)

    def _draft(self, bucket: str, path: KeyPath, made: list[int]) -> Draft:
        """A draft beside ``path``; the folders made for it are added to ``made``."""
        place = (bucket, path.parents)
        for attempt in range(_TRIES):
            folder = self._last_written.get(place) if not attempt else -1
            if folder < 0:
                folder = self._open_for_writing(bucket, path, made)
                self._last_written.keep(place, folder)
            try:
                draft = Draft(folder)
            except BaseException as error:
                os.close(folder)
                # Somebody deleted the last object of this folder, and with it the folder.
                if not isinstance(error, FileNotFoundError) or attempt == _TRIES - 1:
                    raise
                continue
            if self._folding.get(place) is not False:
                try:
                    self._check_free(bucket, path, folder, draft.name)
                except BaseException:
                    draft.close()
                    raise
            return draft
        raise AssertionError("unreachable")

    def _taking(
        self, bucket: str, path: KeyPath, folder: int, there: bytes
    ) -> AbstractContextManager[None]:
        """To be held around the call that gives an object its name in ``folder``.

        ``there`` is a name in that folder. Entering raises `KeyNotSupported` where the object's
        name would hit something spelled otherwise.
        """
        if not self._folds(bucket, path.parents, folder, there):
            return _NOTHING_TO_LOOK_AT
        where = self._base(bucket)
        return folding.taking(lambda: self._open_bucket(bucket), folder, where, path)

    def _check_free(self, bucket: str, path: KeyPath, folder: int, there: bytes) -> None:
        """Tell before its bytes are fetched that an object cannot be (`_taking`)."""
        if self._folds(bucket, path.parents, folder, there):
            folding.check_free(self._open_bucket(bucket), self._base(bucket), path)

    def _open_for_writing(self, bucket: str, path: KeyPath, made: list[int] | None = None) -> int:
        sync = self._durability != "none"
        for attempt in range(_TRIES):
            try:
                base = self._open_bucket(bucket, TO_SYNC, create=self._single)
                return open_below(base, path.parents, path.key, create=True, sync=sync, made=made)
            except FileNotFoundError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _unmake(self, bucket: str, path: KeyPath, made: Sequence[int]) -> None:
        """Remove the folders that a write made which came to nothing; those in use stay."""
        with contextlib.suppress(OSError, StorageError):
            for depth in sorted(set(made), reverse=True):
                above = open_below(self._open_bucket(bucket), path.parents[:depth], path.key)
                try:
                    os.rmdir(path.parents[depth], dir_fd=above)
                    folding.forget(self._base(bucket), path.parents[: depth + 1])
                finally:
                    os.close(above)

    def _publish(
        self,
        draft: Draft,
        bucket: str,
        path: KeyPath,
        attributes: Attributes | None,
        modified_ns: int | None,
        *,
        overwrite: bool = True,
    ) -> os.stat_result:
        fd = draft.fd
        if attributes is not None and self._has_xattrs:
            xattrs.write(fd, attributes, path.key)
        if modified_ns is not None:
            os.utime(fd, ns=(modified_ns, modified_ns))
        if self._durability != "none":
            os.fsync(fd)
        found = os.fstat(fd)
        try:
            sync_names = self._durability == "file"
            if self._any_folds:
                with self._taking(bucket, path, draft.folder, draft.name):
                    draft.publish(path.name, overwrite=overwrite, sync_names=sync_names)
            else:  # where there are very many, each microsecond counts
                draft.publish(path.name, overwrite=overwrite, sync_names=sync_names)
        except OSError as error:
            if not isinstance(error, StorageError) and is_conflict(error):
                raise file_and_folder(path.key) from None
            raise
        if self._durability == "folder":
            self._remember(b"/".join((self._base(bucket), *path.parents)))
        return found

    def _put_marker(
        self, bucket: str, path: KeyPath, size: int, modified_ns: int | None, new: bool
    ) -> Stored:
        if size:
            raise KeyNotSupported(
                f"{path.key!r}: a local disk holds a key that ends in / only as an empty folder, "
                f"and this object has {size} bytes"
            )
        try:
            found = self._make_folder(bucket, path, modified_ns, new)
        except StorageError:
            raise
        except OSError as error:
            raise failure(error, "make the folder", path.key) from error
        return Stored(0, version_token(found), None, found.st_mtime_ns)

    def _make_folder(
        self, bucket: str, path: KeyPath, modified_ns: int | None, new: bool
    ) -> os.stat_result:
        parent = self._open_for_writing(bucket, path)
        try:
            try:
                os.mkdir(path.name, dir_fd=parent)
            except FileExistsError:
                self._check_free(bucket, path, parent, path.name)
                if new:
                    raise ObjectExists(f"{path.key!r} is there already") from None
            else:
                try:
                    self._check_free(bucket, path, parent, path.name)
                except StorageError:
                    os.rmdir(path.name, dir_fd=parent)
                    raise
                if self._durability != "none":
                    sync_folder(parent)
            folder = open_below(os.dup(parent), (path.name,), path.key, create=True)
        finally:
            os.close(parent)
        try:
            if modified_ns is not None:
                os.utime(folder, ns=(modified_ns, modified_ns))
            return os.fstat(folder)
        finally:
            os.close(folder)

    def _put_link(self, bucket: str, path: KeyPath, draft: Draft, size: int) -> Stored:
        """Turn a draft that holds the text of a link into that link."""
        text = os.pread(draft.fd, PATH_MAX, 0)
        if not _stays_inside(path.parents, text):
            raise ObjectError(
                f"{path.key!r}: it stands for a symbolic link that leads, or may lead, out of the "
                "folder, which is not made"
            )
        with self._taking(bucket, path, draft.folder, draft.name):
            found = draft.publish_link(path.name, text)
        return Stored(size, version_token(found), None, found.st_mtime_ns)

    @staticmethod
    def _stored(found: os.stat_result, md5: bytes | None = None) -> Stored:
        checksum = Checksum("md5", md5.hex()) if md5 is not None else None
        return Stored(found.st_size, version_token(found), checksum, found.st_mtime_ns)


def _stays_inside(parents: Sequence[bytes], text: bytes) -> bool:
    """Whether a link in the folder ``parents`` with this text cannot lead out of the bucket.

    Behind a name, which may be a link itself, ``..`` leads where only the disk knows.
    """
    if not text or b"\0" in text or text.startswith(b"/"):
        return False
    steps = [step for step in text.split(b"/") if step not in (b"", b".")]
    down = list(dropwhile(lambda step: step == b"..", steps))
    return b".." not in down and len(steps) - len(down) <= len(parents)
