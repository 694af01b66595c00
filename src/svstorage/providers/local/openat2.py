"""openat2(2), which Python does not have: a path below a folder in one call, links refused."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

# The number is the same on all architectures but alpha (openat2(2), since Linux 5.6).
_SYS_OPENAT2 = 437
# linux/openat2.h
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _opener() -> Callable[[int, bytes, int], int]:
    def cannot(folder: int, path: bytes, flags: int) -> int:
        return -1

    if not sys.platform.startswith("linux") or os.uname().machine == "alpha":
        return cannot
    try:
        syscall = ctypes.CDLL(None).syscall
    except (OSError, AttributeError):
        return cannot
    syscall.restype = ctypes.c_long
    syscall.argtypes = (
        ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t,
    )  # fmt: skip
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    size = ctypes.sizeof(_OpenHow)
    hows: dict[int, _OpenHow] = {}

    def opened(folder: int, path: bytes, flags: int) -> int:
        how = hows.get(flags)
        if how is None:
            how = hows[flags] = _OpenHow(flags, 0, resolve)
        return int(syscall(_SYS_OPENAT2, folder, path, ctypes.addressof(how), size))

    # An old kernel has no such call, and filters for containers may refuse it.
    try:
        works = opened(here := os.open("/", os.O_PATH | os.O_CLOEXEC), b".", os.O_PATH)
    except OSError:
        return cannot
    os.close(here)
    if works < 0:
        return cannot
    os.close(works)
    return opened


open_beneath = _opener()
"""``open_beneath(folder, path, flags)``: a descriptor, or -1 for whatever reason. Existing
folders only."""
