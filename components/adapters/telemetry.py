"""The one door to OpenTelemetry: a stage's span and its duration, over OTLP/HTTP.

Configured as every OpenTelemetry program is: OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT,
OTEL_SERVICE_NAME. The providers are ours alone, so MLflow's own tracing is left as it is. All
stages of a run share one trace, whose id is the run's UUID, whichever process they run in.

A collector that is away costs a process one wait of at most a second (OTEL_EXPORTER_OTLP_TIMEOUT
says otherwise): after the first failure nothing more is sent.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from threading import Event
from typing import Any
from uuid import UUID

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
DURATION = "genco.stage.duration"
BOUNDS_S = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 10 * 3600)
Attributes = dict[str, str | int | float | bool]


def is_configured(surroundings: Mapping[str, str]) -> bool:
    """Whether there is an endpoint to send to."""
    return bool(surroundings.get(ENDPOINT))


@lru_cache(maxsize=1)
def _providers() -> tuple[Any, Any]:
    """(traces, metrics), sent when a stage ends and not by the clock."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    away = Event()
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "genco"}
    resource = Resource.create(named)
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(
        SimpleSpanProcessor(_asked_until(away, OTLPSpanExporter(), SpanExportResult))
    )
    reader = PeriodicExportingMetricReader(
        _asked_until(away, OTLPMetricExporter(), MetricExportResult),
        export_interval_millis=float("inf"),
    )
    return traces, MeterProvider([reader], resource=resource)


def _asked_until(away: Event, exporter: Any, outcome: Any) -> Any:
    """The exporter, which sends nothing more once it or another one of ours could not."""
    send = exporter.export

    def export(*arguments: Any, **named: Any) -> Any:
        if away.is_set():
            return outcome.FAILURE
        sent = send(*arguments, **named)
        if sent is not outcome.SUCCESS:
            away.set()
        return sent

    exporter.export = export
    return exporter


@lru_cache(maxsize=1)
def _duration() -> Any:
    meter = _providers()[1].get_meter("genco")
    return meter.create_histogram(
        DURATION, unit="s", explicit_bucket_boundaries_advisory=list(BOUNDS_S)
    )


@contextmanager
def span(stage: str, run: str, attributes: Attributes) -> Iterator[Any]:
    """A span around the block, below the run's trace; an exception is recorded and goes on."""
    from opentelemetry import trace

    traces, _ = _providers()
    number = UUID(run).int
    root = trace.SpanContext(
        trace_id=number,
        span_id=(number & (2**64 - 1)) or 1,
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    under = trace.set_span_in_context(trace.NonRecordingSpan(root))
    tracer = traces.get_tracer("genco")
    with tracer.start_as_current_span(stage, context=under, attributes=attributes) as one:
        yield one


def measure(seconds: float, attributes: Attributes) -> None:
    """The stage's duration is sent."""
    _duration().record(seconds, attributes)
    _providers()[1].force_flush(3000)
