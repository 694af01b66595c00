"""Runs the command line over and over without paying for its imports each time.

A process of its own (``python forkserver.py SOCKET``) that imports svstorage once and forks for
each command: what runs in the child is the real command with its own arguments, environment,
folder and streams, and it may be killed like any process. It prints nothing itself.

A request may carry ``tweaks`` (see `tweak`): sizes in miniature, shorter waits, and points at
which the child kills itself or an operating system call fails.
"""

from __future__ import annotations

import array
import contextlib
import errno
import gc
import importlib
import itertools
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

# What a transfer loads sooner or later. None of them may start a thread at import.
PRELOAD = (
    "svstorage.cli.app",
    "svstorage.cli.commands.sync",
    "svstorage.cli.commands.cp",
    "svstorage.cli.commands.migrate",
    "svstorage.cli.commands.check",
    "svstorage.cli.commands.rm",
    "svstorage.cli.commands.ls",
    "svstorage.api",
    "svstorage.transfer.run",
    "svstorage.transfer.local_engine",
    "svstorage.providers.local.store",
    "svstorage.providers.s3.store",
    "svstorage.providers.s3.native",
    "svstorage.providers.azure.store",
    "svstorage.providers.azure.native",
    "svstorage.strategies.native",
    "svstorage.strategies.parts",
    "svstorage.strategies.stream",
    "svstorage.strategies.server_side",
    "svstorage.strategies.marker",
    "obstore.store",
    "tenacity",
    "sqlite3",
    "urllib3",
)


def tweak(tweaks: dict[str, Any]) -> None:
    """Change constants of the program in this process.

    ``sizes``: objects from 1 MiB go in parts of 256 KiB, and above 64 KiB no longer through
    obstore, so that every way through the program is taken with small objects.
    ``read_timeout``: seconds without a byte. ``longest_wait``: of the waits between tries.
    ``kill``: ``[module:attribute, n, "before"|"after"]``, SIGKILL at its n-th call.
    ``fail``: ``[module:attribute, n, errno name, times]``, an `OSError` at its n-th call.
    """
    if tweaks.get("sizes"):
        _small_sizes()
    if (seconds := tweaks.get("read_timeout")) is not None:
        _read_timeout(seconds)
    if (seconds := tweaks.get("longest_wait")) is not None:
        _longest_wait(seconds)
    if "kill" in tweaks:
        name, number, when = tweaks["kill"]
        _kill_at(name, number, when)
    if "fail" in tweaks:
        name, number, code, times = tweaks["fail"]
        _fail_at(name, number, code, times)


def _find(name: str) -> tuple[Any, str]:
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(module)
    *way, last = path.split(".")
    for part in way:
        owner = getattr(owner, part)
    getattr(owner, last)  # a tweak of something that is gone must fail, not be ignored
    return owner, last


def _set(name: str, value: Any) -> None:
    owner, last = _find(name)
    setattr(owner, last, value)


KIB = 1024


def _small_sizes() -> None:
    from svstorage.providers.s3.limits import LIMITS
    from svstorage.strategies import part_plan

    _set("svstorage.strategies.native:LARGEST", 64 * KIB)
    _set("svstorage.strategies.parts:PARTS_THRESHOLD", 1024 * KIB)
    _set("svstorage.transfer.carry:PARTS_THRESHOLD", 1024 * KIB)
    if part_plan.part_size.__defaults__ != (part_plan.PREFERRED_PART,):
        raise RuntimeError("the size of parts is no longer where this tweak looks for it")
    part_plan.part_size.__defaults__ = (256 * KIB,)
    _set("svstorage.strategies.part_plan:MIB", 64 * KIB)  # to whose multiples it rounds
    # The value is shared by all that read it: changed in place, frozen or not.
    object.__setattr__(LIMITS, "min_part", 64 * KIB)


def _longest_wait(seconds: float) -> None:
    for module in ("carry", "retry"):
        _set(f"svstorage.transfer.{module}:LONGEST_WAIT", seconds)
    _set("svstorage.strategies.parts:LONGEST_WAIT", seconds)


def _read_timeout(seconds: float) -> None:
    found = 0
    for name, module in list(sys.modules.items()):
        if not name.startswith("svstorage.providers."):
            continue
        if hasattr(module, "READ_TIMEOUT"):
            module.READ_TIMEOUT = seconds
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == name:
                defaults = getattr(value.__init__, "__kwdefaults__", None) or {}
                if "read_timeout" in defaults:
                    defaults["read_timeout"] = seconds
                    found += 1
    if found < 2:
        raise RuntimeError("the read timeouts are no longer where this tweak looks for them")


def _kill_at(name: str, number: int, when: str) -> None:
    owner, last = _find(name)
    real = getattr(owner, last)
    counter = itertools.count(1)  # its steps are atomic: many threads may call

    def counted(*args: Any, **named: Any) -> Any:
        mine = next(counter) == number
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*args, **named)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, last, counted)


def _fail_at(name: str, number: int, code: str, times: int) -> None:
    owner, last = _find(name)
    real = getattr(owner, last)
    counter = itertools.count(1)

    def counted(*args: Any, **named: Any) -> Any:
        if number <= next(counter) < number + times:
            value = getattr(errno, code)
            raise OSError(value, os.strerror(value))
        return real(*args, **named)

    setattr(owner, last, counted)


def serve(path: str) -> None:
    for module in PRELOAD:
        importlib.import_module(module)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    parent = os.getppid()
    while os.getppid() == parent:  # a server whose test run is gone has no business left
        for event, _ in selector.select(1.0):
            if event.fileobj is listener:
                connection, _ = listener.accept()
                pid = _begin(connection, listener)
                handle = os.pidfd_open(pid)
                selector.register(handle, selectors.EVENT_READ, (pid, connection))
            else:
                pid, connection = event.data
                selector.unregister(event.fileobj)
                os.close(event.fd)
                _, status = os.waitpid(pid, 0)
                # An error here means that nobody waits for it any more.
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _begin(connection: socket.socket, listener: socket.socket) -> int:
    fds = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(2 * fds.itemsize))
    for _, _, found in ancillary:
        fds.frombytes(found)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 20)
    pid = os.fork()
    if pid == 0:
        listener.close()
        connection.close()
        _child(json.loads(data), *fds)
    for fd in fds:
        os.close(fd)
    connection.sendall(b"%d\n" % pid)
    return pid


def _child(request: dict[str, Any], out: int, err: int) -> None:
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        sys.argv = ["svstorage", *request["argv"]]
        for name, value in request.get("limits", {}).items():
            import resource

            resource.setrlimit(getattr(resource, name), (value, value))
        if request.get("ordinary"):
            _drop_privileges()
        tweak(request.get("tweaks", {}))
        from svstorage.cli import main

        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else (1 if end.code else 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _drop_privileges() -> None:
    """Let the permissions of files hold for root too (capabilities(7): CAP_DAC_OVERRIDE is 1,
    CAP_DAC_READ_SEARCH 2). Another user might not be able to read Python's own files."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(head, data):
        raise OSError(ctypes.get_errno(), "capget")
    for index in (0, 1):  # effective, permitted
        data[index] &= ~0b110
    if libc.capset(head, data):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    # As a script its folder would come first on the path and hide nothing good.
    sys.path.pop(0)
    serve(sys.argv[1])
