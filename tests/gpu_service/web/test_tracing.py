"""Spans as a collector receives them from the running service."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gpu_service.errors import StartError
from gpu_service.settings import read

TRACE, PARENT = "ab" * 16, "cd" * 8
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Collector:
    """Receives OTLP over HTTP and keeps every span."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.keep(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Keeps the test's output clean."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def keep(self, request: ExportTraceServiceRequest) -> None:
        for of_resource in request.resource_spans:
            attributes = of_resource.resource.attributes
            self.resources.append({attribute.key: attribute.value.string_value for attribute in attributes})
            self.spans += [span for scope in of_resource.scope_spans for span in scope.spans]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_spans_of_a_request_continue_the_callers_trace(serve: Callable[..., Any], collector: Collector):
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, K_REVISION="r7")
    server.wait_until_ready()
    assert server.http.post("/predict", json={"instances": ["good", "bad"]}, headers=HEADERS).status_code == 200
    assert server.http.post("/predict", content=b"{", headers=HEADERS).status_code == 400
    server.process.send_signal(signal.SIGTERM)
    lines = server.stop()
    assert server.process.returncode == 0
    assert "tracing" in next(line for line in lines if line["message"] == "ready")["start_seconds"]
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    spans = {span.name: span for span in collector.spans if span.parent_span_id.hex() != PARENT}
    request, refused = (span for span in collector.spans if span.parent_span_id.hex() == PARENT)
    assert (request.name, refused.name) == ("POST /predict", "POST /predict")
    statuses = [
        attribute.value.int_value
        for span in (request, refused)
        for attribute in span.attributes
        if attribute.key == "http.response.status_code"
    ]
    assert statuses == [200, 400]
    assert set(spans) == {"queue", "batch", "device"}
    assert spans["queue"].parent_span_id == spans["batch"].parent_span_id == request.span_id
    assert spans["device"].parent_span_id == spans["batch"].span_id
    facts = {attribute.key: attribute.value for attribute in spans["batch"].attributes}
    assert facts["gpu_service.model"].string_value == "moods@2"
    assert facts["gpu_service.rows"].int_value == 2
    times = [
        request.start_time_unix_nano,
        spans["queue"].start_time_unix_nano,
        spans["queue"].end_time_unix_nano,
        spans["device"].start_time_unix_nano,
        spans["device"].end_time_unix_nano,
        spans["batch"].end_time_unix_nano,
        request.end_time_unix_nano,
    ]
    slack = 1_000_000  # two clocks are read, not at the same moment
    assert all(earlier <= later + slack for earlier, later in pairwise(times))
    assert {"service.name": "gpu-service", "service.version": "r7"}.items() <= collector.resources[0].items()


def test_a_trace_that_is_not_sampled_leaves_no_spans(serve: Callable[..., Any], collector: Collector):
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
    server.wait_until_ready()
    unsampled = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    assert server.http.post("/predict", json={"text": "good"}, headers=unsampled).status_code == 200
    assert server.http.post("/predict", json={"text": "good"}, headers={"traceparent": "odd"}).status_code == 200
    server.process.send_signal(signal.SIGTERM)
    server.stop()
    names = [span.name for span in collector.spans]
    assert sorted(names) == ["POST /predict", "batch", "device", "queue"], "one trace of its own, for the odd one"
    assert collector.spans[0].trace_id.hex() != TRACE


@pytest.mark.release
def test_an_unreachable_collector_affects_no_request(serve: Callable[..., Any]):
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_SERVICE_NAME="mine")
    server.wait_until_ready()
    assert server.http.post("/predict", json={"text": "good"}, headers=HEADERS).status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.stop()[-1]["message"] == "stopped"
    assert server.process.returncode == 0


def test_spans_on_the_console_are_lines_of_the_log(serve: Callable[..., Any]):
    server = serve(OTEL_TRACES_EXPORTER="console")
    server.wait_until_ready()
    assert server.http.post("/predict", json={"text": "good"}, headers=HEADERS).status_code == 200
    server.process.send_signal(signal.SIGTERM)
    spans = [line["span"] for line in server.stop() if line["message"] == "span"]
    assert sorted(span["name"] for span in spans) == ["POST /predict", "batch", "device", "queue"]


@pytest.mark.release
def test_opentelemetry_is_imported_only_if_enabled():
    code = "import gpu_service.web.server, gpu_service.serving.startup, sys; sys.exit('opentelemetry' in sys.modules)"
    root = Path(__file__).parents[3]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    assert subprocess.run([sys.executable, "-c", code], cwd=root, env=environ, check=False).returncode == 0


@pytest.mark.parametrize(
    ("environ", "exporter"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "x"}, None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
    ],
)
def test_spans_go_to_the_configured_endpoint(environ: dict[str, str], exporter: str | None):
    assert read([], environ).traces == exporter


def test_an_unknown_exporter_prevents_the_start():
    with pytest.raises(StartError, match="zipkin"):
        read([], {"OTEL_TRACES_EXPORTER": "zipkin"})
