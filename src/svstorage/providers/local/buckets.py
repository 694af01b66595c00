"""Buckets: the folders of the root."""

from __future__ import annotations

import os

from svstorage.errors import (
    BucketNotFound,
    KeyNotSupported,
    ObjectError,
    ObjectExists,
    StorageError,
)
from svstorage.model import BucketInfo

from .draft import is_conflict, remove_leftover
from .failures import LinkInTheWay, failure
from .folders import TO_SYNC
from .keys import temporary_kind
from .root import Root


class Buckets(Root):
    """The part of the store that deals with buckets."""

    def list_buckets(self) -> list[BucketInfo]:
        if self._single:
            return [BucketInfo("")] if os.path.isdir(self._path) else []
        found = []
        try:
            with os.scandir(self._path) as scan:
                for entry in scan:
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                        found.append(BucketInfo(entry.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise failure(error, "list the buckets", self._path) from error
        return sorted(found, key=lambda bucket: os.fsencode(bucket.name))

    def bucket_exists(self, bucket: str) -> bool:
        try:
            os.close(self._open_bucket(bucket))
        except (BucketNotFound, LinkInTheWay):
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        try:
            base = self._base(bucket)
        except BucketNotFound as error:
            raise KeyNotSupported(str(error)) from None
        try:
            if not self._single:
                os.makedirs(self._root, exist_ok=True)
                os.mkdir(base)
            else:
                os.makedirs(base)
        except FileExistsError:
            raise ObjectExists(f"the bucket {bucket!r} is there already") from None
        except OSError as error:
            raise failure(error, "make the bucket", bucket) from error

    def delete_bucket(self, bucket: str) -> None:
        folder = self._open_bucket(bucket, TO_SYNC)
        try:
            with os.scandir(folder) as scan:
                names = [entry.name for entry in scan]
            base = os.fsdecode(self._base(bucket))
            if any(temporary_kind(name) is None for name in names):
                raise ObjectError(f"the bucket {bucket!r} is not empty")
            for name in names:
                remove_leftover(f"{base}/{name}")
            os.rmdir(base)
        except StorageError:
            raise
        except OSError as error:
            if is_conflict(error):
                raise ObjectError(
                    f"the bucket {bucket!r} is not empty: something is being written to it"
                ) from None
            raise failure(error, "remove the bucket", bucket) from error
        finally:
            os.close(folder)
