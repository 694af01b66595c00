"""What the options name: strategies and the engine, from all that plugins brought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from svstorage.errors import UsageError
from svstorage.plugins import Registry
from svstorage.strategies.base import Strategy
from svstorage.transfer.engine import Engine


def strategies(registry: Registry, name: str | None) -> Sequence[Strategy]:
    """All strategies, or the one of that name (and the one for folder markers)."""
    known = registry.strategies
    if name is None:
        return list(known.values())
    if name not in known:
        raise UsageError(f"--strategy: none is called {name!r}; there are: {_names(known)}")
    return [known[name], *(s for s in known.values() if s.name == "marker" and s.name != name)]


def engine(registry: Registry, name: str, given: Iterable[str]) -> Engine:
    """The engine of that name, which must know the options that were ``given``."""
    if name not in registry.engines:
        raise UsageError(
            f"--engine: none is called {name!r}; there are: {_names(registry.engines)}"
        )
    found: Engine = registry.engines[name]
    known = {option.name for option in getattr(found, "options", ())}
    for option in given:
        if option not in known:
            raise UsageError(f"--engine {name}: it has no option --{option}")
    return found


def _names(table: Iterable[str]) -> str:
    return ", ".join(sorted(table)) or "none"
