"""Other file systems that are mounted below the notebook folder: a volume of data, a share."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TABLE = "/proc/self/mountinfo"  # proc_pid_mountinfo(5)
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mounted_below(root: Path) -> list[str]:
    """The folders below ``root`` on which something is mounted, relative to it, deepest first.

    The kernel's table is asked, since a bind mount of the same disk shows no other device
    number, though no file can be renamed into it. Empty where there is no such table.
    """
    try:
        lines = Path(_TABLE).read_bytes().splitlines()
    except OSError:
        return []
    above = os.fsencode(root) + b"/"
    points = set()
    for line in lines:
        point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])
        if point.startswith(above) and os.path.isdir(point):
            points.add(os.fsdecode(point[len(above) :]))
    return sorted(points, key=lambda point: (-point.count("/"), point))


def is_emptied(root: Path, point: str) -> bool:
    """Whether a folder that was a mount point is there without a single file."""
    folder = root / point
    return folder.is_dir() and not any(files for _, _, files in os.walk(folder))


def covering(points: list[str], key: str) -> str | None:
    """The deepest of ``points`` (deepest first) in which a key lies."""
    return next((point for point in points if key.startswith(f"{point}/")), None)
