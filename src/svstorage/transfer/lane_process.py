"""The lane of small objects in processes of its own, which share no interpreter lock.

They are forked, which takes a small part of the time that starting an interpreter takes, and
before this process has a second thread, since only then a fork is safe. They try objects and
nothing else: planning, journal, report and further tries stay where they are. A process that
dies costs no object (`Lane` hands over what it had), and none outlives its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import mmap
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from svstorage.model import Checksum, Entry, Stored
from svstorage.strategies.base import Context, Job, Pair, Strategy
from svstorage.transfer import own_process
from svstorage.transfer.options import TransferOptions
from svstorage.transfer.pipelining import Batch, Landed, Missed, Pipelining, Try
from svstorage.transfer.stop import StopToken

if TYPE_CHECKING:
    from svstorage.transfer.pipelining import Source

log = logging.getLogger(__name__)

_LENGTH = struct.Struct("<I")
_DEPTH = 2
"""Batches in the hands of one process: a next one while one is under way."""
_TICK_SECONDS = 0.25
_LAST_WORDS_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Crew:
    """The processes of one run."""

    def __init__(self, members: Sequence[_Member], stop: mmap.mmap) -> None:
        self._members = members
        self._stop = stop

    def runners(self, stop: StopToken) -> list[_Remote]:
        return [_Remote(member, stop, self._stop) for member in self._members]


def hire(
    count: int, pair: Pair, choose: Callable[[Job], Strategy], options: TransferOptions
) -> Crew | None:
    """Fork ``count`` processes, or None where that is not wanted or not safe."""
    if not own_process.is_ours or count < 2 or not _has_one_thread():
        return None
    stop = mmap.mmap(-1, 1)
    parent = os.getpid()
    members: list[_Member] = []
    window = max(1, options.concurrency // count) if options.concurrency else None
    for _ in range(count):
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError as error:  # a limit of the container
            log.debug("no process for small objects: %s", error)
            ours.close()
            theirs.close()
            break
        if not pid:
            _settle_in(parent, [ours, *(member.sock for member in members)])
            _serve(theirs, pair, choose, options, stop, window)
        theirs.close()
        members.append(_Member(pid, ours))
    return Crew(members, stop) if members else None


def _has_one_thread() -> bool:
    """Also of threads that Python does not know."""
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class _Member:
    """One process and the socket that leads to it."""

    __slots__ = ("pid", "sock")

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.sock = sock


class _Remote:
    """Has one process try what comes: a `Runner` of the lane, in this process."""

    def __init__(self, member: _Member, stop: StopToken, flag: mmap.mmap) -> None:
        self._member = member
        self._stop = stop
        self._flag = flag
        self._poll = select.poll()
        self._poll.register(member.sock, select.POLLIN)

    def run(self, source: Source) -> None:
        sent: deque[Batch] = deque()
        ended = False
        while True:
            while not ended and len(sent) < _DEPTH:
                try:
                    batch = source.take(wait=not sent)
                except EOFError:
                    ended = True
                    break
                if batch is None:
                    break
                self._send([_packed_job(job) for job in batch.jobs])
                sent.append(batch)
            if not sent:
                break
            tries, records = self._receive()
            batch = sent.popleft()
            batch.tries.extend(map(_unpacked_try, tries))
            source.give_back(batch)
            for name, level, text in records:
                logging.getLogger(name).log(level, "%s", text)

    def close(self) -> None:
        """Let the process go, which ends as soon as it knows."""
        self._flag[0] = 1
        self._member.sock.close()
        until = time.monotonic() + _LAST_WORDS_SECONDS
        with contextlib.suppress(ChildProcessError):  # somebody else has waited for it
            while not os.waitpid(self._member.pid, os.WNOHANG)[0]:
                if time.monotonic() > until:
                    os.kill(self._member.pid, signal.SIGKILL)
                    os.waitpid(self._member.pid, 0)
                    return
                time.sleep(0.002)

    def _send(self, message: Any) -> None:
        _send(self._member.sock, message)

    def _receive(self) -> Any:
        while not self._poll.poll(_TICK_SECONDS * 1000):
            if self._stop.stopped:
                self._flag[0] = 1
        return _receive(self._member.sock)


# What goes over the socket: plain tuples, since pickling our classes takes five times as long.


def _packed_job(job: Job) -> tuple[Any, ...]:
    entry = job.entry
    return (
        job.destination_key, entry.key, entry.size, entry.modified_ns, entry.etag,
        _packed_checksum(entry.checksum), entry.changed_ns,
    )  # fmt: skip


def _unpacked_job(pair: Pair, packed: tuple[Any, ...]) -> Job:
    key, name, size, modified_ns, etag, checksum, changed_ns = packed
    return Job(
        pair,
        Entry(name, size, modified_ns, etag, checksum and Checksum(*checksum), changed_ns),
        key,
    )


def _packed_try(one: Try) -> tuple[Any, ...] | None:
    if isinstance(one, Landed):
        stored = one.stored
        return (
            stored.size, stored.etag, _packed_checksum(stored.checksum), stored.modified_ns,
            _packed_checksum(one.checksum), one.strategy, one.seconds,
        )  # fmt: skip
    if one is None:
        return None
    try:
        pickled = pickle.dumps(one)
        pickle.loads(pickled)  # noqa: S301 - our own; some errors can be written and not read
    except Exception:
        return None  # it is carried from the beginning
    return (pickled,)


def _unpacked_try(packed: tuple[Any, ...] | None) -> Try:
    if packed is None:
        return None
    if len(packed) == 1:
        missed: Missed = pickle.loads(packed[0])  # noqa: S301 - a process of our own
        return missed
    size, etag, checksum, modified_ns, compared, strategy, seconds = packed
    stored = Stored(size, etag, checksum and Checksum(*checksum), modified_ns)
    return Landed(stored, compared and Checksum(*compared), strategy, seconds)


def _packed_checksum(checksum: Checksum | None) -> tuple[str, str] | None:
    return None if checksum is None else (checksum.algorithm, checksum.value)


def _send(sock: socket.socket, message: Any) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    # Two batches fit into the socket's buffer, so that this never waits for long.
    sock.sendall(_LENGTH.pack(len(data)) + data)


def _receive(sock: socket.socket) -> Any:
    """The next message. Raises `EOFError` where the other side has gone."""
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    return pickle.loads(_exactly(sock, length))  # noqa: S301 - a process of our own


def _exactly(sock: socket.socket, count: int) -> bytearray:
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


# The child.


def _serve(
    sock: socket.socket,
    pair: Pair,
    choose: Callable[[Job], Strategy],
    options: TransferOptions,
    stop: mmap.mmap,
    window: int | None,
) -> None:
    """Everything that the forked process does; it never returns.

    Should it fail, the parent notices that it is gone.
    """
    try:
        context = Context(verify=options.verify)
        records = _Records()
        pipelining = Pipelining(pair, choose, context, stopped=lambda: stop[0] != 0, window=window)
        pipelining.run(_Received(sock, pair, records))
    except (EOFError, OSError):
        pass  # the parent has gone
    finally:
        # No clean-up of what is the parent's: its files, its buffers, its exit handlers.
        os._exit(0)


def _settle_in(parent: int, others: Sequence[socket.socket]) -> None:
    # The parent hears these and tells us what to do.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    for other in others:
        other.close()
    gc.freeze()  # what is the parent's is not to be finalised here


class _Received:
    """The batches that the parent sends: a `Source`."""

    def __init__(self, sock: socket.socket, pair: Pair, records: _Records) -> None:
        self._sock = sock
        self._pair = pair
        self._records = records
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def take(self, *, wait: bool) -> Batch | None:
        if not wait and not self._poll.poll(0):
            return None
        return Batch([_unpacked_job(self._pair, packed) for packed in _receive(self._sock)])

    def give_back(self, batch: Batch) -> None:
        _send(self._sock, ([_packed_try(one) for one in batch.tries], self._records.taken()))


class _Records(logging.Handler):
    """Sends what is logged here to the parent, which knows how it is to be shown."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[tuple[str, int, str]] = []
        root = logging.getLogger()
        loggers: Iterator[Any] = iter([root, *logging.Logger.manager.loggerDict.values()])
        for logger in loggers:
            if isinstance(logger, logging.Logger):
                logger.handlers = [self] if logger.handlers else []
        root.handlers = [self]

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[str, int, str]]:
        records, self._records = self._records, []
        return records
