"""What is never carried: checkpoints, repositories, environments, and what the user says.

Patterns are those of gitignore(5) (through pathspec), in ``.svstorageignore`` at the top of the
folder; they come after the built-in ones, so that ``!/.local/`` takes one of those back. As in
git, nothing below an ignored folder can be taken back by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from pathspec import GitIgnoreSpec

from svstorage.errors import UsageError

OWN_FOLDER = ".svstorage"
"""Where the manifest and the status of a folder lie, or what is on its way into it; never carried,
whatever patterns say."""
FILE = ".svstorageignore"

BUILT_IN = (
    # what Jupyter, Python and version control can make again or keep elsewhere
    ".ipynb_checkpoints/", "__pycache__/", ".git/", ".hg/", ".svn/",
    ".venv/", "venv/", "node_modules/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/",
    # halves of a save: Jupyter's .~name, editors' swap files, names of deleted open files
    ".~*", ".*.sw[a-p]", ".#*", ".nfs*", ".fuse_hidden*",
    # where the folder is a home folder: caches, programs, keys to other places
    "/.cache/", "/.local/", "/.config/", "/.jupyter/", "/.ipython/", "/.conda/", "/.npm/",
    "/.ssh/", "/.gnupg/", "/.aws/", "/.azure/", "/.kube/", "/.docker/",
    ".Trash-*/", "lost+found/",
)  # fmt: skip

_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


class Ignore:
    """Answers for keys relative to the folder. Folders' answers are remembered."""

    def __init__(self, lines: Iterable[str] = (), files: Iterable[str] = ()) -> None:
        self._spec = GitIgnoreSpec.from_lines([*BUILT_IN, *lines])
        self._files = frozenset(files)
        self._folders: dict[str, bool] = {"": False}

    @classmethod
    def of_folder(cls, root: Path, settings_file: Path | None = None) -> Ignore:
        """The rules of a folder. ``settings_file`` is left out where it lies in it: it holds the
        keys to the storage.

        Raises:
            UsageError: ``.svstorageignore`` cannot be read or has a line that is no pattern.
        """
        files = []
        if settings_file is not None:
            with contextlib.suppress(ValueError):  # it lies elsewhere
                files.append(str(settings_file.relative_to(root)))
        try:
            text = (root / FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(files=files)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{FILE}: cannot be read ({error}); nothing was carried") from None
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            try:
                GitIgnoreSpec.from_lines([line])
            except ValueError:
                raise UsageError(
                    f"{FILE}, line {number}: is no gitignore pattern; nothing was carried"
                ) from None
        return cls(lines, files)

    def key(self, key: str) -> bool:
        """Whether the file of this key is left out."""
        if key in self._files:
            return True
        folder, _, _ = key.rpartition("/")
        if folder and self.folder(folder + "/"):
            return True
        return self._spec.match_file(key)

    def folder(self, key: str) -> bool:
        """Whether everything in this folder (``key`` ends in ``/``) is left out."""
        known = self._folders.get(key)
        if known is None:
            above = key[:-1].rpartition("/")[0]
            known = (
                f"/{key}".endswith(f"/{OWN_FOLDER}/")
                or (bool(above) and self.folder(above + "/"))
                or self._spec.match_file(key)
            )
            self._folders[key] = known
        return known

    def look_into(self, root: Path, key: str) -> bool:
        """Like `folder`, and notices virtual and conda environments, whatever their name."""
        if not self.folder(key):
            inside = root / key
            if any((inside / mark).exists() for mark in _ENVIRONMENT_MARKS):
                self._folders[key] = True
        return self._folders[key]
