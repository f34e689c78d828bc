"""The service as a process: start, readiness, SIGTERM with requests in flight, and errors that prevent the start."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[3]


@contextmanager
def half_sent(server: Any, body: bytes) -> Iterator[socket.socket]:
    """A request whose last byte is still missing."""
    head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + body[:-1])
        yield connection


def test_it_becomes_ready_answers_and_exits_with_zero(serve: Callable[..., Any]):
    server = serve(K_REVISION="gpu-service-00007-abc")
    server.wait_until_ready()
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    answer = server.http.post("/predict", json={"text": "a good film"}, headers=trace)
    assert answer.json()["device_used"] == "cpu"
    assert answer.json()["revision"] == "gpu-service-00007-abc"
    server.process.send_signal(signal.SIGTERM)
    lines = server.stop()
    assert server.process.returncode == 0
    ready = next(line for line in lines if line["message"] == "ready")
    assert {"imports", "weights", "warmup", "total"} <= ready["start_seconds"].keys()
    predicted = next(line for line in lines if line["message"] == "predicted")
    assert predicted["trace"] == "a" * 32
    assert predicted["severity"] == "INFO"
    assert not any("good film" in json.dumps(line) for line in lines)


def test_sigterm_finishes_requests_in_flight_and_admits_no_more(serve: Callable[..., Any]):
    server = serve()
    server.wait_until_ready()
    body = json.dumps({"instances": ["a good film"] * 128}).encode()
    with half_sent(server, body) as first, half_sent(server, body) as second:
        while server.active() < 3:  # both and the question itself
            time.sleep(0.01)
        server.http.close()
        server.process.send_signal(signal.SIGTERM)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", server.port), timeout=30):
                    time.sleep(0.01)
            except ConnectionRefusedError:
                break
        for connection in (first, second):
            connection.sendall(body[-1:])
            answer = b""
            while piece := connection.recv(1 << 16):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.count(b'"label"') == 128
    lines = server.stop()
    assert server.process.returncode == 0
    assert next(line for line in lines if line["message"] == "stopping")["active"] == 2


def test_a_missing_required_gpu_prevents_the_start(serve: Callable[..., Any]):
    server = serve(GPU_REQUIRED="1", CUDA_VISIBLE_DEVICES="")
    (line,) = server.stop()
    assert server.process.returncode == 1
    assert line["severity"] == "ERROR"
    assert "A GPU is required, but none is usable" in line["message"]


@pytest.mark.parametrize("name", ["distilbert", "electra"])
def test_sigterm_while_models_load_exits_with_zero(
    serve: Callable[..., Any], folder: Callable[[str], Path], tmp_path: Path, name: str
):
    """The second model is loaded through transformers, whose import lock a thread holds at that moment."""
    entry = {"name": name, "task": "text-classification", "source": str(folder(name))}
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"test": [entry]}))
    server = serve("--models", str(path))
    server.wait_until_alive()
    server.process.send_signal(signal.SIGTERM)
    lines = server.stop()
    assert server.process.returncode == 0
    assert [line["message"] for line in lines] == ["stopping", "stopped"]


def test_sigterm_does_not_wait_for_a_start_that_hangs(serve: Callable[..., Any], tmp_path: Path):
    os.mkfifo(tmp_path / "models.json")  # reading it waits for a writer
    server = serve("--models", str(tmp_path / "models.json"))
    server.wait_until_alive()
    assert server.http.get("/ready").status_code == 503
    server.process.send_signal(signal.SIGTERM)
    assert server.stop()[-1]["message"] == "stopped"
    assert server.process.returncode == 0


def test_sigterm_exits_with_zero_even_if_the_log_is_not_read(serve: Callable[..., Any]):
    server = serve()
    server.wait_until_ready()
    server.process.stdout.close()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_a_port_in_use_prevents_the_start(serve: Callable[..., Any]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = serve("--port", str(taken.getsockname()[1]))
        lines = server.stop()
    assert server.process.returncode == 1
    assert "address already in use" in lines[0]["message"]
    assert "Cannot listen on 127.0.0.1, port" in lines[-1]["message"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--profile", "nowhere"), "has no profile 'nowhere'"),
        (("--models", "missing.json"), "missing.json"),
        (("--device", "cuda"), "A GPU is required"),
    ],
)
def test_an_unservable_model_prevents_the_start_with_a_clear_message(
    serve: Callable[..., Any], more: tuple[str, ...], reason: str
):
    server = serve(*more, CUDA_VISIBLE_DEVICES="")
    (line,) = server.stop()
    assert server.process.returncode == 1
    assert reason in line["message"]
    assert "exception" not in line


def test_vertex_ai_names_port_and_routes(serve: Callable[..., Any], free_port: Callable[[], int]):
    port = free_port()
    server = serve(AIP_HTTP_PORT=str(port), AIP_PREDICT_ROUTE="/v1/go", AIP_HEALTH_ROUTE="/v1/alive")
    server.port = port
    server.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    server.wait_until_ready()
    assert server.http.get("/v1/alive").status_code == 200
    assert len(server.http.post("/v1/go", json={"instances": [{"text": "dull"}]}).json()["predictions"]) == 1
    assert "/v1/go" in server.http.get("/openapi.json").json()["paths"]
    refused = {"instances": [{"text": "dull"}, {"text": "fine"}], "parameters": {"top_k": 0}}
    answer = server.http.post("/v1/go", json=refused)
    assert answer.status_code == 200
    assert [prediction["error"]["code"] for prediction in answer.json()["predictions"]] == ["invalid_parameters"] * 2
    assert server.http.post("/predict", json=refused).status_code == 400
    assert server.http.post("/v1/go", json={}).status_code == 400


def test_the_serving_path_of_known_checkpoints_imports_no_transformers():
    code = "import gpu_service.web.server, gpu_service.serving.startup, sys; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_port_is_open_before_torch_is_imported():
    code = "import sys, gpu_service.web.server; print({'torch', 'numpy', 'tokenizers'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    assert answer.stdout == "set()\n"
