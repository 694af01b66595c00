"""The observer: finds where telemetry goes, and keeps one `RunTrace` for each run."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svstorage.transfer.events import Event
    from svstorage_otel.run_trace import RunTrace

# Any of these asks for OTLP (OpenTelemetry protocol exporter specification).
ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
FLUSH_MILLISECONDS = 5_000


class OpenTelemetryObserver:
    """See `svstorage.transfer.events.Observer`."""

    name = "otel"
    summary = "OpenTelemetry spans and metrics"

    def __init__(self, tracers: Any = None, meters: Any = None) -> None:
        """``tracers`` and ``meters`` are providers; None finds those of the program, or makes
        such as the environment asks for."""
        self._given = tracers, meters
        self._own: tuple[Any, Any] | None = None
        self._runs: dict[str, RunTrace] = {}
        self._lock = threading.Lock()

    def observe(self, event: Event, /) -> None:
        from svstorage.transfer.events import RunEnded, RunStarted

        if isinstance(event, RunStarted):
            tracers, meters = self._providers()
            if tracers is not None or meters is not None:
                from svstorage_otel.run_trace import RunTrace

                self._runs[event.run] = RunTrace(event, tracers, meters)
            return
        run = self._runs.get(event.run)
        if run is None:
            return
        run.hear(event)
        if isinstance(event, RunEnded):
            del self._runs[event.run]
            for provider in self._own or ():
                if provider is not None:
                    provider.force_flush(FLUSH_MILLISECONDS)

    def _providers(self) -> tuple[Any, Any]:
        """Providers of tracers and meters; (None, None) where nobody listens."""
        if self._given != (None, None):
            return self._given
        with self._lock:
            if self._own is not None:
                return self._own
            from opentelemetry import metrics, trace

            tracers, meters = trace.get_tracer_provider(), metrics.get_meter_provider()
            theirs = not _is_proxy(tracers), not _is_proxy(meters)
            if any(theirs):
                return (tracers if theirs[0] else None, meters if theirs[1] else None)
            disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
            if disabled or not any(os.environ.get(name) for name in ENDPOINTS):
                return None, None
            from svstorage_otel.sending import providers

            self._own = providers()
            return self._own


def _is_proxy(provider: object) -> bool:
    """The API's own placeholder, where nobody has set a provider."""
    return type(provider).__name__ in ("ProxyTracerProvider", "_ProxyMeterProvider")
