"""What was measured on: without it the numbers say nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from benchmarks.peers import TOOLS
from benchmarks.servers import version


def describe(work: Path, disk: Path) -> dict[str, str]:
    """Processor, memory, system, file systems, and the versions of all tools."""
    found = {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{_meminfo('MemTotal') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "data": f"{_filesystem(work)} (the disk of download-small-disk: {_filesystem(disk)})",
        "load before": f"{os.getloadavg()[2]:.1f} (15 minutes)",
    }
    asked = {"s5cmd": ["version"], "rclone": ["version"], "aws": ["--version"],
             "azcopy": ["--version"]}  # fmt: skip
    for tool in TOOLS:
        program = tool.program()
        if program is None:
            continue
        if tool.name in asked:
            found[tool.name] = version([program, *asked[tool.name]])
        else:
            package = {"msc": "multi-storage-client"}.get(tool.name, tool.name)
            if package == "svstorage-size":
                continue
            try:
                found[tool.name] = installed(package)
            except PackageNotFoundError:
                continue
    return found


def free_memory() -> int:
    """Bytes that programs can have without swapping."""
    return _meminfo("MemAvailable")


def _meminfo(name: str) -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _filesystem(folder: Path) -> str:
    """The type of the file system that a folder lies on."""
    best, kind = "", "unknown"
    try:
        for line in Path("/proc/mounts").read_text().splitlines():
            _, where, fs_type, *_ = line.split()
            inside = f"{folder}/".startswith(where.rstrip("/") + "/")
            if inside and len(where) > len(best):
                best, kind = where, fs_type
    except OSError:
        pass
    return kind
