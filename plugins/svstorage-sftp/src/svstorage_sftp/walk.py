"""Walks the tree below a bucket in byte order of the keys, lazily.

A folder sorts as ``name/``, which makes the walk come out in the order in which S3 lists the
same keys. The names of one folder are in memory at a time, and those not yet visited of the
folders above it. What cannot be an object is told as a `Problem`, never dropped.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass

import asyncssh

from svstorage.model import CommonPrefix, Entry, Problem
from svstorage_sftp.entries import entry_of, kind
from svstorage_sftp.failures import LOST, MISSING, failure
from svstorage_sftp.keys import is_draft, text
from svstorage_sftp.session import Session

_DRAFT_SECONDS = 86_400
_ODDITIES = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class _Name:
    """One name of a folder. ``sort`` is the name, with a closing ``/`` for a folder.

    ``path`` is where it really lies, free of links; ``problem`` is why it cannot be listed.
    """

    sort: bytes
    path: bytes
    attrs: asyncssh.SFTPAttrs
    problem: Problem | None = None


class Walk:
    """A walk below ``base`` (a real path of the server) within ``root``."""

    def __init__(self, session: Session, root: bytes, base: bytes) -> None:
        self._session = session
        self._root = root
        self._base = base

    def objects(self, prefix: bytes, after: bytes) -> Iterator[Entry | Problem]:
        """Every object below the base, deep, in order of the keys."""
        start = self._start(prefix)
        if start is None:
            return
        stack = [(*start, self._scan(*start))]
        yield from self._marker(*stack[0], prefix, after)
        while stack:
            key, _, names = stack[-1]
            name = next(names, None)
            if name is None:
                stack.pop()
                continue
            full = key + name.sort
            if not (full.startswith(prefix) or prefix.startswith(full)):
                continue
            if full <= after and not (name.sort.endswith(b"/") and after.startswith(full)):
                continue
            if name.problem is not None:
                yield name.problem
            elif not name.sort.endswith(b"/"):
                yield entry_of(text(full), name.attrs)
            elif any(one[1] == name.path for one in stack):
                yield Problem(text(full), "it is a symbolic link to a folder that holds it")
            else:
                inner = (full, name.path, self._scan(full, name.path))
                yield from self._marker(*inner, prefix, after)
                stack.append(inner)

    def level(self, prefix: bytes) -> Iterator[Entry | CommonPrefix | Problem]:
        """The objects and folders that begin with ``prefix``, no deeper than its level."""
        start = self._start(prefix)
        if start is None:
            return
        key, path = start
        names = self._scan(key, path)
        yield from self._marker(key, path, names, prefix, b"")
        for name in names:
            full = key + name.sort
            if not full.startswith(prefix):
                continue
            if name.problem is not None:
                yield name.problem
            elif full.endswith(b"/"):
                yield CommonPrefix(text(full))
            else:
                yield entry_of(text(full), name.attrs)

    def _start(self, prefix: bytes) -> tuple[bytes, bytes] | None:
        """The deepest folder that holds all that is wanted: key and real path."""
        below = prefix[: prefix.rfind(b"/") + 1]
        if not below:
            return b"", self._base
        names = below[:-1].split(b"/")
        if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
            return None
        path = self._base + b"/" + below[:-1]
        try:
            real, attrs = self._session.run(_look(self._session.client(), path))
        except asyncssh.Error as error:
            if isinstance(error, (*MISSING, asyncssh.SFTPBadMessage)):
                return None
            raise failure(error, "list", text(below)) from error
        if not stat.S_ISDIR(kind(attrs)) or not self._inside(real):
            return None
        return below, real

    def _marker(
        self, key: bytes, path: bytes, names: _Names, prefix: bytes, after: bytes
    ) -> Iterator[Entry | Problem]:
        """What there is to say of a folder just entered: cut short, or empty."""
        if names.problem is not None:
            yield names.problem
        elif names.empty and key and key.startswith(prefix) and key > after:
            try:
                attrs = self._session.run(self._session.client().stat(path))
            except MISSING:
                yield Problem(text(key), "the folder vanished while it was listed")
            except (OSError, asyncssh.Error) as error:
                raise failure(error, "list", text(key)) from error
            else:
                yield entry_of(text(key), attrs)

    def _scan(self, key: bytes, path: bytes) -> _Names:
        """The names in a folder, in order."""
        session = self._session
        try:
            found = session.run(session.client().readdir(path))
        except LOST as error:
            raise failure(error, "list", text(key)) from error
        except (OSError, asyncssh.Error) as error:
            said = "vanished while it was listed"
            if not isinstance(error, MISSING):
                said = "cannot be read: " + str(failure(error, "list", text(key)))
            return _Names([], Problem(text(key), f"the folder {said}"), empty=False)
        rows = []
        count = 0
        for row in found:
            name = row.filename.encode() if isinstance(row.filename, str) else row.filename
            if name in (b".", b".."):
                continue
            if is_draft(name):
                # What somebody is about to store here: no object, and no empty folder.
                count += not self._removed_leftover(path + b"/" + name, row.attrs)
                continue
            count += 1
            attrs = row.attrs
            if attrs.permissions is None or attrs.size is None:  # a server that tells only names
                try:
                    attrs = session.run(session.client().lstat(path + b"/" + name))
                except MISSING:
                    continue
                except (OSError, asyncssh.Error) as error:
                    raise failure(error, "list", text(key + name)) from error
            rows.append(self._name(key, path, name, attrs))
        rows.sort(key=lambda row: row.sort)
        return _Names(rows, None, empty=not count)

    def _name(self, key: bytes, path: bytes, name: bytes, attrs: asyncssh.SFTPAttrs) -> _Name:
        whole, what = path + b"/" + name, kind(attrs)
        if stat.S_ISREG(what):
            return _Name(name, whole, attrs)
        if stat.S_ISDIR(what):
            return _Name(name + b"/", whole, attrs)
        if not stat.S_ISLNK(what):
            odd = _ODDITIES.get(what, "no file")
            said = Problem(text(key + name), f"it is {odd}, no file: never opened", "skipped")
            return _Name(name, whole, attrs, said)
        return self._link(key, name, whole, attrs)

    def _link(self, key: bytes, name: bytes, path: bytes, attrs: asyncssh.SFTPAttrs) -> _Name:
        """What a symbolic link leads to, if that lies within the root."""

        def wrong(reason: str) -> _Name:
            return _Name(name, path, attrs, Problem(text(key + name), reason))

        try:
            real, target = self._session.run(_look(self._session.client(), path))
        except LOST as error:
            raise failure(error, "list", text(key + name)) from error
        except MISSING:
            return wrong("it is a symbolic link to something that does not exist")
        except (OSError, asyncssh.Error) as error:
            return wrong(f"it is a symbolic link that cannot be followed: {error}")
        if not self._inside(real):
            return wrong("it is a symbolic link out of the folder that holds the storage")
        if stat.S_ISDIR(kind(target)):
            return _Name(name + b"/", real, target)
        if stat.S_ISREG(kind(target)):
            return _Name(name, real, target)
        return wrong("it is a symbolic link to something that is no file")

    def _inside(self, real: bytes) -> bool:
        return (real + b"/").startswith(self._root.rstrip(b"/") + b"/")

    def _removed_leftover(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> bool:
        """Remove the draft of a writer that has been gone for a day; True if it was removed."""
        if attrs.mtime is None or time.time() - attrs.mtime < _DRAFT_SECONDS:
            return False
        if not path.rpartition(b"/")[2].startswith(b".svstorage-tmp-"):
            return False  # an upload in parts waits until it goes on
        try:
            self._session.run(self._session.client().remove(path))
        except (OSError, asyncssh.Error):
            return False  # somebody else's, or a read-only folder: it stays out of the listing
        return True


class _Names:
    """An iterator over the names of one folder. ``empty``: there is nothing at all in it."""

    def __init__(self, rows: list[_Name], problem: Problem | None, *, empty: bool) -> None:
        rows.reverse()
        self._rows = rows  # the last one is next, so that what is done with is let go
        self.problem = problem
        self.empty = empty

    def __iter__(self) -> _Names:
        return self

    def __next__(self) -> _Name:
        if not self._rows:
            raise StopIteration
        return self._rows.pop()


async def _look(client: asyncssh.SFTPClient, path: bytes) -> tuple[bytes, asyncssh.SFTPAttrs]:
    """Where a path really leads, and what is there."""
    real = await client.realpath(path)
    return real, await client.stat(path)
