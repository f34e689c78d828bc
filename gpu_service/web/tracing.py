"""OpenTelemetry spans that continue the caller's trace: the request, and within it queue, batch and device.

This module is imported only when OTEL_* variables ask for traces. Spans are made after the response, from recorded
times.
"""

import json
import time
from collections.abc import Mapping
from typing import Literal

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gpu_service import __version__
from gpu_service.batching.order import Order
from gpu_service.web.asgi import Request

Exporter = Literal["otlp", "console"]


class Tracing:
    """Makes and exports spans; OpenTelemetry's own variables set endpoint, headers and sampler."""

    def __init__(self, exporter: Exporter, revision: str) -> None:
        service = Resource({"service.name": "gpu-service", "service.version": revision})
        self._provider = TracerProvider(resource=service.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
        self._tracer = self._provider.get_tracer("gpu_service", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def record(self, request: Request, route: str, status: int, began_ns: int) -> None:
        """Records a request that took from `began_ns` (since the epoch) until now."""
        carrier = {name: value for name in ("traceparent", "tracestate") if (value := request.header(name.encode()))}
        span = self._tracer.start_span(
            f"{request.method} {route}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            start_time=began_ns,
            attributes={
                "http.request.method": request.method,
                "http.route": route,
                "http.response.status_code": status,
            },
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if request.order is not None and span.is_recording():
            self._record_batches(span, request.order)
        span.end()

    def _record_batches(self, parent: Span, order: Order) -> None:
        """The spans of each batch that ran instances of the request."""
        epoch = time.time_ns() - int(time.monotonic() * 1e9)
        for run, delivered in order.runs or ():
            attributes: dict[str, str | int] = {
                "gpu_service.model": run.model,
                "gpu_service.rows": run.rows,
                "gpu_service.units": run.units,
            }
            self._span("queue", parent, epoch, order.arrived, run.began)
            batch = self._span("batch", parent, epoch, run.began, delivered, attributes)
            self._span("device", batch, epoch, run.ended - run.seconds, run.ended)

    def _span(
        self,
        name: str,
        parent: Span,
        epoch: int,
        began: float,
        ended: float,
        attributes: Mapping[str, str | int] | None = None,
    ) -> Span:
        context = trace.set_span_in_context(parent)
        span = self._tracer.start_span(name, context, start_time=epoch + int(began * 1e9), attributes=attributes)
        span.end(epoch + int(ended * 1e9))
        return span

    def flush(self) -> None:
        """Exports the remaining spans; may take as long as OTEL_EXPORTER_OTLP_TIMEOUT."""
        self._provider.force_flush()


def _exporter(name: Exporter) -> SpanExporter:
    return OTLPSpanExporter() if name == "otlp" else ConsoleSpanExporter(formatter=_line)


def _line(span: ReadableSpan) -> str:
    """One JSON line, in the log's format."""
    return json.dumps({"severity": "DEBUG", "message": "span", "span": json.loads(span.to_json(indent=None))}) + "\n"
