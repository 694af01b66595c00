"""Finds plugins, holds off those that must not run, and keeps what they register.

A plugin that fails to import, whose hook fails, or that registers something of the wrong kind or
under a name already taken, is named in one warning; everything else works on.
"""

from __future__ import annotations

import difflib
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


HOOKS = (
    "svstorage_register_providers",
    "svstorage_register_credential_resolvers",
    "svstorage_register_copy_strategies",
    "svstorage_register_engines",
    "svstorage_register_observers",
)
_ALL_HOOKS = frozenset((*HOOKS, "svstorage_register_commands"))

# What each kind of thing must have, by the protocols that describe it.
_NEEDED = {
    "provider": ("parse_config", "needs_credentials", "filesystem"),
    "resolver": ("providers", "order", "ambient", "resolve"),
    "strategy": ("can_carry", "carry"),
    "engine": ("outcomes",),
    "observer": ("observe",),
}


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
    observers: dict[str, Any] = field(default_factory=dict)
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    plugin: str = ""
    """The plugin whose hook is running, so that a clash can be laid at its door."""

    def add_provider(self, provider: Any) -> None:
        if not self._fits("provider", provider):
            return
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
        if not self._fits("resolver", resolver):
            return
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

    def add_observer(self, observer: Any) -> None:
        self._add("observer", self.observers, observer)

    def provider(self, name: str, source: object = None) -> Any:
        """The provider of that name. Raises `PluginError` naming those that there are, and
        ``source``, where the name was set."""
        try:
            return self.providers[name.lower()]
        except KeyError:
            known = ", ".join(sorted({p.name for p in self.providers.values()})) or "none"
            where = f" (from {source})" if source else ""
            raise PluginError(
                f"STORAGE_PROVIDER: no provider is called {name!r}{where}; installed are: "
                f"{known}. A provider of another name needs its plugin installed "
                "(see: svstorage plugins)"
            ) from None

    def resolvers_for(self, provider: str) -> list[Any]:
        """Those that serve this provider (its ``name``), in the order they are asked."""
        found = [r for (served, _), r in self.resolvers.items() if served == provider]
        return sorted(found, key=lambda resolver: (resolver.order, resolver.name))

    def _fits(self, kind: str, item: Any) -> bool:
        """Whether ``item`` has what a thing of its kind must have; else a warning says what not.

        A class instead of an instance of it is the usual slip.
        """
        name = getattr(item, "name", None)
        lacks = [] if isinstance(name, str) and name else ["name"]
        lacks += [needed for needed in _NEEDED[kind] if not hasattr(item, needed)]
        what = f"the class {item.__name__}" if isinstance(item, type) else type(item).__name__
        if isinstance(item, type):
            said = "register an instance of it"
        elif lacks:
            said = f"it has no {', '.join(lacks)}"
        else:
            return True
        self.warnings.append(
            f"plugin '{self.plugin}': {what} is registered as a {kind}, but {said}; it is left out"
        )
        return False

    def _add(self, kind: str, table: dict[str, Any], item: Any) -> None:
        if not self._fits(kind, item):
            return
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


def _allowed(name: str, distribution: str, environ: Mapping[str, str]) -> bool:
    """Whether a plugin may run; it is named by its entry point or by its distribution.

    SVSTORAGE_DISABLE_PLUGINS: names, or ``*`` for every third-party one.
    SVSTORAGE_PLUGINS: only these third-party ones.
    """
    own = distribution == OWN_DISTRIBUTION
    called = {_plain(name)} if own else {_plain(name), _plain(distribution)}
    disabled = _names(environ.get("SVSTORAGE_DISABLE_PLUGINS", ""))
    if called & disabled or ("*" in disabled and not own):
        return False
    allow = environ.get("SVSTORAGE_PLUGINS")
    return own or allow is None or bool(called & _names(allow))


def _names(text: str) -> set[str]:
    return {_plain(part.strip()) for part in text.split(",") if part.strip()}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


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
    for point, distribution, version, _ in _entry_points():
        status = "active"
        if not _allowed(point.name, distribution, environ):
            status = "disabled"
        else:
            before = len(registry.warnings)
            registry.plugin = point.name
            try:
                plugin = point.load()
                manager.register(plugin, name=f"{distribution}:{point.name}")
            # A plugin may fail in any way, also by an exit; it is named, the rest works.
            except (Exception, SystemExit) as error:
                status = f"broken: {type(error).__name__}"
                registry.warnings.append(
                    f"plugin '{point.name}' of {distribution} {version} does not load "
                    f"({_told(error)}); it is left out"
                )
            else:
                _register(plugin, registry)
                if len(registry.warnings) > before:
                    status = "active, with warnings"
        found.append(PluginInfo(point.name, distribution, version, status))
    for warning in registry.warnings:
        log.warning("%s", warning)
    return Plugins(manager, registry, found)


def _register(plugin: object, registry: Registry) -> None:
    """Call the plugin's hooks, one plugin at a time: a broken one must not stop the others."""
    ours = [name for name in dir(plugin) if _is_hook(plugin, name)]
    if not ours:
        registry.warnings.append(
            f"plugin '{registry.plugin}': it has no function marked with svstorage.hookimpl, so "
            "that it registers nothing"
        )
    for name in ours:
        if name not in _ALL_HOOKS:
            close = difflib.get_close_matches(name, _ALL_HOOKS, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            registry.warnings.append(f"plugin '{registry.plugin}': no hook is called {name}{hint}")
    for name in HOOKS:
        if name not in ours:
            continue
        try:
            getattr(plugin, name)(registry=registry)
        except Exception as error:  # as above
            registry.warnings.append(
                f"plugin '{registry.plugin}': {name} failed "
                f"({_told(error)}); what it had registered before stays"
            )


def _told(error: BaseException) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _is_hook(plugin: object, name: str) -> bool:
    try:
        return hasattr(getattr(plugin, name), f"{hookspecs.PROJECT}_impl")
    except Exception:  # a property of the plugin's own
        return False


@lru_cache(maxsize=1)
def plugins() -> Plugins:
    """The plugins of this process, loaded once."""
    return load()
