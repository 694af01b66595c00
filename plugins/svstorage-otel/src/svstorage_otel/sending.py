"""The SDK as its environment variables want it, sending OTLP over HTTP."""

from __future__ import annotations

import logging
import os

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

log = logging.getLogger("svstorage.otel")

ALL = "OTEL_EXPORTER_OTLP_ENDPOINT"
TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
SECONDS = 3.0


def providers() -> tuple[TracerProvider | None, MeterProvider | None]:
    """Providers of our own: the program's are left as they are."""
    named = os.environ.get("OTEL_SERVICE_NAME")
    resource = Resource.create({} if named else {"service.name": "svstorage"})
    # The SDK's ten seconds, several times over, would hold up the end of a command.
    timeout = None if os.environ.get(TIMEOUT) else SECONDS
    theirs = logging.getLogger("opentelemetry")
    if not theirs.hasHandlers():
        # Nobody has said where it goes, and Python would write all of it to stderr.
        theirs.addHandler(_Once())
    tracers: TracerProvider | None = None
    meters: MeterProvider | None = None
    if _wanted("TRACES"):
        tracers = TracerProvider(resource=resource)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
    if _wanted("METRICS"):
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(timeout=timeout))
        meters = MeterProvider(metric_readers=[reader], resource=resource)
    return tracers, meters


class _Once(logging.Handler):
    """The first thing that goes wrong with sending, as one warning of ours."""

    told = False

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING and not self.told:
            self.told = True
            log.warning("telemetry cannot be sent: %s", record.getMessage())


def _wanted(signal: str) -> bool:
    if os.environ.get(f"OTEL_{signal}_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return bool(os.environ.get(ALL) or os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))
