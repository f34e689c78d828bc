"""Each function in a process of its own, under the real functions-framework server."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.conftest import finalized, published

ROOT = Path(__file__).parents[2]
SIGNATURES = {"on_upload": "cloudevent", "on_message": "cloudevent", "preprocess": "http", "postprocess": "http"}

Serve = Callable[[str], str]


@pytest.fixture
def serve(cloud: Cloud, tmp_path: Path) -> Iterator[Serve]:
    """Starts a function and returns its address."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "functions_framework", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--source", f"functions/{name}/main.py", "--target", name, "--signature-type", SIGNATURES[name]]
        env = os.environ | cloud.env | {"PYTHONPATH": "functions"}
        log = (tmp_path / f"{name}.log").open("wb")
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        processes.append(process)
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}/"
            assert process.poll() is None, (tmp_path / f"{name}.log").read_text()
            time.sleep(0.05)
        raise TimeoutError(name)

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(20)


def post(url: str, headers: dict[str, str], body: Any) -> tuple[int, str]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_events_become_executions_and_executions_documents(cloud: Cloud, serve: Serve, tmp_path: Path) -> None:
    event = finalized(cloud.upload("a.txt", "What a wonderful film.", metadata={"top-k": "1"}))
    on_upload = serve("on_upload")
    assert post(on_upload, event["headers"], event["json"]) == (200, "OK")
    message = published(b'{"instances": [{"text": "Dull."}]}')
    assert post(serve("on_message"), message["headers"], message["json"]) == (200, "OK")
    assert [argument["kind"] for argument in cloud.executions.arguments] == ["text", "text"]

    preprocess = serve("preprocess")
    answers = [post(preprocess, {}, argument) for argument in cloud.executions.arguments]
    instances = [json.loads(text)["instances"] for status, text in answers if status == 200]
    assert instances == [[{"text": "What a wonderful film."}], [{"text": "Dull."}]]

    postprocess = serve("postprocess")
    prediction = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}, "device": "cpu"}
    for argument in cloud.executions.arguments:
        body = {"argument": argument, "prediction": prediction, "lineage": {"started_at": None}}
        status, text = post(postprocess, {}, body)
        assert (status, json.loads(text)["status"]) == (200, "succeeded")
    assert len(cloud.documents("results")) == 2

    status, text = post(on_upload, event["headers"], {})
    assert (status, json.loads(text)["error"]["code"]) == (400, "malformed_request")
    status, text = post(preprocess, {}, {"job": "x"})
    assert (status, json.loads(text)["error"]["code"]) == (400, "malformed_request")
    lines = [json.loads(line) for line in (tmp_path / "on_upload.log").read_text().splitlines()]
    assert [line["message"] for line in lines] == ["accepted", "failed"]


def test_a_wrong_configuration_is_refused_at_start(cloud: Cloud) -> None:
    command = [sys.executable, "-m", "functions_framework", "--source", "functions/on_upload/main.py"]
    command += ["--target", "on_upload", "--host", "127.0.0.1", "--port", "0"]
    env = os.environ | cloud.env | {"OUTPUT_BUCKET": cloud.input.name, "PYTHONPATH": "functions"}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert "must differ" in run.stderr
