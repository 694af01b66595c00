"""A TCP server that says exactly what a test tells it to: no real one answers so wrongly."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Script = Sequence[bytes | float | None]
"""What is done after a request: bytes are sent, a number is waited, None closes."""


class Peer:
    """Answers the n-th request of all with the n-th script; counts connections and requests."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        pending = b""
        try:
            while data := sock.recv(65536):
                pending += data
                while (request := _whole(pending)) is not None:
                    pending = pending[len(request) :]
                    number = len(self.requests)
                    self.requests.append(request)
                    for step in self._scripts[number] if number < len(self._scripts) else (None,):
                        if step is None:
                            sock.shutdown(socket.SHUT_RDWR)
                            return
                        if isinstance(step, bytes):
                            sock.sendall(step)
                        else:
                            time.sleep(step)
        except OSError:
            return
        finally:
            sock.close()

    def close(self) -> None:
        self._listener.close()
        for sock in self._open:
            sock.close()


def _whole(pending: bytes) -> bytes | None:
    head, end, rest = pending.partition(b"\r\n\r\n")
    if not end:
        return None
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + end + rest[:length] if len(rest) >= length else None


@contextmanager
def peer(*scripts: Script) -> Iterator[Peer]:
    one = Peer(scripts)
    try:
        yield one
    finally:
        one.close()


def ok(body: bytes, headers: str = "", status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


PeerOf = Callable[..., Peer]
