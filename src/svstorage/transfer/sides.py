"""Both trees of a pair, listed side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from svstorage.model import Entry, Problem
from svstorage.strategies.base import Pair
from svstorage.transfer.ahead import ReadAhead
from svstorage.transfer.merge import Both, SideProblem, merge
from svstorage.transfer.spans import Span, listed_in, within
from svstorage.transfer.stop import StopToken


@contextmanager
def both_sides(
    pair: Pair, span: Span | None, stop: StopToken, *, with_destination: bool = True
) -> Iterator[Iterator[Both | SideProblem]]:
    """The merged listings (of a range of keys, where one is given), each read ahead by a thread
    that ends with the block. Without the destination, everything is of the source alone.

    Iterating raises what broke a listing; what came before was yielded.
    """
    capabilities = (pair.source.store.capabilities, pair.destination.store.capabilities)
    prefixes = pair.source.prefix, pair.destination.prefix
    with ExitStack() as stack:
        source = stack.enter_context(
            closing(ReadAhead(lambda: listed_in(pair.source, span, stop=stop), "list-source"))
        )
        destination: Iterator[Entry | Problem] = iter(())
        if with_destination:
            destination = stack.enter_context(
                closing(
                    ReadAhead(
                        lambda: listed_in(pair.destination, span, stop=stop, may_be_missing=True),
                        "list-dest",
                    )
                )
            )
        merged = merge(
            source,
            destination,
            source_prefix=prefixes[0],
            destination_prefix=prefixes[1],
            markers_fold=not all(c.holds_folder_markers for c in capabilities),
        )
        yield merged if span is None else within(merged, span, *prefixes)
