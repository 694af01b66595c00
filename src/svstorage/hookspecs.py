"""The hooks a plugin can implement. This file is the whole plugin surface.

A plugin is any distribution with an entry point in the group ``svstorage`` that names a module
(or object) with functions marked `hookimpl`::

    from svstorage import hookimpl

    @hookimpl
    def svstorage_register_providers(registry):
        registry.add_provider(MyProvider())

The three built-in providers, all resolvers, strategies and the local engine register in
exactly this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from svstorage.plugins import Registry

PROJECT = "svstorage"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def svstorage_register_providers(registry: Registry) -> None:
    """Call ``registry.add_provider(provider)`` for each `svstorage.providers.base.Provider`.

    `svstorage.providers.BaseProvider` has all of one but its name and its fsspec filesystem.
    """


@hookspec
def svstorage_register_credential_resolvers(registry: Registry) -> None:
    """Call ``registry.add_resolver(resolver)`` for each
    `svstorage.credentials.base.CredentialResolver`."""


@hookspec
def svstorage_register_copy_strategies(registry: Registry) -> None:
    """Call ``registry.add_strategy(strategy)`` for each `svstorage.strategies.base.Strategy`."""


@hookspec
def svstorage_register_engines(registry: Registry) -> None:
    """Call ``registry.add_engine(engine)`` for each `svstorage.transfer.engine.Engine`."""


@hookspec
def svstorage_register_observers(registry: Registry) -> None:
    """Call ``registry.add_observer(observer)`` for each `svstorage.transfer.events.Observer`."""


@hookspec
def svstorage_register_commands(cli: click.Group) -> None:
    """Add click commands to ``cli``."""
