"""A resolver whose code is imported when it is first asked."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svstorage.credentials.base import Anonymous, CredentialSource, Passed
    from svstorage.settings import Settings


@dataclass(frozen=True, slots=True)
class LazyResolver:
    """A `CredentialResolver` that hands on to ``resolve(config, settings)`` of ``module``.

    Registering plugins must stay cheap: most runs ask one resolver, or none.
    """

    name: str
    providers: tuple[str, ...]
    order: int
    summary: str
    module: str
    ambient: bool = False
    by_name_only: bool = False

    def resolve(
        self, config: Any, settings: Settings
    ) -> CredentialSource[Any] | Anonymous | Passed | None:
        answer: CredentialSource[Any] | Anonymous | Passed | None
        answer = import_module(self.module).resolve(config, settings)
        return answer
