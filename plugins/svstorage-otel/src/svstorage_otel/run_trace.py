"""One run as spans and metrics."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections import defaultdict
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from svstorage.settings.loaded import mask
from svstorage.transfer.events import (
    Event,
    ObjectEnded,
    PartEnded,
    RunEnded,
    RunStarted,
    TryFailed,
)
from svstorage.transfer.report import Result

INSTRUMENTATION = "svstorage_otel"
SPANS = 1_000
# What happened to one object on its way; the SDK keeps 128 events of a span by default.
MOST_EVENTS = 128

Attributes = dict[str, Any]


class RunTrace:
    """Hears the events of one run, in any thread."""

    def __init__(self, started: RunStarted, tracers: Any, meters: Any) -> None:
        self._operation = started.operation
        tracers = trace.NoOpTracerProvider() if tracers is None else tracers
        self._tracer = tracers.get_tracer(INSTRUMENTATION)
        self._meters = _Meters(metrics.NoOpMeterProvider() if meters is None else meters)
        self._span = self._tracer.start_span(
            f"svstorage {started.operation}",
            kind=SpanKind.INTERNAL,
            attributes={
                "svstorage.run": started.run,
                "svstorage.operation": started.operation,
                "svstorage.source": text(started.source),
                "svstorage.destination": text(started.destination),
            },
        )
        self._context = trace.set_span_in_context(self._span)
        self._lock = threading.Lock()
        self._on_the_way: dict[str, list[tuple[str, Attributes, int]]] = defaultdict(list)
        self._left = {"done": _spans_wanted(), "failed": _spans_wanted()}
        self._without_span = 0
        self._idle = {"skip": 0, "exclude": 0}

    def hear(self, event: Event) -> None:
        if isinstance(event, ObjectEnded):
            self._object(event.result)
        elif isinstance(event, TryFailed):
            kind = type(event.error).__name__
            self._meters.retries.add(1, {"operation": self._operation, "error.type": kind})
            attributes = {"attempt": event.attempt, "error.type": kind}
            self._note(event.key, "try failed", {**attributes, "message": text(str(event.error))})
        elif isinstance(event, PartEnded):
            by = {"operation": self._operation}
            self._meters.parts.add(1, by)
            self._meters.parts_size.add(event.part.size, by)
            self._note(event.key, "part", {"number": event.part.number, "size": event.part.size})
        elif isinstance(event, RunEnded):
            self._end(event)

    def _note(self, key: str, name: str, attributes: Attributes) -> None:
        with self._lock:
            events = self._on_the_way[key]
            if len(events) < MOST_EVENTS:
                events.append((name, attributes, time.time_ns()))

    def _object(self, result: Result) -> None:
        by = {"operation": self._operation, "action": result.action, "status": result.status}
        kind = {"error.type": result.error_kind} if result.error_kind else {}
        self._meters.objects.add(1, {**by, **kind})
        with self._lock:
            events = self._on_the_way.pop(result.key, [])
            if result.action in self._idle and result.status != "failed":
                self._idle[result.action] += 1
                return  # nothing was done, and there may be millions
            which = "failed" if result.status == "failed" else "done"
            wanted = self._left[which] > 0
            self._left[which] -= wanted
            self._without_span += not wanted
        self._meters.duration.record(result.seconds, by)
        if result.action == "copy" and result.status == "done":
            self._meters.copied.add(result.size, {"operation": self._operation})
        if wanted:
            self._object_span(result, events)

    def _object_span(self, result: Result, events: list[tuple[str, Attributes, int]]) -> None:
        now = time.time_ns()
        attributes: Attributes = {
            "svstorage.key": text(result.key, masked=False),
            "svstorage.size": result.size,
            "svstorage.action": result.action,
            "svstorage.status": result.status,
            "svstorage.attempts": result.attempts,
        }
        for name, value in (("svstorage.strategy", result.strategy),
                            ("svstorage.reason", result.reason),
                            ("error.type", result.error_kind)):  # fmt: skip
            if value is not None:
                attributes[name] = value
        span = self._tracer.start_span(
            "svstorage object",
            context=self._context,
            attributes=attributes,
            start_time=now - int(result.seconds * 1e9),
        )
        for event_name, event_attributes, moment in events:
            span.add_event(event_name, event_attributes, moment)
        if result.status == "failed":
            span.set_status(Status(StatusCode.ERROR, text(result.error or "")))
        span.end(now)

    def _end(self, ended: RunEnded) -> None:
        report, span = ended.report, self._span
        code = report.exit_code if report is not None else getattr(ended.error, "exit_code", 1)
        span.set_attribute("svstorage.exit_code", code)
        by: Attributes = {"operation": self._operation, "exit_code": code}
        self._meters.runs.add(1, by)
        if report is not None:
            for field in dataclasses.fields(report.counters):
                value = getattr(report.counters, field.name)
                span.set_attribute(f"svstorage.{field.name}", value)
            self._meters.run_duration.record(report.seconds, by)
            # What was not told one by one, because nobody wanted to know each by name.
            for action, count in (("skip", report.counters.skipped),
                                  ("exclude", report.counters.excluded)):  # fmt: skip
                if self._operation != "check" and count > self._idle[action]:
                    self._meters.objects.add(
                        count - self._idle[action],
                        {"operation": self._operation, "action": action, "status": "done"},
                    )
        if self._without_span:
            span.set_attribute("svstorage.objects_without_span", self._without_span)
        if code:
            why = (report.fatal if report is not None else None) or str(ended.error or "")
            if ended.error is not None:
                span.set_attribute("error.type", type(ended.error).__name__)
            span.set_status(Status(StatusCode.ERROR, text(why) or f"exit code {code}"))
        span.end()


class _Meters:
    """The instruments; a provider gives the same ones for the same names."""

    def __init__(self, provider: Any) -> None:
        meter = provider.get_meter(INSTRUMENTATION)
        self.objects = meter.create_counter("svstorage.objects", description="Objects looked at")
        self.copied = meter.create_counter("svstorage.copied", "By", "Bytes of copied objects")
        self.duration = meter.create_histogram(
            "svstorage.object.duration", "s", "Time from begin to end of one object"
        )
        self.retries = meter.create_counter("svstorage.retries", description="Failed tries")
        self.parts = meter.create_counter("svstorage.parts", description="Finished parts")
        self.parts_size = meter.create_counter("svstorage.parts.size", "By", "Bytes of parts")
        self.runs = meter.create_counter("svstorage.runs", description="Runs that have ended")
        self.run_duration = meter.create_histogram("svstorage.run.duration", "s", "Time of a run")


def text(value: str, *, masked: bool = True) -> str:
    """Fit to be sent: no password or query of a URL, and text that is UTF-8 (names of files may
    be any bytes)."""
    shown = mask("", value) if masked else value
    return shown.encode("utf-8", "backslashreplace").decode()


def _spans_wanted() -> int:
    word = os.environ.get("SVSTORAGE_OTEL_OBJECTS", "").strip()
    return int(word) if word.isdecimal() else SPANS
