"""The routes: responses as in the contract, and every error in its form."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

PNG = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(PNG, "PNG")
IMAGE = {"image": {"b64": base64.b64encode(PNG.getvalue()).decode()}}


def test_an_answer_has_predictions_model_device_and_timing(client):
    answer = client.post(
        "/predict", {"instances": [{"text": "a good film"}, "not good"], "model": None, "version": None}
    )
    assert answer.status_code == 200
    body = answer.json()
    assert [sorted(prediction) for prediction in body["predictions"]] == [["label", "score", "scores"]] * 2
    first = body["predictions"][0]
    assert first["score"] == max(first["scores"].values()) == first["scores"][first["label"]]
    assert sum(first["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert sorted(first["scores"]) == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert {"name": "moods", "version": "2", "task": "text-classification", "revision": None}.items() <= body[
        "model"
    ].items()
    assert body["device"] == "cpu"
    assert sorted(body["timing"]) == ["gpu_seconds", "inference_ms", "queue_ms"]
    assert body["timing"]["gpu_seconds"] > 0
    assert body["revision"] == "local"


def test_the_short_form_has_more_fields(client):
    body = client.post("/predict", {"text": "a good film"}).json()
    assert body["prediction"] == list(body["predictions"][0]["scores"].values())
    assert body["confidence"] == body["predictions"][0]["score"]
    assert body["device_used"] == "cpu"


@pytest.fixture
def broken_model(client) -> Iterator[None]:
    """The default text model answers NaN."""
    words = client.app.service.catalog.models["moods@2"].network.words
    kept = words.clone()
    words.fill_(float("nan"))
    yield
    words.copy_(kept)


@pytest.fixture
def no_time(client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every deadline has passed when the request arrives."""
    monkeypatch.setattr(client.app.service, "deadline_s", -1.0)


def errors(client) -> dict[str, float]:
    """How many errors have been counted, by code."""
    samples = (sample for metric in client.app.metrics.errors.collect() for sample in metric.samples)
    return {sample.labels["code"]: sample.value for sample in samples if sample.name.endswith("_total")}


def message(answer) -> str:
    """The text of an error, which is in the form of the route's protocol."""
    error = answer.json()["error"]
    return error if answer.url.path.startswith("/v2/") else error["message"]


SINGLE = [
    ("/predict", {"text": "a good film"}),
    ("/v1/models/moods:predict", {"text": "a good film"}),
    (
        "/v2/models/moods/infer",
        {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a good film", "dull"]}]},
    ),
]


@pytest.mark.usefixtures("broken_model")
@pytest.mark.parametrize(("path", "body"), SINGLE)
def test_a_model_that_fails_on_a_single_instance_is_a_server_error(client, path: str, body: dict[str, Any]):
    before = errors(client).get("inference_failed", 0)
    answer = client.post(path, body)
    assert answer.status_code == 500
    assert message(answer).endswith("The model's scores are not numbers.")
    assert errors(client)["inference_failed"] == before + 1


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize(("path", "body"), SINGLE)
def test_a_single_instance_past_its_deadline_is_a_timeout(client, path: str, body: dict[str, Any]):
    before = errors(client).get("deadline_exceeded", 0)
    answer = client.post(path, body)
    assert answer.status_code == 504
    assert message(answer)
    assert answer.headers["retry-after"] == "1"
    assert errors(client)["deadline_exceeded"] == before + 1


@pytest.mark.parametrize("unit", ["[]", "{}", "0", '""', '{"":[[]]}'])
@pytest.mark.parametrize("path", ["/predict", "/predict-shard", "/v2/models/moods/infer"])
def test_a_body_of_very_many_values_is_refused_before_it_is_decoded(client, path: str, unit: str):
    content = '{"instances": [' + ",".join([unit] * 100_001) + "]}"
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, message(answer)) == (413, "The body may have at most 100000 values.")


