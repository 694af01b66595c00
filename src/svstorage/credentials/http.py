"""Small HTTP requests to services that hand out credentials.

No redirect is followed and no proxy of the environment is used, so that a token goes to the one
address it is meant for. Every request ends by its deadline, whatever the other side does.
"""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

MAX_BODY = 1024 * 1024
"""No answer with credentials is longer (bytes)."""

_TRANSIENT = frozenset({429, 500, 502, 503, 504})


class Unreachable(Exception):
    """No whole answer came. ``timed_out`` tells silence from a refusal."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """One answer; no repr, since the body may hold secrets."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for connecting and for each wait, and how often to try in all."""

    connect: float = 1.0
    read: float = 2.0
    tries: int = 3
    pause: float = 0.2


def request(
    method: str,
    url: str,
    *,
    deadline: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    limits: Limits | None = None,
    ca_file: str | None = None,
    proxy: str | None = None,
) -> Answer:
    """Send one small request, again after silence, a broken connection, 429 or 5xx.

    ``deadline`` is a `time.monotonic` time. An answer of 429 or 5xx is returned when it is the
    last try's. Raises `Unreachable`.
    """
    limits = limits or Limits()
    pause = limits.pause
    for attempt in range(1, limits.tries + 1):
        last = attempt == limits.tries
        try:
            answer = _once(method, url, deadline, headers or {}, body, limits, ca_file, proxy)
            if last or answer.status not in _TRANSIENT:
                return answer
        except Unreachable:
            if last or time.monotonic() >= deadline:
                raise
        left = deadline - time.monotonic()
        time.sleep(max(0.0, min(pause * (0.5 + random.random()), left)))  # noqa: S311 - jitter
        pause *= 2
    raise AssertionError("limits.tries is at least 1")


def _once(
    method: str,
    url: str,
    deadline: float,
    headers: Mapping[str, str],
    body: bytes | None,
    limits: Limits,
    ca_file: str | None,
    proxy: str | None,
) -> Answer:
    parts = urlsplit(url)
    left = deadline - time.monotonic()
    if left <= 0:
        raise Unreachable("no time is left", timed_out=True)
    connection = _connection(parts, min(limits.connect, left), ca_file, proxy)
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    watchdog: threading.Timer | None = None
    late = threading.Event()
    try:
        connection.connect()
        sock = connection.sock
        sock.settimeout(max(0.001, min(limits.read, deadline - time.monotonic())))

        def cut() -> None:
            # A timeout of the socket holds for each wait: a byte a second would never end.
            late.set()
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # closed already

        watchdog = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
        watchdog.daemon = True
        watchdog.start()
        connection.request(
            method, target, body=body, headers={"Accept-Encoding": "identity", **headers}
        )
        response = connection.getresponse()
        data = response.read(MAX_BODY + 1)
        if len(data) > MAX_BODY:
            raise Unreachable(f"the answer is longer than {MAX_BODY} bytes")
        if late.is_set() or (response.length or 0) > 0:
            raise Unreachable("the answer was cut short", timed_out=late.is_set())
        return Answer(response.status, dict(response.headers.items()), data)
    except TimeoutError:
        raise Unreachable("no answer in time", timed_out=True) from None
    except ssl.SSLError as error:
        raise Unreachable(f"TLS failed: {error.reason or 'unknown reason'}") from None
    except OSError as error:
        raise Unreachable(error.strerror or type(error).__name__, timed_out=late.is_set()) from None
    except http.client.HTTPException as error:
        # Its text may quote the peer's bytes: the kind is enough.
        raise Unreachable(
            f"no HTTP answer ({type(error).__name__})", timed_out=late.is_set()
        ) from None
    finally:
        if watchdog is not None:
            watchdog.cancel()
        connection.close()


def _connection(
    parts: SplitResult, timeout: float, ca_file: str | None, proxy: str | None
) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=timeout)
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if proxy is None:
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    # TLS goes through the tunnel: the proxy sees the host's name and nothing else.
    way = urlsplit(proxy)
    tunnel = http.client.HTTPSConnection(
        way.hostname or "", way.port or 3128, timeout=timeout, context=context
    )
    tunnel.set_tunnel(host, parts.port or 443)
    return tunnel


def shown(text: str, limit: int = 200) -> str:
    """Foreign text fit for a message: one line, no control characters, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text[: limit * 4])
    line = " ".join(line.split())
    return line if len(line) <= limit else f"{line[:limit]}…"
