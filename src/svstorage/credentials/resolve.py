"""Asks the resolvers of a provider in their order, and keeps ambient credentials at home."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from svstorage.credentials.base import Anonymous, CredentialSource, Passed
from svstorage.errors import SettingsError
from svstorage.plugins import Registry
from svstorage.settings import Settings

VARIABLE = "STORAGE_CREDENTIALS"
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of asking one resolver, for ``svstorage config check``."""

    resolver: str
    outcome: str
    answered: bool = False


def find_credentials(
    provider_name: str,
    config: Any,
    settings: Settings,
    registry: Registry,
    trace: list[Attempt] | None = None,
) -> tuple[CredentialSource[Any] | None, str | None]:
    """The source of credentials for this storage, and the name of the resolver that has it.

    ``STORAGE_CREDENTIALS`` names the one resolver to ask; ``auto`` asks all in their order, but
    the ambient ones only where the endpoint is the vendor's own: credentials that lie about on
    the machine must not reach another service. A source of None means that requests go
    unsigned (``anonymous``), or that no resolver serves this provider (then the name is None).

    What each resolver said is added to ``trace``. Raises `SettingsError` where the name is
    unknown or nobody has credentials, and whatever a resolver that is meant raises.
    """
    trace = [] if trace is None else trace
    resolvers = registry.resolvers_for(provider_name)
    if not resolvers:
        return None, None
    chosen = (settings.text(VARIABLE) or AUTO).strip().lower()
    if chosen != AUTO:
        resolvers = [r for r in resolvers if r.name == chosen] or _unknown(
            chosen, [r.name for r in resolvers], settings
        )
    for resolver in resolvers:
        if chosen == AUTO:
            held_back = _held_back(resolver, config)
            if held_back:
                trace.append(Attempt(resolver.name, held_back))
                continue
        try:
            answer = resolver.resolve(config, settings)
        except Exception as error:
            trace.append(Attempt(resolver.name, f"failed: {error}"))
            raise
        if answer is None or isinstance(answer, Passed):
            trace.append(Attempt(resolver.name, answer.reason if answer else "has none"))
            continue
        trace.append(Attempt(resolver.name, resolver.summary, answered=True))
        return (None if isinstance(answer, Anonymous) else answer), resolver.name
    if chosen != AUTO:
        raise settings.error(VARIABLE, f"'{chosen}' has no credentials: {trace[-1].outcome}")
    raise _none_found(provider_name, trace, registry)


def is_named(resolver_name: str, settings: Settings) -> bool:
    """True where ``STORAGE_CREDENTIALS`` names this resolver."""
    return (settings.text(VARIABLE) or "").strip().lower() == resolver_name


def _held_back(resolver: Any, config: Any) -> str | None:
    if getattr(resolver, "by_name_only", False):
        return f"asked only when {VARIABLE}={resolver.name}"
    if resolver.ambient and not config.endpoint_is_vendors:
        return (
            "not asked: the endpoint is not the vendor's own, and credentials of this machine "
            f"go there only when {VARIABLE}={resolver.name}"
        )
    return None


def _unknown(chosen: str, names: list[str], settings: Settings) -> list[Any]:
    close = difflib.get_close_matches(chosen, names, 1)
    hint = f"Did you mean {close[0]}? " if close else ""
    # The value is not shown: someone may have put a key there.
    raise settings.error(
        VARIABLE,
        "no resolver of this provider has that name",
        f"{hint}There are: {', '.join([AUTO, *names])}",
    )


def _none_found(provider_name: str, trace: list[Attempt], registry: Registry) -> SettingsError:
    provider = registry.providers.get(provider_name)
    mend = getattr(provider, "credentials_mend", "") or "See the documentation of this provider"
    asked = "".join(f"\n  {attempt.resolver}: {attempt.outcome}" for attempt in trace)
    return SettingsError(
        f"no credentials were found for the storage '{provider_name}'",
        mend=f"{mend.rstrip('.')}. Asked were:{asked}",
    )
