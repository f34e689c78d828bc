"""Predictions: which deployed model answers, what comes back, and how a container's errors come through."""

import json
from collections import Counter
from typing import Any

import pytest

from emulator.vertex_ai.predictions import MAX_PAYLOAD
from tests.emulator.vertex_ai.conftest import LOCATION, Vertex

SENT = 400


@pytest.fixture
def endpoint(vertex: Vertex) -> str:
    vertex.upload(displayName="Model")
    vertex.version("m", displayName="Model")
    name = vertex.endpoint()
    vertex.deploy(name, "m@1", {"0": 100}, id="1")
    return name


def test_what_comes_back(vertex: Vertex, endpoint: str) -> None:
    answer = vertex.predict(endpoint, {"text": "a"})
    assert answer.pop("predictions")[0]["AIP_DEPLOYED_MODEL_ID"] == "1"
    assert answer == {
        "deployedModelId": "1",
        "model": f"{LOCATION}/models/m",
        "modelDisplayName": "Model",
        "modelVersionId": "1",
        "metadata": {"a": 1},
    }


def test_requests_are_split_by_percentage(vertex: Vertex, endpoint: str) -> None:
    vertex.deploy(endpoint, "m@2", {"0": 25, "1": 75}, id="2")
    seen = Counter(vertex.predict(endpoint)["modelVersionId"] for _ in range(SENT))
    assert set(seen) == {"1", "2"}
    assert SENT * 0.15 < seen["2"] < SENT * 0.35


def test_a_raw_prediction_is_the_containers_own_answer(vertex: Vertex, endpoint: str) -> None:
    body = {"instances": [{"text": "a"}], "more": 1}
    answer = vertex.http.post(f"{endpoint}:rawPredict", json=body)
    assert answer.json()["asked"] == body
    assert answer.headers["X-Vertex-AI-Deployed-Model-Id"] == "1"
    assert answer.headers["X-Vertex-AI-Endpoint-Id"] == "e"
    refused = vertex.http.post(f"{endpoint}:rawPredict", json={"instances": [{"status": 422}]})
    assert (refused.status_code, refused.text) == (422, "refused")
    missing = vertex.http.post(f"{LOCATION}/endpoints/none:rawPredict", json=body)
    assert missing.json()["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("status", "expected"), [(400, 400), (404, 404), (422, 400), (429, 429), (500, 500), (503, 503), (204, 500)]
)
def test_errors_of_the_container(vertex: Vertex, endpoint: str, status: int, expected: int) -> None:
    answer = vertex.http.post(f"{endpoint}:predict", json={"instances": [{"status": status}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (expected, expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "instances must be"),
        ({"instances": []}, "instances must be"),
        ({"instances": "a"}, "instances must be"),
        ({"instances": [1], "inputs": []}, 'Unknown name "inputs"'),
    ],
)
def test_what_is_not_a_request(vertex: Vertex, endpoint: str, body: Any, message: str) -> None:
    assert message in vertex.call("POST", f"{endpoint}:predict", body)["error"]["message"]


@pytest.mark.parametrize("verb", ["predict", "rawPredict"])
def test_payloads_are_limited(vertex: Vertex, endpoint: str, verb: str) -> None:
    frame = len(json.dumps({"instances": [""]}))
    fits = vertex.http.post(f"{endpoint}:{verb}", content=json.dumps({"instances": ["a" * (MAX_PAYLOAD - frame)]}))
    assert fits.status_code == 200
    large = vertex.http.post(f"{endpoint}:{verb}", content=json.dumps({"instances": ["a" * MAX_PAYLOAD]}))
    assert large.status_code == 400
    assert "exceeds the limit: 1500000 bytes" in large.json()["error"]["message"]
