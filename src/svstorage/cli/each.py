"""Several addresses in one command: one that fails is named and does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from svstorage.cli.failure import message_of
from svstorage.cli.state import State
from svstorage.errors import ObjectError


class Each:
    """Remembers whether any address failed; ``exit_code`` says so."""

    def __init__(self, state: State) -> None:
        self.out = state.out
        self.exit_code = 0

    @contextmanager
    def address(self, address: str) -> Iterator[None]:
        """What goes wrong with an object or bucket in this block is told, not raised. A storage
        that cannot be used and a senseless request still end the command."""
        try:
            yield
        except ObjectError as error:
            self.exit_code = 1
            text = message_of(error)
            text = text if address in text else f"{address}: {text}"
            self.out.failure(text, kind=type(error).__name__, address=address, exit_code=1)
