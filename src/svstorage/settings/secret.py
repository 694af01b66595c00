"""A string that never shows itself."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Any, NoReturn

MASK = "***"

_HASH_KEY = os.urandom(16)


class Secret:
    """Holds a secret so that no log, repr, traceback or pickle can show it by accident.

    The one way to the value is `reveal`, called at the last moment, in the argument list of
    the call that needs it. ``str``, ``repr`` and ``format`` give ``***`` for a secret of any
    length, comparing takes constant time, and pickling raises `TypeError`.

    >>> key = Secret("hunter2")
    >>> print(key, f"{key:>10}", bool(key), key == Secret("hunter2"))
    *** *** True True
    """

    __slots__ = ("__value",)

    __value: str

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            # The value is not named: it may be the secret in another type.
            raise TypeError("a Secret holds a str")
        object.__setattr__(self, "_Secret__value", value)

    def reveal(self) -> str:
        """The value itself."""
        return self.__value

    def __bytes(self) -> bytes:
        return self.__value.encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__bytes(), other.__bytes())

    def __hash__(self) -> int:
        # Keyed anew in every process: a hash that got out tells nothing about the value.
        digest = hashlib.blake2b(self.__bytes(), digest_size=8, key=_HASH_KEY).digest()
        return int.from_bytes(digest, "big")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "a Secret cannot be pickled: send the name of the settings file or variable to "
            "the other process and load the settings there"
        )

    def __getstate__(self) -> NoReturn:
        self.__reduce_ex__(2)