def test_the_commas_and_brackets_of_texts_are_not_values(client):
    texts = ["[" * 100_001, ',"\\' * 50_001]
    predictions = client.post("/predict", {"instances": texts}).json()["predictions"]
    assert all("label" in prediction for prediction in predictions)


def test_the_error_of_a_tensor_names_the_instance(client):
    data = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a good film", ""]}]}
    answer = client.post("/v2/models/moods/infer", data)
    assert answer.status_code == 400
    assert answer.json() == {"error": "Instance 1: The text is empty."}


@pytest.mark.parametrize(
    ("uri", "status", "code"),
    [
        ("gs://input/missing", 404, "object_not_found"),
        ("gs://other/x", 400, "bucket_not_allowed"),
        ("x", 400, "invalid_uri"),
        ("gs://input/refused", 502, "storage_failed"),
    ],
)
def test_the_short_form_answers_with_the_status_of_the_error(
    client, gcs: Any, refuse: Any, uri: str, status: int, code: str
):
    refuse("/refused", 99)
    before = errors(client).get(code, 0)
    answer = client.post("/predict", {"uri": uri})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert errors(client)[code] == before + 1


@pytest.mark.usefixtures("broken_model")
def test_a_server_error_is_counted_for_each_instance_of_a_request(client):
    before = errors(client).get("inference_failed", 0)
    answer = client.post("/predict", {"instances": ["good", "bad", IMAGE]})
    assert answer.status_code == 200
    codes = [prediction.get("error", {}).get("code") for prediction in answer.json()["predictions"]]
    assert codes == ["inference_failed", "inference_failed", None]
    assert errors(client)["inference_failed"] == before + 2


def test_each_instance_goes_to_the_default_model_of_its_task(client):
    body = client.post("/predict", {"instances": [IMAGE, {"text": "dull"}], "parameters": {"top_k": 1}}).json()
    assert [len(prediction["scores"]) for prediction in body["predictions"]] == [1, 1]
    assert body["model"]["name"] == "shapes"


@pytest.mark.parametrize("body", [{"instances": ["dull"]}, {"text": "dull"}])
def test_a_version_without_a_model_is_refused(client, body: dict[str, Any]):
    answer = client.post("/predict", {**body, "version": "1"})
    assert answer.status_code == 400
    assert answer.json()["error"] == {"code": "invalid_parameters", "message": "version requires a model."}


def test_a_bad_instance_fails_alone(client):
    instances: list[Any] = [
        {"text": "good"},
        {"text": ""},
        7,
        {"text": 7},
        {},
        {"image": {"b64": "%"}},
        {"image": 3},
        {"text": "bad"},
    ]
    body = client.post("/predict", {"instances": instances}).json()
    codes = [prediction.get("error", {}).get("code") for prediction in body["predictions"]]
    wrong = ["empty", "invalid_instance", "invalid_text", "invalid_instance", "invalid_base64", "invalid_instance"]
    assert codes == [None, *wrong, None]
    alone = client.post("/predict", {"instances": ["bad"]}).json()["predictions"][0]
    assert body["predictions"][-1]["score"] == pytest.approx(alone["score"], abs=1e-5)


def test_a_pair_needs_its_first_text(client):
    instances = [{"text": "good", "text_pair": "bad"}, {"text_pair": "bad"}, {"text": "good", "text_pair": None}]
    first, second, third = client.post("/predict", {"instances": instances}).json()["predictions"]
    assert first["label"]
    assert second["error"]["message"] == "text_pair requires text, the first of the two."
    assert third["label"]


def test_a_model_may_be_requested_with_its_version(client):
    assert client.post("/predict", {"text": "dull", "model": "moods", "version": 1}).json()["model"]["version"] == "1"
    assert (
        client.post("/predict", {"instances": [IMAGE], "model": "moods"}).json()["predictions"][0]["error"]["code"]
        == "wrong_kind"
    )


