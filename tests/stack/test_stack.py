"""The local stack as processes: the demo, a kill during it, and what `make local` promises."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from google.cloud import storage
from google.cloud.workflows import executions_v1
from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcTransport
from jsonschema import Draft202012Validator

from emulator.process import Stack

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "functions" / "pipeline" / "schemas"
PARENT = "projects/local-project/locations/us-central1/workflows/inference"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running.start()
        # Some tests call a service as an account that may not.
        assert {refusal["permission"] for refusal in running.refusals()} <= {"run.routes.invoke"}


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samples.demo", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


def wait_for(client: storage.Client, name: str, timeout_s: float = 60) -> dict:
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        blob = client.bucket("local-output").get_blob(name)
        if blob:
            return json.loads(blob.download_as_bytes())
        time.sleep(0.1)
    raise AssertionError(f"{name} did not appear within {timeout_s} s")


@pytest.mark.parametrize(
    "options",
    [pytest.param((), id="undisturbed"), pytest.param(("--kill",), id="with a power cut", marks=pytest.mark.long)],
)
def test_the_demo_has_the_expected_outcomes_and_valid_documents(options: tuple[str, ...]):
    finished = demo(*options)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    output = ROOT / ".local" / "demo" / "output"
    documents = [
        path
        for folder in ("results", "rejected", "failed")
        for path in output.glob(f"{folder}/**/*.json")
        if path.is_file()
    ]
    assert documents
    for path in documents:
        document = json.loads(path.read_text())
        schema = json.loads((SCHEMAS / f"{document['schema'].split('/')[0]}.schema.json").read_text())
        Draft202012Validator(schema).validate(document)


def test_an_upload_with_the_official_client_leads_to_an_execution_that_the_official_client_reads(
    stack: Stack, client: storage.Client
):
    blob = client.bucket("local-input").blob("a folder/review #1 ü.txt")
    blob.upload_from_string("What a delightful, warm and funny film!", "text/plain")
    document = wait_for(client, f"results/{blob.name}/{blob.generation}.json")
    assert document["predictions"][0]["label"] == "POSITIVE"
    assert wait_for(client, f"latest/{blob.name}.json") == document

    transport = ExecutionsGrpcTransport(channel=grpc.insecure_channel(stack.grpc))
    executions = executions_v1.ExecutionsClient(transport=transport)
    name = f"{PARENT}/executions/{document['lineage']['execution']}"
    execution = executions.get_execution(name=name, timeout=10)
    assert execution.labels["job"] == document["job"]
    assert json.loads(execution.argument)["document"] == f"{blob.name}/{blob.generation}"


def test_a_cloud_event_sent_by_hand_to_a_function_works(stack: Stack, client: storage.Client):
    event = json.loads((ROOT / "tests" / "events" / "by_hand.json").read_text())
    headers = event["headers"] | {"Authorization": f"Bearer {stack.token('on-message')}"}
    answer = httpx.post(stack.addresses["services"]["on-message"], headers=headers, json=event["data"])
    assert answer.status_code == 200
    assert wait_for(client, "results/messages/messages/id-by-hand-1.json")["predictions"][0]["label"] == "NEGATIVE"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("on-upload", b"{}"),
        ("on-message", b"not json"),
        ("preprocess", b"[1, 2]"),
        ("forecast", b"{}"),
        ("postprocess", b'{"argument": 7}'),
        ("gpu-service", b"{}"),
    ],
)
def test_an_invalid_body_is_refused_with_400_and_no_traceback(stack: Stack, path: str, body: bytes):
    url = stack.addresses["services"][path] + ("/predict" if path == "gpu-service" else "")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {stack.token(path)}"}
    answer = httpx.post(url, content=body, headers=headers)
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("service", ["on-upload", "on-message", "preprocess", "gpu-service"])
def test_a_service_answers_only_its_invokers(stack: Stack, service: str):
    url = stack.addresses["services"][service] + ("/predict" if service == "gpu-service" else "")
    expected = {
        "": 403,
        "garbage": 401,
        stack.token("forecast"): 401,
        stack.token(service, account="postprocess"): 403,
        stack.token(service): 400,  # from the service itself, because of the body
    }
    for token, status in expected.items():
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        assert httpx.post(url, content=b"{}", headers=headers).status_code == status


def test_a_stop_leaves_no_process_behind(tmp_path: Path):
    stack = Stack(tmp_path / "data").start()
    children = psutil.Process(os.getpid()).children(recursive=True)
    own = [child for child in children if str(tmp_path) in " ".join(child.cmdline())]
    family = [*own, *(grandchild for child in own for grandchild in child.children(recursive=True))]
    assert len(family) > len(stack.addresses["services"])
    stack.stop()
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
