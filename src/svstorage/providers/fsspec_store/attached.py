"""The filesystem below a store: who may use it at a time, and what becomes of it after a fork."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from fsspec import AbstractFileSystem
from fsspec.dircache import DirCache

from svstorage import forks
from svstorage.providers.fsspec_store import traits
from svstorage.providers.fsspec_store.names import Names


class Attached:
    """A filesystem for one store, by one thread at a time unless it is safe for more."""

    def __init__(self, fs: AbstractFileSystem, thread_safe: bool | None) -> None:
        self._attach(fs)
        self._safe = self._inner.async_impl if thread_safe is None else thread_safe
        self._one_at_a_time = threading.RLock()
        self._is_parents = False
        forks.renew_in_child(self)

    def after_fork(self) -> None:
        self._one_at_a_time = threading.RLock()
        self._is_parents = True

    @property
    def _fs(self) -> AbstractFileSystem:
        if self._is_parents:  # made anew only here, since that may connect
            with self._one_at_a_time:
                if self._is_parents:
                    self._attach(traits.made_again(self._made))
                    self._is_parents = False
        return self._made

    def _attach(self, fs: AbstractFileSystem) -> None:
        self._made = fs
        self._inner = traits.innermost(fs)
        self._names = Names(fs)
        for one in (fs, self._inner):
            cache = getattr(one, "dircache", None)
            if isinstance(cache, DirCache):
                cache.use_listings_cache = False
                cache.clear()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        if self._safe:
            yield
            return
        with self._one_at_a_time:
            yield
