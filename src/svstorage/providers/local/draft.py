"""A file in the making: invisible to listings until it is complete, gone if it never is.

The draft lies in the folder of its object under a temporary name. Its writer holds a lock
(``flock``) on it, which the kernel drops when the process dies in whatever way: a draft that
nobody locks is a leftover and may be removed by anybody (`remove_leftover`).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import secrets
import time

from svstorage.errors import ObjectExists

from .folders import sync_folder
from .keys import temporary_kind, temporary_name

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DAY_NS = 86_400 * 10**9


def _host_tag() -> str:
    """8 hex digits of this boot of this kernel: locks tell the truth only within one.

    The boot id (proc(5), /proc/sys/kernel/random/boot_id) is shared by all containers of a
    machine, as the locks are.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read()
    except OSError:
        boot = secrets.token_bytes(16)
    return hashlib.blake2b(boot, digest_size=4).hexdigest()


_HOST = _host_tag()
_NUMBERS = itertools.count()


def _number_anew() -> None:
    """A name costs no system call so; two processes that meet in one are told apart by O_EXCL.

    A forked process begins elsewhere: with the numbers of its siblings it would meet their names
    all the time, and take one that `remove_leftover` is about to remove.
    """
    global _NUMBERS  # noqa: PLW0603
    _NUMBERS = itertools.count(int.from_bytes(secrets.token_bytes(4), "big"))


_number_anew()
os.register_at_fork(after_in_child=_number_anew)


class Draft:
    """A temporary file in ``folder`` (an open descriptor, which the draft closes at its end).

    Raises `OSError` where it cannot be made. Use `publish` or leave it to `discard`; as a
    context manager it discards whatever was not published.
    """

    __slots__ = ("_folder", "_name", "fd")

    def __init__(self, folder: int, *, mode: int = 0o666) -> None:
        self._folder = folder
        while True:
            name = temporary_name("tmp", f"{_HOST}{next(_NUMBERS) & 0xFFFFFFFF:08x}").encode()
            try:
                fd = os.open(name, _CREATE, mode, dir_fd=folder)
            except FileExistsError:
                continue
            if _lock(fd):
                break
            # A sweep took it for a leftover between the two calls; it removes it now.
            os.close(fd)
        self.fd = fd
        self._name: bytes | None = name

    @property
    def folder(self) -> int:
        return self._folder

    @property
    def name(self) -> bytes:
        """Its temporary name. Raises `ValueError` once it is published."""
        return self._draft_name()

    def publish(self, name: bytes, *, overwrite: bool, sync_names: bool) -> None:
        """Give the draft its name at once and for good. Its content must be on disk by now.

        Raises `ObjectExists` without ``overwrite`` where the name is taken, else `OSError`.
        """
        draft = self._draft_name()
        if overwrite:
            os.rename(draft, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._name = None
        else:
            try:
                os.link(
                    draft,
                    name,
                    src_dir_fd=self._folder,
                    dst_dir_fd=self._folder,
                    follow_symlinks=False,
                )
            except FileExistsError:
                raise ObjectExists(f"{os.fsdecode(name)!r} is there already") from None
            os.unlink(draft, dir_fd=self._folder)
            self._name = None
        if sync_names:
            sync_folder(self._folder)

    def publish_link(self, name: bytes, text: bytes) -> os.stat_result:
        """Put a symbolic link in the place of the draft and give that the name."""
        draft = self._draft_name()
        os.unlink(draft, dir_fd=self._folder)
        os.symlink(text, draft, dir_fd=self._folder)
        os.rename(draft, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._name = None
        return os.stat(name, dir_fd=self._folder, follow_symlinks=False)

    def _draft_name(self) -> bytes:
        if self._name is None:
            raise ValueError("the draft has been published already")
        return self._name

    def close(self) -> None:
        """Close the descriptors, and remove the file if it was not published."""
        if self.fd < 0:
            return
        try:
            if self._name is not None:
                os.unlink(self._name, dir_fd=self._folder)
                self._name = None
        except FileNotFoundError:
            pass
        finally:
            os.close(self.fd)
            os.close(self._folder)
            self.fd = self._folder = -1

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError:
        return True  # no locks here (some network file systems): leftovers stay
    return os.fstat(fd).st_nlink > 0


def remove_leftover(path: str) -> bool:
    """Remove the draft at ``path`` if its writer is dead; True if it was removed.

    A draft of another machine, or of before a restart, must also be a day old.
    Drafts of uploads in parts are never leftovers: they wait for their upload to go on.
    """
    name = path.rpartition("/")[2]
    if temporary_kind(name) != "tmp":
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = name.startswith(f".svstorage-tmp-{_HOST}")
        if not ours and time.time_ns() - os.fstat(fd).st_mtime_ns < _DAY_NS:
            return False
        if not os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False)):
            return False  # it has been published meanwhile, and another draft has its name
        os.unlink(path)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def is_conflict(error: OSError) -> bool:
    """True where a rename failed because a folder has the name (rename(2))."""
    return error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)
