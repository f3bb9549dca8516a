"""Receivers on loopback that keep what OpenLineage and OpenTelemetry send, as they spell it."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from message_places import served
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Seen:
    """events: OpenLineage's JSON; spans and metrics: as OTLP tells them, flattened."""

    url: str = ""
    status: int = 200
    events: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)

    def take(self, path: str, content: bytes) -> None:
        if path == "/v1/traces":
            told = ExportTraceServiceRequest.FromString(content)
            self.spans += [s for r in told.resource_spans for x in r.scope_spans for s in x.spans]
        elif path == "/v1/metrics":
            said = ExportMetricsServiceRequest.FromString(content)
            self.metrics += [
                m for r in said.resource_metrics for x in r.scope_metrics for m in x.metrics
            ]
        elif path == "/api/v1/lineage":
            self.events.append(json.loads(content))


@contextmanager
def receiver() -> Iterator[Seen]:
    state = Seen()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            return

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            if state.status == 200:
                state.take(self.path, content)
            self.send_response(state.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        state.url = f"http://127.0.0.1:{port}"
        yield state