def test_long_texts_are_truncated_and_marked(client):
    long, longer, short = ("film " * count for count in (100, 20_000, 3))
    predictions = client.post("/predict", {"instances": [long, longer, short]}).json()["predictions"]
    assert [prediction.get("truncated", False) for prediction in predictions] == [True, True, False]
    assert predictions[0]["score"] == pytest.approx(predictions[1]["score"], abs=1e-5)
    assert client.post("/predict", {"text": long}).json()["predictions"][0]["truncated"] is True
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": [long, short]}
    outputs = client.post("/v2/models/moods/infer", {"inputs": [tensor]}).json()["outputs"]
    assert {"name": "truncated", "datatype": "BOOL", "shape": [2], "data": [True, False]} in outputs


BAD_BODIES = [
    (b"", 400, "malformed_request"),
    (b"{", 400, "malformed_request"),
    (b"[1]", 400, "malformed_request"),
    (b"\xff\xfe", 400, "malformed_request"),
    (b"{}", 400, "malformed_request"),
    (b'{"instances": []}', 400, "malformed_request"),
    (b'{"instances": {}}', 400, "malformed_request"),
    (b'{"instances": ["a"], "text": "b"}', 400, "malformed_request"),
    (b'{"text": "a", "model": 7}', 400, "malformed_request"),
    (b'{"text": "a", "parameters": [1]}', 400, "malformed_request"),
    (b"[" * 100_000, 400, "malformed_request"),
    (b'{"text": ""}', 400, "empty"),
    (b'{"text": 7}', 400, "invalid_text"),
    (b'{"text": "a", "parameters": {"top_k": 0}}', 400, "invalid_parameters"),
    (b'{"text": "a", "parameters": {"top_k": true}}', 400, "invalid_parameters"),
    (b'{"text": "a", "parameters": {"top_k": 1001}}', 400, "invalid_parameters"),
    (b'{"text": "a", "parameters": {"top_k": 1.5}}', 400, "invalid_parameters"),
    (b'{"text": "a", "parameters": {"topk": 1}}', 400, "invalid_parameters"),
    (b'{"text": "a", "parameters": {"horizon": 7}}', 400, "invalid_parameters"),
    (b'{"text": "a", "parameters": {"score_columns": true}}', 400, "invalid_parameters"),
    (b'{"instances": [{"text": "a"}], "parameters": {"threshold": 2}}', 400, "invalid_parameters"),
    (b'{"text": "a", "model": "nobody"}', 404, "model_not_found"),
    (b'{"text": "a", "model": "moods", "version": "9"}', 404, "model_not_found"),
    (b'{"instances": [' + b'"a",' * 128 + b'"a"]}', 413, "too_many_instances"),
    (b'{"text": "' + b"a" * (16 << 20) + b'"}', 413, "too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_bad_body_gets_its_status_and_code(client, body: bytes, status: int, code: str):
    answer = client.post("/predict", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/predict", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
        ("GET", "/v1/models/moods/versions/9", 404, "model_not_found"),
    ],
)
def test_routes_fail_in_the_same_form(client, method: str, path: str, status: int, code: str):
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_readiness_models_and_metrics(client):
    client.post("/predict", {"text": "dull"})
    assert client.get("/ready").status_code == client.get("/health").status_code == 200
    models = client.get("/models").json()["models"]
    assert [model["default"] for model in models] == [False, True, True]
    assert [model["compiled"] for model in models] == [False, False, False]
    metrics = client.get("/metrics").text
    assert 'gpu_service_instances_total{model="moods",version="2"}' in metrics
    assert 'gpu_service_start_seconds{phase="warmup"}' in metrics


def test_v1_predicts_too(client):
    assert client.post("/v1/models/moods:predict", {"instances": ["good"]}).json()["model"]["name"] == "moods"


def test_the_openapi_document_names_every_route(client):
    document = client.get("/openapi.json").json()
    assert set(client.app.router.routes) <= set(document["paths"])
    assert "PredictRequest" in document["components"]["schemas"]
    schemas = document["components"]["schemas"]
    references = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            references.update([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                collect(each)

    collect(document)
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= set(schemas)
