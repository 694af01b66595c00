"""Finds plugins, holds off those that must not run, and keeps what they register.

A plugin that fails to import, or that registers a name already taken, is named in one warning;
everything else works on.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pluggy

from svstorage import hookspecs
from svstorage.errors import PluginError
from svstorage.settings import variables

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "svstorage"
OWN_DISTRIBUTION = "svstorage"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One installed plugin, for ``svstorage plugins``."""

    name: str
    distribution: str
    version: str
    status: str = "active"


@dataclass(slots=True)
class Registry:
    """What the active plugins have registered, by kind and name."""

    providers: dict[str, Any] = field(default_factory=dict)
    resolvers: dict[tuple[str, str], Any] = field(default_factory=dict)
    """By provider and name: ``static`` of S3 and ``static`` of Azure are two."""
    strategies: dict[str, Any] = field(default_factory=dict)
    engines: dict[str, Any] = field(default_factory=dict)
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    plugin: str = ""
    """The plugin whose hook is running, so that a clash can be laid at its door."""

    def add_provider(self, provider: Any) -> None:
        names = (provider.name, *provider.other_names)
        taken = [name for name in names if name in self.providers]
        if taken:
            self._clash("provider", taken[0])
            return
        for variable in getattr(provider, "variables", ()):
            variables.claim(provider.name, variable)
        for name in names:
            self.providers[name] = provider
            self.owners["provider", name] = self.plugin

    def add_resolver(self, resolver: Any) -> None:
        keys = [(provider, resolver.name) for provider in resolver.providers]
        for key in keys:
            if key in self.resolvers:
                self._clash("resolver", "/".join(key))
                return
        for key in keys:
            self.resolvers[key] = resolver
            self.owners["resolver", "/".join(key)] = self.plugin

    def add_strategy(self, strategy: Any) -> None:
        self._add("strategy", self.strategies, strategy)

    def add_engine(self, engine: Any) -> None:
        self._add("engine", self.engines, engine)

    def provider(self, name: str) -> Any:
        """The provider of that name. Raises `PluginError` naming those that there are."""
        try:
            return self.providers[name.lower()]
        except KeyError:
            known = ", ".join(sorted({p.name for p in self.providers.values()})) or "none"
            raise PluginError(
                f"STORAGE_PROVIDER: no provider is called {name!r}; installed are: {known}. "
                "A provider of another name needs its plugin installed (see: svstorage plugins)"
            ) from None

    def resolvers_for(self, provider: str) -> list[Any]:
        """Those that serve this provider (its ``name``), in the order they are asked."""
        found = [r for (served, _), r in self.resolvers.items() if served == provider]
        return sorted(found, key=lambda resolver: (resolver.order, resolver.name))

    def _add(self, kind: str, table: dict[str, Any], item: Any) -> None:
        if item.name in table:
            self._clash(kind, item.name)
            return
        table[item.name] = item
        self.owners[kind, item.name] = self.plugin

    def _clash(self, kind: str, name: str) -> None:
        self.warnings.append(
            f"plugin '{self.plugin}': the {kind} name '{name}' is taken by plugin "
            f"'{self.owners[kind, name]}'; the second one is left out"
        )


@dataclass(slots=True)
class Plugins:
    """The plugin manager with its registry and the list of what was found."""

    manager: pluggy.PluginManager
    registry: Registry
    found: list[PluginInfo]


def _allowed(name: str, own: bool, environ: Mapping[str, str]) -> bool:
    """SVSTORAGE_DISABLE_PLUGINS: names, or ``*`` for every third-party one.
    SVSTORAGE_PLUGINS: only these third-party ones.
    """
    disabled = _names(environ.get("SVSTORAGE_DISABLE_PLUGINS", ""))
    if name in disabled or ("*" in disabled and not own):
        return False
    allow = environ.get("SVSTORAGE_PLUGINS")
    return own or allow is None or name in _names(allow)


def _names(text: str) -> set[str]:
    return {part.strip() for part in text.split(",") if part.strip()}


def _entry_points() -> Iterator[tuple[importlib.metadata.EntryPoint, str, str, bool]]:
    """Our own first, then by name, so that a clash always goes against the newcomer."""
    rows = []
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        dist = point.dist
        name = dist.name if dist else "?"
        version = dist.version if dist else "?"
        rows.append((point, name, version, name == OWN_DISTRIBUTION))
    rows.sort(key=lambda row: (not row[3], row[0].name, row[1]))
    seen = set()
    for row in rows:
        # An editable install can show its metadata twice on sys.path.
        mark = (row[0].name, row[0].value, row[1])
        if mark not in seen:
            seen.add(mark)
            yield row


def load(environ: Mapping[str, str] | None = None) -> Plugins:
    """Find and load all plugins, and let them register. Warnings end in ``registry.warnings``."""
    environ = os.environ if environ is None else environ
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    registry = Registry()
    found: list[PluginInfo] = []
    for point, distribution, version, own in _entry_points():
        status = "active"
        if not _allowed(point.name, own, environ):
            status = "disabled"
        else:
            try:
                manager.register(point.load(), name=f"{distribution}:{point.name}")
            except Exception as error:  # a plugin may fail in any way; it is named, the rest works
                status = f"broken: {type(error).__name__}"
                registry.warnings.append(
                    f"plugin '{point.name}' of {distribution} {version} does not load "
                    f"({type(error).__name__}: {error}); it is left out"
                )
        found.append(PluginInfo(point.name, distribution, version, status))
    _collect(manager, registry)
    for warning in registry.warnings:
        log.warning("%s", warning)
    return Plugins(manager, registry, found)


def _collect(manager: pluggy.PluginManager, registry: Registry) -> None:
    # One plugin at a time instead of manager.hook.X(...): a broken hook must not stop the others.
    for name, plugin in manager.list_name_plugin():
        registry.plugin = name.split(":", 1)[-1]
        for hook in (
            "svstorage_register_providers",
            "svstorage_register_credential_resolvers",
            "svstorage_register_copy_strategies",
            "svstorage_register_engines",
        ):
            implementation = getattr(plugin, hook, None)
            if implementation is None or not hasattr(implementation, "svstorage_impl"):
                continue
            try:
                implementation(registry=registry)
            except Exception as error:  # as above
                registry.warnings.append(
                    f"plugin '{registry.plugin}': {hook} failed "
                    f"({type(error).__name__}: {error}); what it had registered before stays"
                )


@lru_cache(maxsize=1)
def plugins() -> Plugins:
    """The plugins of this process, loaded once."""
    return load()
