"""Paths and bodies as clients write them: slashes, encoded and foreign names, media types, marks and odd JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_service.settings import Settings
from tests.gpu_service.conftest import Client

NAMES = ["org/name", "a-b.c_d"]
BODY = {"instances": ["good"]}
TENSOR = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["good"]}]}


@pytest.fixture(scope="module")
def named(models_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One checkpoint under names that need encoding."""
    source = json.loads(models_file.read_text())["test"][0]["source"]
    entries = [{"name": name, "version": "v1/2", "task": "text-classification", "source": source} for name in NAMES]
    models = tmp_path_factory.mktemp("named") / "models.json"
    models.write_text(json.dumps({"test": entries}))
    client = Client(Settings(profile="test", models=models, device="cpu"))
    yield client
    client.close()


def encoded(name: str) -> str:
    return "".join(f"%{byte:02X}" for byte in name.encode())


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_be_encoded(named: Client, name: str):
    path = encoded(name)
    assert named.get(f"/v2/models/{path}").json()["name"] == name
    assert named.get(f"/v2/models/{path}/ready").json() == {"name": name, "ready": True}
    assert named.get(f"/v1/models/{path}/versions/v1%2F2").json()["name"] == name
    assert named.post(f"/v1/models/{path}:predict", BODY).json()["model"]["name"] == name
    assert named.post(f"/v2/models/{path}/versions/v1%2F2/infer", TENSOR).json()["model_name"] == name


@pytest.mark.parametrize("path", ["org/name", "org%2fname", "org%2Fname/versions/v1/2"])
def test_a_slash_in_a_name_may_stand_as_it_is(named: Client, path: str):
    assert named.post(f"/v1/models/{path}:predict", BODY).json()["model"]["name"] == "org/name"
    assert named.post(f"/v1/models/{path}%3Apredict", BODY).json()["model"]["name"] == "org/name"
    assert named.post(f"/v2/models/{path}/infer", TENSOR).json()["model_name"] == "org/name"


@pytest.mark.parametrize("path", ["%FF", "%E2%82", "%00", "nobody%0d%0ax", "%", "%zz", "..%2F..", "%2F"])
def test_a_name_that_is_no_text_is_not_found(client, path: str):
    answer = client.get(f"/v2/models/{path}")
    assert answer.status_code == 404
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    "path",
    ["/health/", "/ready/", "/models/", "/v2/", "/v1/models/", "/v1/models/moods/", "/v2/models/moods/", "/metrics//"],
)
def test_a_path_may_end_in_a_slash(client, path: str):
    assert client.get(path).status_code == 200
    assert client.post("/predict/?x=1", BODY).status_code == 200


@pytest.mark.parametrize("path", ["//", "//health", "/v1/models//", "/v2/models/", "/v1/models/:predict", "/%2Fhealth"])
def test_other_paths_are_no_server_errors(client, path: str):
    assert client.get(path).status_code in (200, 404)


def test_head_is_answered_as_get(client):
    for path in ("/health", "/models", "/v2/models/moods", "/v1/models/moods"):
        answer = client.request("HEAD", path)
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) > 0
    assert client.request("HEAD", "/predict").status_code == 405
    assert client.request("OPTIONS", "/predict").headers["allow"] == "POST"


def test_the_status_of_a_model_is_that_of_tensorflow_serving_and_kserve(client):
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    both = [{"version": "1", **available}, {"version": "2", **available}]
    assert client.get("/v1/models/moods").json() == {"name": "moods", "ready": True, "model_version_status": both}
    assert client.get("/v1/models/moods/versions/1").json()["model_version_status"] == both[:1]
    assert client.get("/v1/models").json() == {"models": ["moods", "shapes"]}
    assert client.get("/").json() == {"status": "alive"}


def test_tensorflow_servings_form_of_a_request(client):
    request = {"signature_name": "serving_default", "instances": [{"text": "good"}, "bad"]}
    body = client.post("/v1/models/moods/versions/1:predict", request).json()
    assert (len(body["predictions"]), body["model"]["version"]) == (2, "1")
    assert client.post("/v1/models/moods/versions/9:predict", request).status_code == 404


def test_an_objects_generation_may_be_a_double_as_vertex_ai_sends_it(client, gcs: Any):
    blob = gcs.bucket("input").blob("double.txt")
    blob.upload_from_string("a good film")
    instance = {"uri": "gs://input/double.txt", "generation": float(blob.generation)}
    for instances in ([instance], [{**instance, "generation": blob.generation}]):
        assert "label" in client.post("/predict", {"instances": instances}).json()["predictions"][0]
    for generation in (1.5, 1e300, -1.0):
        bad = {"instances": [{**instance, "generation": generation}]}
        assert client.post("/predict", bad).json()["predictions"][0]["error"]["code"] == "invalid_instance"


@pytest.mark.parametrize(
    "media_type",
    ["application/json; charset=utf-8", "Application/JSON", "application/octet-stream", "text/plain", "x", "", None],
)
def test_any_media_type_is_read_as_json(client, media_type: str | None):
    headers = {} if media_type is None else {"content-type": media_type}
    answer = client.post("/predict", content=json.dumps(BODY), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'\xef\xbb\xbf{"text": "good"}', 200),
        (b' \r\n\t{"text": "good"}\n', 200),
        (b'{"text": "bad", "text": "good"}', 200),
        (b'{"instances": ["good"], "text": null, "image": null, "uri": null}', 200),
        (b'{"text": "good", "instances": null, "parameters": null}', 200),
        (b'{"text": "good", "other": [1, {"a": 2}]}', 200),
        ('{"text": "gut"}'.encode("utf-16"), 400),
        (b'{"text": NaN}', 400),
        (b'{"text": "good", "other": Infinity}', 400),
        (b'{"text": "good"} {}', 400),
        (b"{'text': 'good'}", 400),
        (b'{"text": "good",}', 400),
        (b'{"text": "\\ud800"}', 400),
        (b'{"text": null}', 400),
        (b"null", 400),
    ],
)
def test_odd_json_is_read_or_refused(client, content: bytes, status: int):
    answer = client.post("/predict", content=content)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["code"] in ("malformed_request", "invalid_text")
