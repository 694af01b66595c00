"""Runs as OpenTelemetry spans and metrics, by the hook for observers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svstorage import hookimpl

if TYPE_CHECKING:
    from svstorage.plugins import Registry


@hookimpl
def svstorage_register_observers(registry: Registry) -> None:
    """Adds the observer ``otel``."""
    from svstorage_otel.observer import OpenTelemetryObserver

    registry.add_observer(OpenTelemetryObserver())
