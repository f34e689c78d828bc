"""A version on an endpoint of Vertex AI, on the local stack: pushed, deployed, and predicted with by an upload."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.process import Stack
from event_inference import Client
from event_inference.registry.folder import ModelFolder
from event_inference.registry.push import Order, push
from event_inference.targets import Target

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
PARENT = "projects/local-project/locations/us-central1"
ENDPOINT = f"{PARENT}/endpoints/reviews"


def deploy(http: str, model: str) -> None:
    """Deploy a registered version to a new endpoint, with all of its traffic."""
    api = httpx.Client(base_url=f"{http}/v1/", timeout=100)
    api.post(
        f"{PARENT}/endpoints", params={"endpointId": "reviews"}, json={"displayName": "reviews"}
    ).raise_for_status()
    resources = {"machineSpec": {"machineType": "g2-standard-4"}, "minReplicaCount": 1}
    body = {"deployedModel": {"model": model, "dedicatedResources": resources}, "trafficSplit": {"0": 100}}
    operation = api.post(f"{ENDPOINT}:deployModel", json=body).raise_for_status().json()
    while not operation.get("done"):
        operation = api.post(f"{operation['name']}:wait", json={"timeout": "60s"}).raise_for_status().json()
    assert "response" in operation, operation


def test_an_upload_is_predicted_on_the_endpoint_and_what_it_cannot_read_is_rejected(tmp_path: Path):
    with Stack(tmp_path) as stack:
        stack.start()
        target = Target.laptop(origin="test", http=stack.addresses["http"], grpc=stack.addresses["grpc"])
        client = Client(target=target)
        folder = ModelFolder(ROOT / "gpu_service" / "models" / "sentiment")
        order = Order(folder=folder, name="reviews", version="7", registers=True, endpoint=ENDPOINT)
        registered = push(client.connection, order).registered
        assert registered
        deploy(stack.http, f"{registered.model}@{registered.number}")
        asked: dict[str, Any] = {"model": "reviews", "version": "7"}
        sent = [
            client.submit(b"What a wonderful film.", name="a.txt", **asked),
            client.submit(b"review\nWhat a dull film.\nWonderful.\n", name="a.csv", **asked),
            client.submit(ROOT / "samples/images/eight.webp", **asked),
        ]
        document, refused, unread = (handle.wait(timeout=100).content for handle in sent)
    assert document["predictions"][0]["label"] == "POSITIVE"
    served = {"task": "text-classification", "source": ENDPOINT, "revision": "reviews@1"}
    assert document["model"] == {"name": "reviews", "version": "7", **served}
    assert document["lineage"]["device"] == "vertex_ai"
    assert refused["reason"]["code"] == "invalid_parameters"
    assert unread["status"] == "rejected", unread
