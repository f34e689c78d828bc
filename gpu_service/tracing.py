"""Spans for OpenTelemetry that continue the caller's trace: request, and in it queue, batch and device.

Imported only when OTEL_* asks for traces; spans are made once a request is answered, from the times that were kept.
"""

import json
import time
from typing import Literal

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gpu_service.batching.batcher import Order
from gpu_service.web.asgi import Request

from . import __version__

Exporter = Literal["otlp", "console"]


class Tracing:
    """Makes spans; endpoint, headers, sampler and the like are OpenTelemetry's own variables."""

    def __init__(self, exporter: Exporter, revision: str) -> None:
        own = Resource({"service.name": "gpu-service", "service.version": revision})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
        self._tracer = self._provider.get_tracer(__package__ or "gpu_service", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def answered(self, request: Request, route: str, status: int, began_ns: int) -> None:
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
            self._runs(span, request.order)
        span.end()

    def _runs(self, parent: Span, order: Order) -> None:
        """A request of many instances may have waited for several batches."""
        epoch = time.time_ns() - int(time.monotonic() * 1e9)
        for run, delivered in order.runs or ():
            facts: dict[str, str | int] = {"model": run.model, "rows": run.rows, "units": run.units}
            self._span("queue", parent, epoch, order.arrived, run.began, {})
            batch = self._span("batch", parent, epoch, run.began, delivered, facts)
            self._span("device", batch, epoch, run.ended - run.seconds, run.ended, {})

    def _span(
        self, name: str, parent: Span, epoch: int, began: float, ended: float, facts: dict[str, str | int]
    ) -> Span:
        context = trace.set_span_in_context(parent)
        attributes = {f"gpu_service.{key}": value for key, value in facts.items()}
        span = self._tracer.start_span(name, context, start_time=epoch + int(began * 1e9), attributes=attributes)
        span.end(epoch + int(ended * 1e9))
        return span

    def flush(self) -> None:
        """Sends what is left; may take as long as OTEL_EXPORTER_OTLP_TIMEOUT."""
        self._provider.force_flush()


def _exporter(name: Exporter) -> SpanExporter:
    return OTLPSpanExporter() if name == "otlp" else ConsoleSpanExporter(formatter=_line)


def _line(span: ReadableSpan) -> str:
    """As one line, as the log beside it."""
    return json.dumps({"severity": "DEBUG", "message": "span", "span": json.loads(span.to_json(indent=None))}) + "\n"
