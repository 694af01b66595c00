"""Several addresses in one command: one that fails is named and does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from svstorage.cli import logs
from svstorage.cli.failure import message_of
from svstorage.cli.state import State
from svstorage.errors import BucketNotFound, ObjectError, ObjectNotFound, StorageError


def what_is_missing(state: State, address: str, error: ObjectNotFound) -> str:
    """The same words whatever the storage: S3 answers a HEAD of an object in a missing bucket
    as that of a missing object, and paths of this machine have no buckets."""
    place = state.opener.open(address)
    if place.is_local_path:
        return "there is no such file or folder"
    if isinstance(error, BucketNotFound):
        return "there is no such bucket"
    with suppress(StorageError):  # who may not ask this hears of the object
        if not place.bucket_exists():
            return "there is no such bucket"
    return "there is no such object"


class Each:
    """Remembers whether any address failed; ``exit_code`` says so."""

    def __init__(self, state: State) -> None:
        self.state = state
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
                # What the service said itself is in the log.
                logs.log.debug("%s: %s", address, text)
                if isinstance(error, ObjectNotFound):
                    text = what_is_missing(self.state, address, error)
                text = f"{address}: {text}"
            self.out.failure(text, kind=type(error).__name__, address=address, exit_code=1)
