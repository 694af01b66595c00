"""Objects deleted, with the folders that became empty by it; never through a symbolic link."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from svstorage.errors import StorageError

from . import folding
from .draft import is_conflict
from .failures import failure
from .folders import open_below
from .keys import KeyPath
from .root import Root


class Deleting(Root):
    """The part of the store that deletes objects."""

    def delete(self, bucket: str, key: str) -> None:
        path = self._key_path(bucket, key)
        try:
            folders = self._open_all(bucket, path)
        except StorageError:
            raise
        except FileNotFoundError:
            return
        except OSError as error:
            raise failure(error, "delete", key) from error
        try:
            if self._is_other(bucket, path, folders[-1]):
                return
            if path.is_folder:
                os.rmdir(path.name, dir_fd=folders[-1])
            else:
                os.unlink(path.name, dir_fd=folders[-1])
            base = self._base(bucket)
            folding.forget(base, (*path.parents, path.name))
            self._prune(folders, path, base)
        except OSError as error:
            if not self._no_such_object(error, folders[-1], path):
                raise failure(error, "delete", key) from error
        finally:
            for folder in folders:
                os.close(folder)

    def delete_many(
        self, bucket: str, keys: Sequence[str]
    ) -> Sequence[tuple[str, Exception | None]]:
        outcomes: list[tuple[str, Exception | None]] = []
        for key in keys:
            try:
                self.delete(bucket, key)
            except StorageError as error:
                outcomes.append((key, error))
            else:
                outcomes.append((key, None))
        return outcomes

    def _open_all(self, bucket: str, path: KeyPath) -> Sequence[int]:
        """All folders on the way, the bucket first."""
        folders = [self._open_bucket(bucket)]
        try:
            for depth in range(len(path.parents)):
                step = os.dup(folders[-1])
                folders.append(open_below(step, path.parents[depth : depth + 1], path.key))
        except BaseException:
            for folder in folders:
                os.close(folder)
            raise
        return folders

    @staticmethod
    def _prune(folders: Sequence[int], path: KeyPath, base: bytes) -> None:
        for depth in range(len(path.parents) - 1, -1, -1):
            try:
                os.rmdir(path.parents[depth], dir_fd=folders[depth])
            except OSError:
                return  # not empty, or not ours to remove
            folding.forget(base, path.parents[: depth + 1])

    @staticmethod
    def _no_such_object(error: OSError, folder: int, path: KeyPath) -> bool:
        """Whether a delete failed because there is no object of that key, which is no failure."""
        if isinstance(error, FileNotFoundError):
            return True
        try:
            is_folder = stat.S_ISDIR(
                os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
            )
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if path.is_folder:
            # Other keys lie in the folder, so that there is no marker; or it is a file.
            return not is_folder or is_conflict(error)
        return is_folder
