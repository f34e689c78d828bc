"""Endpoints: deploying, the traffic split, and what a restart brings back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.vertex_ai.conftest import IMAGE, LOCATION, RESOURCES, Containers, Vertex


def test_a_deployed_model_gets_the_container_contract(vertex: Vertex, containers: Containers) -> None:
    spec = {
        "imageUri": IMAGE,
        "predictRoute": "/predict",
        "healthRoute": "/ready",
        "env": [{"name": "A", "value": "b"}],
    }
    vertex.upload(containerSpec=spec, artifactUri="gs://b/m/1")
    endpoint = vertex.endpoint()
    machine = {"machineType": "g2-standard-4", "acceleratorType": 11, "acceleratorCount": 1}
    resources = {"machineSpec": machine, "minReplicaCount": 1, "maxReplicaCount": 2}
    operation = vertex.deploy(endpoint, "m", {"0": 100}, id="5", dedicatedResources=resources)
    assert operation["response"]["deployedModel"]["modelVersionId"] == "1"
    (running,) = containers.started
    assert running.container.health_route == "/ready"
    assert running.container.env == {
        "A": "b",
        "AIP_ACCELERATOR_TYPE": "NVIDIA_L4",
        "AIP_DEPLOYED_MODEL_ID": "5",
        "AIP_ENDPOINT_ID": "e",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_HEALTH_ROUTE": "/ready",
        "AIP_MACHINE_TYPE": "g2-standard-4",
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_PREDICT_ROUTE": "/predict",
        "AIP_PROJECT_NUMBER": "123456789012",
        "AIP_STORAGE_URI": "gs://b/m/1",
    }
    (deployed,) = vertex.call("GET", endpoint)["deployedModels"]
    assert deployed["dedicatedResources"]["machineSpec"]["acceleratorType"] == "NVIDIA_L4"


def test_routes_have_vertex_ais_defaults(vertex: Vertex, containers: Containers) -> None:
    vertex.upload()
    vertex.deploy(vertex.endpoint(), "m", {"0": 100}, id="5")
    (running,) = containers.started
    assert running.container.health_route == "/v1/endpoints/e/deployedModels/5"
    assert running.container.env["AIP_PREDICT_ROUTE"] == "/v1/endpoints/e/deployedModels/5:predict"


def test_a_container_that_does_not_start_fails_the_operation(vertex: Vertex) -> None:
    vertex.upload(artifactUri="gs://broken")
    endpoint = vertex.endpoint()
    operation = vertex.deploy(endpoint, "m", {"0": 100})
    assert operation["error"]["code"] == 9
    assert "never became ready" in operation["error"]["message"]
    assert "it ended with status 1" in operation["error"]["message"]
    assert "deployedModels" not in vertex.call("GET", endpoint)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": f"{LOCATION}/models/none"}, "does not exist"),
        ({"dedicatedResources": {}}, "dedicatedResources is required"),
        ({"dedicatedResources": {"minReplicaCount": 0, "machineSpec": {"machineType": "m"}}}, "must be 1 or more"),
        ({"dedicatedResources": {"minReplicaCount": 1}}, "machineType is required"),
        ({"automaticResources": {"minReplicaCount": 1}}, "automaticResources is not emulated"),
        ({"serviceAccount": "who@p.iam.gserviceaccount.com"}, "There is no service account"),
        ({"id": "a"}, "must consist of digits"),
    ],
)
def test_what_cannot_be_deployed_is_refused(vertex: Vertex, fields: dict[str, Any], message: str) -> None:
    vertex.upload()
    body = {"model": f"{LOCATION}/models/m", "dedicatedResources": RESOURCES, **fields}
    refused = vertex.call("POST", f"{vertex.endpoint()}:deployModel", {"deployedModel": body})
    assert message in refused["error"]["message"]


def test_no_model_decides_what_a_process_runs(vertex: Vertex) -> None:
    vertex.upload(containerSpec={"imageUri": IMAGE, "env": [{"name": "LD_PRELOAD", "value": "x.so"}]})
    body = {"model": f"{LOCATION}/models/m", "dedicatedResources": RESOURCES}
    refused = vertex.call("POST", f"{vertex.endpoint()}:deployModel", {"deployedModel": body})
    assert "LD_PRELOAD decides what a process runs" in refused["error"]["message"]


def test_traffic_moves_between_deployed_models(vertex: Vertex, containers: Containers) -> None:
    vertex.upload()
    vertex.version("m")
    endpoint = vertex.endpoint()
    vertex.deploy(endpoint, "m@1", {"0": 100}, id="1")
    vertex.deploy(endpoint, "m@2", {"0": 10, "1": 90}, id="2")
    assert vertex.call("GET", endpoint)["trafficSplit"] == {"1": 90, "2": 10}
    change = {"trafficSplit": {"1": 50, "2": 60}}
    assert "is 110, not 100" in vertex.call("PATCH", endpoint, change, updateMask="trafficSplit")["error"]["message"]
    change = {"trafficSplit": {"1": 50, "3": 50}}
    assert "no model '3'" in vertex.call("PATCH", endpoint, change, updateMask="traffic_split")["error"]["message"]
    refused = vertex.call("POST", f"{endpoint}:undeployModel", {"deployedModelId": "1"})
    assert "has traffic" in refused["error"]["message"]
    vertex.call("PATCH", endpoint, {"trafficSplit": {"2": 100}}, updateMask="trafficSplit")
    assert vertex.done(vertex.call("POST", f"{endpoint}:undeployModel", {"deployedModelId": "1"}))["response"]
    assert [running.stopped for running in containers.started] == [True, False]
    assert vertex.call("DELETE", endpoint)["error"]["status"] == "FAILED_PRECONDITION"
    vertex.done(vertex.call("POST", f"{endpoint}:undeployModel", {"deployedModelId": "2"}))
    assert vertex.call("GET", endpoint)["trafficSplit"] == {}
    assert vertex.call("DELETE", endpoint)["done"]
    assert vertex.call("GET", endpoint)["error"]["code"] == 404


def test_a_split_is_only_changed_where_a_request_has_one(vertex: Vertex) -> None:
    vertex.upload()
    endpoint = vertex.endpoint()
    vertex.deploy(endpoint, "m", id="1")
    assert "trafficSplit" not in vertex.call("GET", endpoint)
    assert "no deployed model with traffic" in vertex.predict(endpoint)["error"]["message"]


def test_a_restart_brings_deployed_models_back(
    start: Callable[..., Vertex], containers: Containers, tmp_path: Path
) -> None:
    vertex = start(tmp_path)
    vertex.upload()
    endpoint = vertex.endpoint()
    operation = vertex.deploy(endpoint, "m", {"0": 100}, id="1")
    vertex = start(tmp_path)
    assert containers.started[0].stopped
    answer = vertex.predict(endpoint)
    while answer.get("error", {}).get("status") == "UNAVAILABLE":
        answer = vertex.predict(endpoint)
    assert answer["deployedModelId"] == "1"
    assert len(containers.started) == 2
    assert vertex.call("GET", operation["name"]) == operation


def test_a_restart_continues_what_was_deploying(
    start: Callable[..., Vertex], containers: Containers, tmp_path: Path
) -> None:
    vertex = start(tmp_path)
    vertex.upload(artifactUri="gs://slow")
    endpoint = vertex.endpoint()
    body = {"deployedModel": {"model": f"{LOCATION}/models/m", "dedicatedResources": RESOURCES, "id": "1"}}
    operation = vertex.call("POST", f"{endpoint}:deployModel", {**body, "trafficSplit": {"0": 100}})
    assert vertex.call("POST", f"{operation['name']}:wait", {"timeout": "0.1s"}) == operation
    vertex = start(tmp_path)
    assert vertex.done(operation)["response"]["deployedModel"]["id"] == "1"
    assert vertex.predict(endpoint)["deployedModelId"] == "1"


def test_operations_are_read_under_the_versions_that_clients_poll(vertex: Vertex) -> None:
    operation = vertex.upload()
    for version in ("v1", "v1beta1", "ui"):
        url = vertex.http.base_url.copy_with(path=f"/{version}/{operation['name']}")
        assert vertex.http.get(url).json() == operation
    listed = vertex.call("GET", f"{LOCATION}/models/m/operations")
    assert listed == {"operations": [operation]}
    missing = f"{LOCATION}/models/m/operations/1"
    assert vertex.call("GET", missing)["error"]["code"] == 404
    assert vertex.call("POST", f"{missing}:wait")["error"]["code"] == 404


def test_endpoints_are_listed_and_described(vertex: Vertex) -> None:
    vertex.endpoint("a")
    vertex.endpoint("b")
    assert vertex.call("POST", f"{LOCATION}/endpoints", {"displayName": "a"}, endpointId="a")["error"]["code"] == 409
    assert vertex.call("POST", f"{LOCATION}/endpoints", {}, endpointId="c")["error"]["code"] == 400
    assert vertex.call("POST", f"{LOCATION}/endpoints", {"displayName": "c"}, endpointId="C")["error"]["code"] == 400
    refused = vertex.call("POST", f"{LOCATION}/endpoints", {"displayName": "c", "dedicatedEndpointEnabled": True})
    assert refused["error"]["code"] == 501
    listed = vertex.call("GET", f"{LOCATION}/endpoints", filter="display_name=a")["endpoints"]
    assert [endpoint["name"] for endpoint in listed] == [f"{LOCATION}/endpoints/a"]
