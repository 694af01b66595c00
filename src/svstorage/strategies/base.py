"""How one object gets across: the protocol of copy strategies.

The engine asks every strategy for its cost of one job and takes the cheapest; one that cannot
carry the job exactly answers None. There is no other rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from svstorage.model import Checksum, Entry, Part, Stored
from svstorage.providers.base import ObjectStore

Verify = Literal["none", "size", "checksum"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class End:
    """One side of a copy: a store, a bucket, and the prefix that stands for the root."""

    store: ObjectStore
    bucket: str
    prefix: str = ""
    location: str = ""
    """For people: what the messages call this side."""
    base: str = ""
    """What stands before a key in reports (``sv://bucket/``, ``/data/``)."""

    def key(self, relative: str) -> str:
        return self.prefix + relative

    def url(self, key: str) -> str:
        """What reports and messages call an object here. ``key`` is exact, nothing is quoted."""
        return f"{self.base}{key}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Source and destination of a copy. ``same_service`` allows server-side copies."""

    source: End
    destination: End

    @property
    def same_service(self) -> bool:
        return self.source.store.identity == self.destination.store.identity


@dataclass(frozen=True, slots=True)
class Job:
    """One object to carry: where from, under which key, and where to."""

    pair: Pair
    entry: Entry
    """As listed at the source; ``entry.key`` is the full source key."""
    destination_key: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a strategy answers: the destination's word, and the digest of the bytes sent.

    ``sent`` was computed from the bytes as they were read; None where the bytes never passed
    through this process (server-side copies). ``source`` is the entry as it was really read.
    """

    stored: Stored
    sent: Checksum | None = None
    source: Entry | None = None
    crc: Checksum | None = None
    """A CRC of the bytes as they were read, where one of both ends tells such a thing. It agrees
    with what the source tells."""
    bytes_sent: int = 0
    """Bytes that crossed this process now; less than the size after a resumed upload."""


class PairMemo(Generic[T]):
    """Remembers what was found out about the pair asked of last.

    Every object of a run has the same pair, and asking a store what it is takes longer than
    all the rest of `Strategy.can_carry`.
    """

    __slots__ = ("_ask", "_last")

    def __init__(self, ask: Callable[[Pair], T]) -> None:
        self._ask = ask
        self._last: tuple[Pair, T] | None = None

    def __call__(self, pair: Pair) -> T:
        last = self._last
        if last is None or last[0] is not pair:
            self._last = last = (pair, self._ask(pair))
        return last[1]


class PartLog(Protocol):
    """The memory of one unfinished multipart job; survives the process."""

    def upload(self) -> tuple[str, int, list[Part]] | None:
        """(upload id, part size, finished parts) of an earlier try of this very version."""
        ...

    def begin(self, upload_id: str, part_size: int) -> None: ...

    def finished(self, part: Part) -> None:
        """``part.checksum`` is the digest of the bytes sent, where it is known."""
        ...

    def forget(self) -> None: ...


class NoPartLog:
    """For runs without a journal: nothing survives."""

    def upload(self) -> tuple[str, int, list[Part]] | None:
        return None

    def begin(self, upload_id: str, part_size: int) -> None:
        return None

    def finished(self, part: Part) -> None:
        return None

    def forget(self) -> None:
        return None


def _no_progress(count: int) -> None:
    return None


def _never() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Context:
    """What the engine lends a strategy while it carries one job."""

    verify: Verify = "checksum"
    tags: bool = False
    parts: PartLog = field(default_factory=NoPartLog)
    progress: Callable[[int], None] = _no_progress
    """Call with each count of bytes moved, as they move; also slows down for ``--bwlimit``."""
    resumed: Callable[[int], None] = _no_progress
    """Call with the bytes that an earlier try had moved already."""
    check_stop: Callable[[], None] = _never
    """Call between chunks: raises `Interrupted` when the run is ending."""
    throttled: Callable[[], None] = _never
    """Call when the service asks to slow down, and the try is made again within the strategy."""
    part_threads: int = 4
    """How many parts of one object may move at once."""
    part_tries: int = 4
    """How many tries one part may have within this one try of its object."""


class Strategy(Protocol):
    """One way to carry an object, as a plugin registers it."""

    name: str
    summary: str

    def can_carry(self, job: Job) -> float | None:
        """Relative cost (lower is better, see docs/plugins), or None where it cannot.

        Must be quick and make no request: it is asked once for every object.
        """
        ...

    def carry(self, job: Job, context: Context) -> Confirmed:
        """Carry it, or raise. The destination holds the old object or the whole new one."""
        ...


@runtime_checkable
class PipelinedStrategy(Strategy, Protocol):
    """A strategy that can have several small objects under way in one thread.

    ``end`` gets what ``begin`` gave, in the same thread. Both together do what ``carry`` does.
    """

    def pipelines(self, pair: Pair) -> bool:
        """Whether it can for the objects of this pair."""
        ...

    def begin(self, job: Job, context: Context) -> Any:
        """Send the request that carries the object, and do not wait for the answer."""
        ...

    def end(self, job: Job, begun: Any, context: Context) -> Confirmed:
        """Take the answer, and do what is left to do."""
        ...
