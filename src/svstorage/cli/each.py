"""Several addresses in one command: one that fails is named and does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from svstorage.cli import logs
from svstorage.cli.failure import message_of
from svstorage.cli.state import State
from svstorage.errors import BucketNotFound, ObjectError, ObjectNotFound

# The same words whatever the storage; what the service said itself is in the log.
_NOT_THERE: dict[type[ObjectError], str] = {
    ObjectNotFound: "there is no such object",
    BucketNotFound: "there is no such bucket",
}


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
            if address not in text and "there is no such" not in text:
                logs.log.debug("%s: %s", address, text)
                text = f"{address}: {_NOT_THERE.get(type(error), text)}"
            self.out.failure(text, kind=type(error).__name__, address=address, exit_code=1)
