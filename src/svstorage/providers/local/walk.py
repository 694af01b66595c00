"""Walks the tree below a folder in byte order of the keys, lazily.

A folder sorts as ``name/``, which makes the walk of a tree come out in the order in which S3
lists the same keys. One folder's names are in memory at a time, plus the names not yet visited
of the folders above it; folders with very many names are sorted on disk (`names`).

Nothing but folders is opened. What cannot be an object is told as a `Problem`, never dropped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from svstorage.model import CommonPrefix, Entry, Problem, key_order

from .draft import remove_leftover
from .keys import temporary_kind
from .names import in_key_order

Links: TypeAlias = Literal["follow", "skip", "copy"]

_KIND = 0o170000
_REGULAR = stat.S_IFREG
_ODDITIES = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def version_token(found: os.stat_result) -> str:
    """The ETag of a local file: another modification time, size or inode is another version."""
    return "%x-%x-%x" % (found.st_mtime_ns, found.st_size, found.st_ino)  # noqa: UP031 (faster)


def file_entry(key: str, found: os.stat_result) -> Entry:
    """A file as an object."""
    return Entry(
        key, found.st_size, found.st_mtime_ns, version_token(found), None, found.st_ctime_ns
    )


def marker_entry(key: str, found: os.stat_result) -> Entry:
    """An empty folder as a folder marker. ``key`` ends in ``/``."""
    return Entry(key, 0, found.st_mtime_ns, version_token(found), None, found.st_ctime_ns)


@dataclass(slots=True)
class _Folder:
    """A folder being walked. ``path`` is free of links below the base and ends in ``/``;
    ``key`` is what the keys in it begin with; ``wanted`` and ``after`` are what is left of the
    prefix and of the last key seen, counted from here.
    """

    path: str
    key: str
    wanted: str
    after: str
    names: Iterator[str]


class Walk:
    """A walk below ``base`` (a real path without ``/`` at its end) within ``root``.

    ``links``: ``follow`` those that lead to a place within ``root`` (others are errors),
    ``skip`` all, or ``copy`` each as an object that holds the link's text.
    """

    def __init__(self, root: str, base: str, links: Links) -> None:
        self._root = root if root.endswith("/") else root + "/"
        self._base = base if base.endswith("/") else base + "/"
        self._links = links
        self._problem: Problem | None = None
        self._found = 0

    def objects(self, prefix: str = "", start_after: str = "") -> Iterator[Entry | Problem]:
        """Every object below the base, deep, in byte order of the keys.

        Raises `OSError` where the base itself cannot be read.
        """
        lstat = os.lstat
        first = _Folder(self._base, "", prefix, start_after, iter(()))
        first.names = self._names(first)
        if self._problem:
            yield self._problem
        stack = [first]
        while stack:
            folder = stack[-1]
            path, at = folder.path, folder.key
            for name in folder.names:
                if name[-1] == "/":
                    inner = self._enter(stack, folder, name)
                    if isinstance(inner, Problem):
                        yield inner
                    elif inner is not None:
                        yield from self._problem_or_marker(inner, folder, name)
                        stack.append(inner)
                        break
                    continue
                try:
                    found = lstat(path + name)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    yield _unreadable(at + name, error)
                    continue
                if found.st_mode & _KIND == _REGULAR:
                    modified, size = found.st_mtime_ns, found.st_size
                    yield Entry(
                        at + name,
                        size,
                        modified,
                        "%x-%x-%x" % (modified, size, found.st_ino),  # noqa: UP031 (faster)
                        None,
                        found.st_ctime_ns,
                    )
                else:
                    yield from self._special(path + name, at + name, found)
            else:
                stack.pop()

    def level(self, prefix: str = "") -> Iterator[Entry | CommonPrefix | Problem]:
        """The objects and folders that begin with ``prefix``, no deeper than its level."""
        folder = _Folder(self._base, "", prefix, "", iter(()))
        stack = [folder]
        while "/" in folder.wanted:
            name = next(self._names(folder), "")
            inner = self._enter(stack, folder, name) if name else None
            if isinstance(inner, Problem):
                yield inner
                return
            if inner is None:
                return
            yield from self._problem_or_marker(inner, folder, name)
            stack.append(inner)
            folder = inner
        if folder is stack[0]:
            folder.names = self._names(folder)
            if self._problem:
                yield self._problem
        for name in folder.names:
            key = folder.key + name
            try:
                found = os.lstat(folder.path + name.rstrip("/"))
            except FileNotFoundError:
                continue
            except OSError as error:
                yield _unreadable(key, error)
                continue
            if stat.S_ISDIR(found.st_mode):
                yield CommonPrefix(key if key.endswith("/") else key + "/")
            elif stat.S_ISREG(found.st_mode):
                yield file_entry(key, found)
            elif name.endswith("/"):
                inner = self._enter(stack, folder, name)
                if isinstance(inner, Problem):
                    yield inner
                elif inner is not None:
                    yield CommonPrefix(key)
            else:
                yield from self._special(folder.path + name, key, found)

    def _problem_or_marker(
        self, inner: _Folder, outer: _Folder, name: str
    ) -> Iterator[Entry | Problem]:
        """What there is to say of a folder just entered: cut short, or empty."""
        if self._problem:
            yield self._problem
        elif not self._found and len(outer.wanted) <= len(name):
            if outer.after.startswith(name):
                return
            try:
                found = os.lstat(inner.path)
            except OSError as error:
                yield _unreadable(inner.key, error)
                return
            yield marker_entry(inner.key, found)

    def _enter(self, stack: list[_Folder], outer: _Folder, name: str) -> _Folder | Problem | None:
        """Begin a folder. None: gone, or nothing that could hold what is wanted."""
        key = outer.key + name
        path = outer.path + name
        try:
            mode = os.lstat(path[:-1]).st_mode
            if stat.S_ISLNK(mode):
                real = self._inside(path[:-1], key, stack)
                if real is None or isinstance(real, Problem):
                    return real
                path = real + "/"
            elif not stat.S_ISDIR(mode):
                return _changed(key) if not outer.wanted else None
            inner = _Folder(
                path,
                key,
                outer.wanted[len(name) :],
                outer.after[len(name) :] if outer.after.startswith(name) else "",
                iter(()),
            )
            inner.names = self._names(inner)
        except FileNotFoundError:
            # Asked for by prefix it simply is not there; seen a moment ago it has vanished.
            if outer.wanted.startswith(name):
                return None
            return Problem(key, "the folder vanished while it was listed")
        except OSError as error:
            if isinstance(error, NotADirectoryError) and outer.wanted.startswith(name):
                return None
            return _unreadable(key, error)
        return inner

    def _names(self, folder: _Folder) -> Iterator[str]:
        """The names to visit, folders with ``/`` at the end. Raises `OSError`.

        Sets ``_found``, how many there are, wanted or not and with those being stored, and
        ``_problem``, where the folder could be read only in part.
        """
        self._problem = None
        self._found = 1
        wanted, after = folder.wanted, folder.after
        slash = wanted.find("/") + 1
        if slash:
            step = wanted[:slash]
            if step in ("/", "./", "../") or "\0" in step or not _not_before(step, after):
                return iter(())
            return iter((step,))
        self._found = 0
        names = self._scan(folder)
        if wanted:
            names = (name for name in names if name.startswith(wanted))
        if after:
            names = (name for name in names if _not_before(name, after))
        return in_key_order(names)

    def _scan(self, folder: _Folder) -> Iterator[str]:
        path = folder.path
        follow = self._links == "follow"
        count = 0
        with os.scandir(path) as scan:
            try:
                for entry in scan:
                    name = entry.name
                    if name.startswith(".svstorage-") and temporary_kind(name):
                        # What somebody is about to store here: no object, and no empty folder.
                        count += not remove_leftover(path + name)
                        continue
                    count += 1
                    if entry.is_dir(follow_symlinks=False) or (
                        follow and entry.is_symlink() and _leads_to_folder(path + name)
                    ):
                        name += "/"
                    yield name
            except OSError as error:
                self._problem = _unreadable(folder.key, error)
        self._found = count

    def _special(self, path: str, key: str, found: os.stat_result) -> Iterator[Entry | Problem]:
        """What is neither a plain file nor a folder that was seen as one."""
        mode = found.st_mode
        if stat.S_ISDIR(mode):
            yield _changed(key)
        elif not stat.S_ISLNK(mode):
            what = _ODDITIES.get(mode & _KIND, "no file")
            yield Problem(key, f"it is {what}, no file: never opened", "skipped")
        elif self._links == "skip":
            yield Problem(key, "it is a symbolic link: left out", "skipped")
        elif self._links == "copy":
            yield file_entry(key, found)
        else:
            real = self._inside(path, key, [])
            if isinstance(real, Problem):
                yield real
            elif real is not None:
                try:
                    target = os.lstat(real)
                except OSError as error:
                    yield _unreadable(key, error)
                    return
                if stat.S_ISREG(target.st_mode):
                    yield file_entry(key, target)
                elif stat.S_ISDIR(target.st_mode):
                    yield _changed(key)
                else:
                    yield from self._special(real, key, target)

    def _inside(self, path: str, key: str, stack: list[_Folder]) -> str | Problem | None:
        """Where the link at ``path`` leads. None where links are no part of the listing."""
        if self._links != "follow":
            return None
        try:
            real = os.path.realpath(path, strict=True)
        except FileNotFoundError:
            return Problem(key, "it is a symbolic link to something that does not exist")
        except OSError as error:
            return _unreadable(key, error)
        if not (real + "/").startswith(self._root):
            return Problem(key, "it is a symbolic link out of the folder that holds the storage")
        # A folder that holds one we are in would be walked for ever.
        if any(folder.path.startswith(real + "/") for folder in stack):
            return Problem(key, "it is a symbolic link to a folder that holds it (a loop)")
        return real


def _not_before(name: str, after: str) -> bool:
    """Whether something of ``name`` comes after ``after``: itself, or things in the folder."""
    if name[-1] == "/" and after.startswith(name):
        return True
    return key_order(name) > key_order(after)


def _leads_to_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False


def _changed(key: str) -> Problem:
    return Problem(key, "a file became a folder, or a folder a file, while it was listed")


def _unreadable(key: str, error: OSError) -> Problem:
    what = "the folder" if key.endswith("/") else "it"
    return Problem(key, f"{what} cannot be read: {error.strerror or error}")
