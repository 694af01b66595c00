"""What a request was about, in the words of messages."""

from __future__ import annotations

from dataclasses import dataclass

from svstorage.addresses import display

_MAX_KEY = 1024


@dataclass(frozen=True, slots=True)
class Target:
    """One operation on a service, a bucket or an object; ``str`` is fit for a terminal."""

    operation: str
    bucket: str = ""
    key: str | None = None

    def __str__(self) -> str:
        if self.key is not None:
            key = self.key
            if len(key) > _MAX_KEY:  # no service holds it, and a message must stay readable
                key = f"{key[:_MAX_KEY]}… ({len(key)} characters)"
            return f"{self.operation} {display(self.bucket)}/{display(key)}"
        return f"{self.operation} {display(self.bucket)}" if self.bucket else self.operation
