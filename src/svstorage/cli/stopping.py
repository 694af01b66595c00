"""Signals during a transfer: the first asks it to end, the second ends the process."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svstorage.cli.output import Output
    from svstorage.transfer.stop import StopToken

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130


@contextlib.contextmanager
def stop_on_signals(
    out: Output, stop: StopToken, begun: threading.Event | None = None
) -> Iterator[None]:
    """SIGINT or SIGTERM: finish or drop what is in flight, exit 130. A second one: at once.

    Until the work has ``begun``, where that can be told, nothing is in flight, and one is
    enough: a storage that does not answer need not be waited for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.stopped:
            _leave()
        stop.stop()
        if begun is not None and not begun.is_set():
            raise KeyboardInterrupt
        # Not through the progress bar: its lock may be held by the code this interrupts.
        _tell(out, "stopping; what is done stays done (again to stop at once)\n")

    before: dict[signal.Signals, Any] = {}
    try:
        for number in _SIGNALS:
            before[number] = signal.signal(number, handle)
        yield
    finally:
        if stop.stopped:
            # The command only ends now. Until its threads have, a further signal ends it at once;
            # from then on one would make a death by signal of exit code 130.
            atexit.register(_ignore_signals)
        else:
            for number, handler in before.items():
                signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _tell(out: Output, text: str) -> None:
    if out.quiet:
        return
    with contextlib.suppress(OSError):
        # On a terminal the bar stands in this line; it draws itself again in the next one.
        os.write(2, (f"\r\x1b[2K{text}" if os.isatty(2) else text).encode())


def _leave() -> None:
    # No flush through the buffered stream objects: the interrupted code may be inside one, and
    # a re-entrant call raises. What the buffer holds are whole lines of results.
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        sys.stdout.flush()
    os._exit(INTERRUPTED)
