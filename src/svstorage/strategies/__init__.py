"""The built-in copy strategies, registered like any plugin's."""

from __future__ import annotations

from svstorage.hookspecs import hookimpl
from svstorage.plugins import Registry


@hookimpl
def svstorage_register_copy_strategies(registry: Registry) -> None:
    """All of them, by the hook that plugins use."""
    from svstorage.strategies.marker import MarkerStrategy
    from svstorage.strategies.native import NativeStrategy
    from svstorage.strategies.parts import PartsStrategy
    from svstorage.strategies.server_side import ServerSideStrategy
    from svstorage.strategies.stream import StreamStrategy

    for strategy in (
        MarkerStrategy(),
        ServerSideStrategy(),
        NativeStrategy(),
        PartsStrategy(),
        StreamStrategy(),
    ):
        registry.add_strategy(strategy)
