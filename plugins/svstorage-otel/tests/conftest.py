"""Exporters that keep what they get, and a receiver of OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from svstorage.plugins import plugins
from svstorage_otel.observer import OpenTelemetryObserver


@dataclass
class Telemetry:
    """What was told, kept in memory by the SDK's own exporters."""

    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider(metric_readers=[self.reader])

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def sums(self, name: str) -> dict[tuple[Any, ...], Any]:
        """A counter's sums (or a histogram's counts) by the values of its attributes."""
        found = {}
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        for point in metric.data.data_points:
                            by = tuple(value for _, value in sorted(point.attributes.items()))
                            found[by] = getattr(point, "value", None) or point.count
        return found


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    """An observer of this process whose exporters keep all in memory."""
    made = Telemetry()
    observer = OpenTelemetryObserver(made.tracers, made.meters)
    monkeypatch.setitem(plugins().registry.observers, "otel", observer)
    return made


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP and reads it with the protocol's own classes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.raw: list[bytes] = []
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.services: set[str] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.raw.append(body)
        answer: Any
        if self.path == "/v1/traces":
            traces = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                self._service(resource)
                for scope in resource.scope_spans:
                    self.server.spans.extend(scope.spans)
            answer = trace_service_pb2.ExportTraceServiceResponse()
        else:
            sent = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
            for resource in sent.resource_metrics:
                self._service(resource)
                for scope in resource.scope_metrics:
                    self.server.metrics.extend(scope.metrics)
            answer = metrics_service_pb2.ExportMetricsServiceResponse()
        data = answer.SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _service(self, resource: Any) -> None:
        for pair in resource.resource.attributes:
            if pair.key == "service.name":
                self.server.services.add(pair.value.string_value)

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
