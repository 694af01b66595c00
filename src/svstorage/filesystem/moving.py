"""Bulk calls: download, upload, copy and move by the rules of fsspec."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from svstorage.errors import KeyNotSupported, ListingError, ObjectError
from svstorage.filesystem import bulk, listing, local, paths
from svstorage.filesystem.deleting import Deleting
from svstorage.filesystem.places import Place, shown
from svstorage.filesystem.plans import common_folder, cuts, local_plan, without_clashes, zipped
from svstorage.model import Problem


class Moving(Deleting):
    """Copies many objects at once."""

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download objects, by fsspec's rules for copying files and directories.

        Names that a disk cannot hold, or not beside each other (``a`` and ``a/b``), are failures
        of those objects.
        """
        failures: list[tuple[str, Exception]] = []
        pairs: list[tuple[str, str]] = []
        if isinstance(rpath, (list, tuple)) and isinstance(lpath, (list, tuple)):
            pairs = zipped(rpath, lpath, os.fspath)
        else:
            root = os.path.abspath(os.path.expanduser(os.fspath(lpath)))
            as_folder = os.fspath(lpath).endswith("/") or os.path.isdir(root)
            plan = self._plan(rpath, recursive, maxdepth, as_folder, failures)
            needed = {relative[:cut] for _, relative in plan for cut in cuts(relative)}
            for source, relative in plan:
                try:
                    if relative in needed:
                        raise KeyNotSupported(
                            f"{shown(source)}: a local disk cannot hold a file and a folder of "
                            f"one name ({relative!r})"
                        )
                    pairs.append((source, local.local_target(root, relative)))
                except ObjectError as error:
                    failures.append((source, error))
        self._transfer(self.get_file, pairs, callback, failures, kwargs)

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload files, by fsspec's rules for copying files and directories.

        Pipes, sockets, dangling links and links to folders are failures of those files.
        """
        failures: list[tuple[str, Exception]] = []
        pairs: list[tuple[str, str]]
        if isinstance(lpath, (list, tuple)) and isinstance(rpath, (list, tuple)):
            pairs = zipped(lpath, rpath, paths.text_of)
        else:
            target = paths.text_of(rpath)
            as_folder = target.endswith("/") or self.isdir(target)
            plan = local_plan(lpath, recursive, maxdepth, as_folder, failures)
            root = paths.locate(target).folder_path if as_folder else target
            pairs = [(source, paths.joined(root, relative)) for source, relative in plan]
        self._transfer(self.put_file, pairs, callback, failures, kwargs)

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy objects, by fsspec's rules for copying files and directories."""
        failures: list[tuple[str, Exception]] = []
        pairs = self._copy_pairs(path1, path2, recursive, maxdepth, failures)

        def one(pair: tuple[str, str]) -> None:
            self.cp_file(*pair)

        for (source, _), error in bulk.in_parallel(one, pairs):
            if isinstance(error, FileNotFoundError) and on_error == "ignore":
                continue
            if isinstance(error, Exception):
                failures.append((source, error))
        bulk.raise_failures(failures)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy, and delete just what was copied well.

        A folder without ``recursive`` is an error: fsspec's rule that a copy passes it over
        would leave a move that did nothing and said so to nobody.
        """
        failures: list[tuple[str, Exception]] = []
        pairs = self._copy_pairs(path1, path2, recursive, maxdepth, failures)
        if not pairs and not failures and isinstance(path1, (str, os.PathLike)):
            name = paths.text_of(path1)
            raise IsADirectoryError(errno.EISDIR, "A folder moves with recursive=True", name)
        places = [(pair, self._places.find(pair[0]), self._places.find(pair[1])) for pair in pairs]
        moves = [pair for pair, source, target in places if not source.same_object(target)]
        # What another move writes must not be deleted as this one's source.
        written = {pair[1] for pair in moves}
        done: list[str] = []
        for (source, _), error in bulk.in_parallel(lambda pair: self.cp_file(*pair), moves):
            if isinstance(error, Exception):
                failures.append((source, error))
            elif source not in written:
                done.append(source)
        self._delete(done, failures)
        bulk.raise_failures(failures)

    def _copy_pairs(
        self,
        path1: Any,
        path2: Any,
        recursive: bool,
        maxdepth: int | None,
        failures: list[tuple[str, Exception]],
    ) -> list[tuple[str, str]]:
        if isinstance(path1, (list, tuple)) and isinstance(path2, (list, tuple)):
            return zipped(path1, path2, paths.text_of)
        target = paths.text_of(path2)
        as_folder = target.endswith("/") or self.isdir(target)
        plan = self._plan(path1, recursive, maxdepth, as_folder, failures)
        root = paths.locate(target).folder_path if as_folder else target
        return [(source, paths.joined(root, relative)) for source, relative in plan]

    def _plan(
        self,
        path: Any,
        recursive: bool,
        maxdepth: int | None,
        into_folder: bool,
        failures: list[tuple[str, Exception]],
    ) -> list[tuple[str, str]]:
        """What to copy: paths, and their names at the destination.

        After "Copying files and directories" of fsspec's documentation. Several sources go into
        the destination by their own names, a recursive one with its tree.
        """

        def note(place: Place, problem: Problem) -> None:
            if problem.severity == "error":
                path = place.path_of(problem.key)
                failures.append((path, ListingError(f"{shown(path)}: {problem.reason}")))
            else:
                listing.note_problem(place, problem)

        if isinstance(path, (list, tuple, set)):
            plan: list[tuple[str, str]] = []
            for one in path:
                plan += self._plan(one, recursive, maxdepth, True, failures)
            return without_clashes(plan, failures)
        text = paths.text_of(path)
        if self._is_pattern(text):
            found = self._expanded(path, recursive, maxdepth, note)
            names = sorted(found)
            kinds = {name: bool(i and i["type"] == "directory") for name, i in found.items()}
            if not recursive or maxdepth is not None:
                names = [name for name in names if not kinds[name]]
            if not found:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
            if not names:
                return []
            root = common_folder(names)
            return [(name, name[len(root) :]) for name in names if not kinds[name]]
        if not recursive:
            if not self.isfile(path) and (text.endswith("/") or self.isdir(path)):
                return []
            return [(text, paths.name_of(text) if into_folder else "")]
        found = self._expanded(path, True, maxdepth, note)
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
        here = paths.locate(path)
        start = len(here.bucket) + 1 + len(here.folder_prefix) if here.bucket else 0
        within = paths.name_of(text) if into_folder and not text.endswith("/") else ""
        plan = []
        for name, info in sorted(found.items()):
            if info and info["type"] == "directory":
                continue
            itself = name == text and not text.endswith("/")
            plan.append((name, within if itself else paths.joined(within, name[start:])))
        return plan

    def _transfer(
        self,
        work: Callable[..., None],
        pairs: list[tuple[str, str]],
        callback: Any,
        failures: list[tuple[str, Exception]],
        options: dict[str, Any],
    ) -> None:
        callback.set_size(len(pairs) + len(failures))

        def one(pair: tuple[str, str]) -> None:
            with callback.branched(*pair) as child:
                work(*pair, callback=child, **options)

        for (source, _), error in bulk.in_parallel(one, pairs):
            if isinstance(error, Exception):
                failures.append((source, error))
            callback.relative_update(1)
        bulk.raise_failures(failures)
