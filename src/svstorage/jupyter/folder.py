"""The notebook folder: its files change places only in ways that lose no version.

A file that comes from the storage is made in the staging folder first. It takes its name by an
exchange (renameat2(2), RENAME_EXCHANGE), so that whatever stood under the name at that moment is
in our hands afterwards and can be looked at: if it is not the version that was to be replaced,
somebody has just saved, and it is kept as a conflict. Names are exchanged only within one file
system, so that each one mounted below the folder has a staging folder of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from svstorage.errors import KeyNotSupported, ObjectChanged, ObjectExists, StorageError
from svstorage.jupyter import mounts
from svstorage.jupyter.ignore import OWN_FOLDER
from svstorage.jupyter.names import conflict_name
from svstorage.jupyter.versions import digest_of, local_version, same_inode
from svstorage.model import Entry
from svstorage.providers.local.keys import key_path
from svstorage.providers.local.walk import file_entry

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Busy(StorageError):
    """Another process is at work on this folder and did not end in time."""


class Folder:
    """A folder with its staging area. ``root`` is an absolute path without links."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.own = self.root / OWN_FOLDER
        self.stage = self.own / "stage"
        self.mounts: list[str] = []
        self.lost_mounts: list[str] = []
        """Where something was mounted in an earlier pass, and now is nothing at all."""

    def prepare(self) -> None:
        """Make our own folder, unseen by others: what it holds is nobody's business."""
        self.own.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.stage.mkdir(exist_ok=True)

    @contextmanager
    def locked(self, wait: float = 60.0) -> Iterator[int]:
        """Be the only one to work on the folder; yields the file system's own time (ns).

        Raises:
            Busy: another process has been at it for ``wait`` seconds.
        """
        self.prepare()
        fd = os.open(self.own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                        raise
                if time.monotonic() >= deadline:
                    raise Busy(f"{self.root}: another process is keeping this folder in step")
                time.sleep(0.05)
            os.utime(fd)
            yield os.fstat(fd).st_ctime_ns
        finally:
            os.close(fd)

    # Looking

    def path(self, key: str) -> Path:
        """Where a key lies. Raises `KeyNotSupported` for one that no file can have."""
        key_path(key, len(os.fsencode(self.root)))
        return self.root / key

    def entry(self, key: str) -> Entry | None:
        """The plain file of a key, or None."""
        try:
            found = os.lstat(self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return file_entry(key, found) if stat.S_ISREG(found.st_mode) else None

    def obstacle(self, key: str) -> str | None:
        """Why no file of this key can be made here; None where it can."""
        try:
            path = self.path(key)
        except KeyNotSupported as error:
            return str(error)
        if key.endswith("/"):
            return "the name ends in /, which only a folder's does"
        for place in reversed([p for p in path.parents if p.is_relative_to(self.root)][:-1]):
            if place.is_symlink():
                return f"{place.relative_to(self.root)} is a symbolic link, which is not followed"
            if place.exists() and not place.is_dir():
                return f"{place.relative_to(self.root)} is a file, so nothing can lie in it"
        if path.is_dir() and not path.is_symlink():
            return "there is a folder of that name"
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return "something that is no plain file has that name"
        return None

    def look_at_mounts(self, before: list[str]) -> list[str]:
        """Find what is mounted below. ``before`` is what this said last time."""
        self.mounts = mounts.mounted_below(self.root)
        gone = set(before).difference(self.mounts)
        self.lost_mounts = [point for point in gone if mounts.is_emptied(self.root, point)]
        return sorted({*self.mounts, *self.lost_mounts})

    def is_lost(self, key: str) -> bool:
        """Whether the key lies where something was mounted."""
        return mounts.covering(self.lost_mounts, key) is not None

    # The staging folders

    def staged_name(self) -> str:
        return secrets.token_hex(8)

    def stage_of(self, key: str) -> Path:
        """The staging folder on the file system that holds ``key``. Raises `OSError`."""
        point = mounts.covering(self.mounts, key)
        if point is None:
            return self.stage
        own = self.root / point / OWN_FOLDER
        own.mkdir(mode=0o700, exist_ok=True)
        stage = own / "stage"
        stage.mkdir(exist_ok=True)
        return stage

    def staged(self, name: str, key: str) -> Path:
        return self.stage_of(key) / name

    def stages(self) -> Iterator[Path]:
        """All staging folders that there are."""
        places = [self.stage, *(self.root / point / OWN_FOLDER / "stage" for point in self.mounts)]
        yield from filter(Path.is_dir, places)

    # Changing

    def publish(self, name: str, key: str, expected: Entry | None, digest: str | None) -> list[str]:
        """Give a staged file its name in the place of ``expected`` (None: there is nothing).

        ``digest`` is that of the version to be replaced. Returns the keys under which versions
        had to be kept that nobody expected there.

        Raises:
            ObjectChanged: something else is there by now; the staged file is still staged.
        """
        staged, path = self.staged(name, key), self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        if expected is None:
            try:
                os.link(staged, path, follow_symlinks=False)
            except FileExistsError:
                raise ObjectChanged(f"{key}: a file of that name was made meanwhile") from None
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                _rename_new(staged, path, key)
                return []
            os.unlink(staged)
            return []
        now = self.entry(key)
        if now is None or local_version(now) != local_version(expected):
            raise ObjectChanged(f"{key}: it was changed meanwhile")
        # Jupyter asks before it saves over a file that is newer than what it has loaded: the
        # new version must look new, whatever the clock of the machine it was made on.
        later = max(time.time_ns(), (now.modified_ns or 0) + 1_000_000_000)
        os.utime(staged, ns=(later, later))
        _like(path, staged)
        if not exchange(staged, path):
            self._replace_without_exchange(staged, path, key, now)
            return []
        return self._look_at_what_came_out(staged, key, now, digest)

    def _look_at_what_came_out(
        self, staged: Path, key: str, expected: Entry, digest: str | None
    ) -> list[str]:
        out = file_entry(key, os.lstat(staged))
        if same_inode(local_version(out), local_version(expected)) or digest_of(staged) == digest:
            os.unlink(staged)
            return []
        return [self.keep(staged, key)]

    def _replace_without_exchange(self, staged: Path, path: Path, key: str, old: Entry) -> None:
        """For file systems that know no exchange; a save in the same instant could be lost."""
        now = self.entry(key)
        if now is None or local_version(now) != local_version(old):
            raise ObjectChanged(f"{key}: it was changed meanwhile")
        os.rename(staged, path)

    def remove(self, key: str, expected: Entry, name: str, digest: str) -> list[str]:
        """Remove a file if it is still ``expected``, and the folders that became empty.

        It goes through the staging folder (as ``name``), where it is looked at once more.
        """
        path, staged = self.path(key), self.staged(name, key)
        now = self.entry(key)
        if now is None or local_version(now) != local_version(expected):
            raise ObjectChanged(f"{key}: it was changed meanwhile")
        os.rename(path, staged)
        kept = self._look_at_what_came_out(staged, key, now, digest)
        for place in path.parents:
            if place == self.root or not place.is_relative_to(self.root):
                break
            try:
                os.rmdir(place)
            except OSError:
                break  # not empty
        return kept

    def keep(self, file: Path, key: str) -> str:
        """Move ``file`` under a name that tells a conflicting version of ``key``; the new key."""
        for number in range(1, 1000):
            other = conflict_name(key, number)
            target = self.path(other)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _rename_new(file, target, other)
            except ObjectExists:
                continue
            return other
        raise ObjectExists(f"{key}: there are a thousand conflicting versions of it")

    def keep_link(self, key: str) -> str:
        """Give the file of ``key`` a second name as a conflicting version; the new key."""
        path = self.path(key)
        for number in range(1, 1000):
            other = conflict_name(key, number)
            try:
                os.link(path, self.path(other), follow_symlinks=False)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                    raise
                import shutil

                copy = self.staged(self.staged_name(), key)
                shutil.copy2(path, copy, follow_symlinks=False)
                return self.keep(copy, key)
            return other
        raise ObjectExists(f"{key}: there are a thousand conflicting versions of it")

    def sync_folders(self, keys: set[str]) -> None:
        """Write the names in the folders of these keys to disk."""
        for place in {self.path(key).parent for key in keys}:
            try:
                fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                os.fsync(fd)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                    raise
            finally:
                os.close(fd)


def _like(old: Path, new: Path) -> None:
    """Give a new file the mode and owner of the one that it replaces: it stays a script."""
    found = os.lstat(old)
    os.chmod(new, stat.S_IMODE(found.st_mode))
    with contextlib.suppress(PermissionError):  # only root may give files away
        os.chown(new, found.st_uid, found.st_gid)


def _rename_new(source: Path, target: Path, key: str) -> None:
    """Rename that replaces nothing. Raises `ObjectExists`."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise ObjectExists(f"{key}: is there already") from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if os.path.lexists(target):
            raise ObjectExists(f"{key}: is there already") from None
        os.rename(source, target)
        return
    os.unlink(source)


def exchange(one: Path, other: Path) -> bool:
    """Let two files change places at once. False where the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    done = rename(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    if number == errno.ENOENT:
        raise ObjectChanged(f"{other.name}: it was removed meanwhile")
    raise OSError(number, os.strerror(number), str(other))
