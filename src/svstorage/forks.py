"""What a forked process must not have in common with its parent: connections and locks.

Two processes that talk over one socket read each other's answers, and a lock that another
thread held at the moment of the fork is never released in the child, which has no such thread.
So whoever holds either is told, in the child, before anything else runs there.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class HasForkState(Protocol):
    def after_fork(self) -> None:
        """Take new locks and let go of connections. Called in the child; must not wait or fail.

        What the parent has sent and not heard of is no business of the child's: sockets are
        dropped without a word to the service, which leaves those of the parent as they are.
        """
        ...


_holders: weakref.WeakSet[HasForkState] = weakref.WeakSet()
_runtime_used = False
_runtime_lost = False


def renew_in_child(holder: HasForkState) -> None:
    """Have ``holder.after_fork`` called in each process that is forked from this one."""
    _holders.add(holder)


def use_obstore() -> None:
    """To be called before obstore is: its threads, once started, are missing in every child."""
    global _runtime_used  # noqa: PLW0603
    _runtime_used = True


def obstore_works() -> bool:
    """False in a process that was forked when obstore had been used: a call would never end.

    obstore has one set of threads for a process and starts it once, so that a new store is no
    help.
    """
    return not _runtime_lost


def _after_fork() -> None:
    global _runtime_lost  # noqa: PLW0603
    _runtime_lost = _runtime_lost or _runtime_used
    for holder in list(_holders):
        holder.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
