"""What the machine itself can do: the limit that big transfers are held against."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

BLOCK = 1 << 20


def copy_rate(source: Path, folder: Path) -> float:
    """Bytes a second of a plain read-and-write copy of one file, as dd does it."""
    target = folder / "limit.bin"
    started = time.perf_counter()
    with source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        while block := reading.read(BLOCK):
            writing.write(block)
        os.fsync(writing.fileno())
    seconds = time.perf_counter() - started
    target.unlink()
    return source.stat().st_size / seconds


def loopback_rate(size: int) -> float:
    """Bytes a second through one TCP connection of this machine to itself."""
    listener = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        block = bytes(BLOCK)
        with socket.create_connection(listener.getsockname()) as out:
            for _ in range(size // BLOCK):
                out.sendall(block)

    thread = threading.Thread(target=send)
    started = time.perf_counter()
    thread.start()
    with listener, listener.accept()[0] as peer:
        buffer = bytearray(BLOCK)
        while peer.recv_into(buffer):
            pass
    thread.join()
    return size / (time.perf_counter() - started)
