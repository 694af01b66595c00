"""The files that are copied: random bytes, the same for every tool."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1 << 20


def tree(folder: Path, count: int, size: int) -> Path:
    """``count`` files of ``size`` bytes, at most a thousand in a folder. Made once."""
    done = folder.with_name(folder.name + ".made")
    if done.exists():
        return folder
    block = os.urandom(min(size, 4 * MIB) + count)
    for number in range(count):
        path = folder / f"d{number // 1000:04d}" / f"f{number:07d}.bin"
        if not number % 1000:
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            left = size
            while left > 0:
                piece = block[number : number + min(left, 4 * MIB)]
                file.write(piece)
                left -= len(piece)
    done.touch()
    return folder


def count_files(folder: Path) -> tuple[int, int]:
    """(files, bytes) below a folder: proof that a tool did what it was timed for."""
    files = size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            files += 1
            size += os.stat(os.path.join(path, name)).st_size
    return files, size
