"""What a bulk call copies, and what each object is called at the destination.

After "Copying files and directories" of fsspec's documentation.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from glob import has_magic
from typing import Any

from svstorage.errors import ObjectError
from svstorage.filesystem import local, paths
from svstorage.filesystem.looking import check_depth


def local_plan(
    path: Any,
    recursive: bool,
    maxdepth: int | None,
    into_folder: bool,
    failures: list[tuple[str, Exception]],
) -> list[tuple[str, str]]:
    """Files to upload with their names at the destination; the rules are those of `_plan`."""
    if isinstance(path, (list, tuple, set)):
        plan: list[tuple[str, str]] = []
        for one in path:
            plan += local_plan(one, recursive, maxdepth, True, failures)
        return without_clashes(plan, failures)
    check_depth(maxdepth)
    text = os.path.expanduser(os.fspath(path))
    if has_magic(text) and not os.path.lexists(text):
        return _local_matches(text, recursive, maxdepth, failures)
    slash = text.endswith("/")
    text = os.path.abspath(text)
    if not os.path.isdir(text):
        return [(text, os.path.basename(text) if into_folder else "")]
    if not recursive:
        return []
    within = os.path.basename(text) if into_folder and not slash else ""
    plan = []
    for name, error in local.tree(text, maxdepth):
        if error is None:
            plan.append((os.path.join(text, name), paths.joined(within, name)))
        else:
            failures.append((os.path.join(text, name), error))
    return plan


def _local_matches(
    pattern: str, recursive: bool, maxdepth: int | None, failures: list[tuple[str, Exception]]
) -> list[tuple[str, str]]:
    from fsspec.implementations.local import LocalFileSystem

    matches = LocalFileSystem().glob(os.path.abspath(pattern), maxdepth=maxdepth, detail=True)
    if not matches:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), pattern)
    names: set[str] = set()
    files: set[str] = set()
    for name in matches:
        names.add(name)
        if not os.path.isdir(name):
            files.add(name)
        elif recursive and (maxdepth is None or maxdepth > 1):
            for inner, error in local.tree(name, None if maxdepth is None else maxdepth - 1):
                whole = os.path.join(name, inner)
                if error is not None:
                    failures.append((whole, error))
                else:
                    names.add(whole)
                    files.add(whole)
    if not recursive or maxdepth is not None:
        names = files
    if not files:
        return []
    root = common_folder(sorted(names))
    return [(name, name[len(root) :]) for name in sorted(files)]


def common_folder(names: Sequence[str]) -> str:
    """What fsspec makes the root of glob matches: the last folder that they share.

    A single match is copied by its name; a folder that holds all others is itself the root.
    """
    if len(names) == 1:
        name = names[0]
        return name[: name.rfind("/") + 1]
    split = [name.split("/") for name in names]
    common: list[str] = []
    for parts in zip(*split, strict=False):
        if any(part != parts[0] for part in parts):
            break
        common.append(parts[0])
    return "/".join(common) + "/" if common else ""


def cuts(relative: str) -> list[int]:
    """Where the folders of a relative path end."""
    return [at for at, character in enumerate(relative) if character == "/"]


def without_clashes(
    plan: list[tuple[str, str]], failures: list[tuple[str, Exception]]
) -> list[tuple[str, str]]:
    """Of several sources for one destination the first; the others are failures."""
    first: dict[str, str] = {}
    kept = []
    for source, relative in plan:
        other = first.setdefault(relative, source)
        if other != source:
            failures.append(
                (source, ObjectError(f"{source!r} and {other!r} would both become {relative!r}"))
            )
        else:
            kept.append((source, relative))
    return kept


def zipped(
    sources: Sequence[Any], targets: Sequence[Any], target_text: Callable[[Any], str]
) -> list[tuple[Any, str]]:
    """Two lists as pairs. Raises `ValueError` where they are not of one length."""
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources for {len(targets)} destinations")
    return [(s, target_text(t)) for s, t in zip(sources, targets, strict=True)]
