"""Every task through the service: its routes, its documentation, and shards in both formats."""

import base64
import csv
import io
import json
import re
from typing import Any

import jsonschema_rs
import pytest
from google.cloud import storage
from PIL import Image

from tests.gpu_service.tasks.checkpoints import TEXTS

TOKEN, ZERO, VECTORS, OBJECTS = (
    "token-classification", "zero-shot-classification", "feature-extraction", "object-detection",
)  # fmt: skip
PARAMETERS = {ZERO: {"labels": ["joy", "bad", "sports"]}, OBJECTS: {"threshold": 0.3}}
FIELDS = {TOKEN: {"entities"}, ZERO: {"label", "score", "scores"}, VECTORS: {"embedding"}, OBJECTS: {"objects"}}


def _image() -> str:
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((300, 200)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def _instances(task: str) -> list[Any]:
    return [{"image": {"b64": _image()}}] * 3 if task == OBJECTS else [{"text": text} for text in TEXTS]


@pytest.mark.parametrize("task", list(FIELDS))
def test_a_request_gets_the_predictions_of_the_task(task: str, of_tasks: Any):
    body = {"instances": [*_instances(task), {"text": ""}, 7], "model": task, "parameters": PARAMETERS.get(task)}
    response = of_tasks.post("/predict", json=body)
    assert response.status_code == 200
    *predictions, empty, malformed = response.json()["predictions"]
    assert [empty["error"]["code"], malformed["error"]["code"]] == [
        "wrong_kind" if task == OBJECTS else "empty",
        "invalid_instance",
    ]
    for instance, prediction in zip(_instances(task), predictions, strict=True):
        assert set(prediction) - {"truncated"} == FIELDS[task]
        if task != OBJECTS and len(instance["text"]) > 500:
            assert prediction["truncated"] is True
    schema = of_tasks.get("/openapi.json").json()["components"]["schemas"]
    documented = {**schema["PredictResponse"], "$defs": schema}
    documented = json.loads(json.dumps(documented).replace("#/components/schemas/", "#/$defs/"))
    jsonschema_rs.validate(documented, response.json())
    (alone,) = of_tasks.post("/predict", json={**body, "instances": _instances(task)[:1]}).json()["predictions"]
    assert _rounded(alone) == _rounded(predictions[0])


@pytest.mark.parametrize("task", list(FIELDS))
def test_the_open_inference_protocol_declares_the_tensors_that_it_returns(task: str, of_tasks: Any):
    declared = of_tasks.get(f"/v2/models/{task}").json()["outputs"]
    kind, data = ("image", [_image()] * 2) if task == OBJECTS else ("text", TEXTS[:2])
    tensor = {"name": kind, "datatype": "BYTES", "shape": [2], "data": data}
    body = {"inputs": [tensor], "parameters": PARAMETERS.get(task, {})}
    outputs = of_tasks.post(f"/v2/models/{task}/infer", json=body).json()["outputs"]
    assert [(each["name"], each["datatype"]) for each in outputs] == [(d["name"], d["datatype"]) for d in declared]
    assert {each["name"] for each in outputs} == FIELDS[task] | {"truncated"}
    for each, declaration in zip(outputs, declared, strict=True):
        assert len(each["shape"]) == len(declaration["shape"])
        count = each["shape"][0] * (each["shape"][1] if len(each["shape"]) > 1 else 1)
        assert len(each["data"]) == count
    if task == VECTORS:
        assert outputs[0]["shape"] == [2, 32]


@pytest.mark.parametrize("task", [TOKEN, ZERO, VECTORS])
def test_the_short_form_and_kserves_route_answer_too(task: str, of_tasks: Any):
    short = of_tasks.post("/predict", json={"text": "joy", "model": task, "parameters": PARAMETERS.get(task)}).json()
    v1 = of_tasks.post(
        f"/v1/models/{task}:predict", json={"instances": ["joy"], "parameters": PARAMETERS.get(task)}
    ).json()
    assert _rounded(short["predictions"][0]) == _rounded(v1["predictions"][0])
    assert ("confidence" in short) == (task != VECTORS and bool(short["predictions"][0].get("entities", [1])))
    if task == VECTORS:
        assert short["prediction"] == short["predictions"][0]["embedding"]


def test_a_kind_goes_to_its_first_task_without_a_model_of_the_usual_one(of_tasks: Any):
    answer = of_tasks.post("/predict", json={"instances": ["joy", {"image": {"b64": _image()}}]}).json()
    assert [set(prediction) for prediction in answer["predictions"]] == [{"entities"}, {"objects"}]
    assert answer["model"]["name"] == TOKEN


def test_labels_are_required(of_tasks: Any):
    answer = of_tasks.post("/predict", json={"text": "joy", "model": ZERO})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_parameters")


@pytest.mark.parametrize(
    "parameters",
    [
        {"labels": []},
        {"labels": ["joy", ""]},
        {"labels": "joy"},
        {"hypothesis_template": "no place"},
        {"aggregation": "last"},
        {"threshold": 1.5},
        {"multi_label": "yes"},
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any], of_tasks: Any):
    answer = of_tasks.post("/predict", json={"text": "joy", "model": ZERO, "parameters": parameters})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_parameters")


@pytest.mark.parametrize("task", list(FIELDS))
def test_a_shard_has_the_predictions_of_requests_in_json_lines_and_in_tables(
    task: str, of_tasks: Any, gcs: storage.Client
):
    bucket = gcs.bucket("work")
    records = [{**instance, "id": n, "row": [str(n), "a"]} for n, instance in enumerate(_instances(task))]
    lines = [*records, {"error": {"code": "known", "message": "m"}, "row": ["x", "y"]}]
    bucket.blob(f"shards/{task}.jsonl").upload_from_string("\n".join(map(json.dumps, lines)))
    expected = of_tasks.post(
        "/predict", json={"instances": _instances(task), "model": task, "parameters": PARAMETERS.get(task)}
    ).json()["predictions"]
    results = {}
    for to in ("jsonl", "csv"):
        uri = f"gs://work/shards/{task}.out.{to}"
        body = {"input": f"gs://work/shards/{task}.jsonl", "output": uri, "format": to, "model": task}
        answer = of_tasks.post("/predict-shard", json={**body, "parameters": PARAMETERS.get(task)})
        assert answer.json()["failed"] == {"known": 1}
        blob = bucket.get_blob(f"shards/{task}.out.{to}")
        results[to] = blob.download_as_text()
        columns = json.loads(blob.metadata["shard-summary"])["columns"]
    *found, failed = map(json.loads, results["jsonl"].splitlines())
    assert failed == {"index": len(records), "error": {"code": "known", "message": "m"}}
    for n, (line, prediction) in enumerate(zip(found, expected, strict=True)):
        assert (line.pop("index"), line.pop("id")) == (n, n)
        assert _rounded(line) == _rounded(prediction)
    *rows, last = csv.reader(io.StringIO(results["csv"]))
    assert columns[-2:] == ["error", "truncated"]
    assert set(columns[:-2]) == FIELDS[task] - {"scores"}
    assert last == ["x", "y", *("known" if column == "error" else "" for column in columns)]
    for row, prediction in zip(rows, expected, strict=True):
        for column, cell in zip(columns[:-2], row[2:-2], strict=True):
            value = prediction[column]
            assert _rounded(cell if isinstance(value, str) else json.loads(cell)) == _rounded(value)
        assert row[-1] == ("true" if prediction.get("truncated") else "")


def test_no_number_leaves_that_json_lacks(of_tasks: Any):
    for task in FIELDS:
        body = {"instances": _instances(task), "model": task, "parameters": PARAMETERS.get(task)}
        assert not re.search(
            r"NaN|Infinity|null", json.dumps(of_tasks.post("/predict", json=body).json()["predictions"])
        )


def _rounded(value: Any) -> Any:
    """Batches of other sizes round differently."""
    return json.loads(json.dumps(value), parse_float=lambda text: round(float(text), 3) + 0.0)


def test_a_shards_metadata_have_room_for_any_labels(of_tasks: Any, gcs: storage.Client):
    labels = [f"{n:03} {'x' * 200}" for n in range(100)]
    gcs.bucket("work").blob("shards/labels.jsonl").upload_from_string('{"text": "joy"}')
    body = {"input": "gs://work/shards/labels.jsonl", "output": "gs://work/shards/labels.out.jsonl", "model": ZERO}
    answer = of_tasks.post("/predict-shard", json={**body, "parameters": {"labels": labels, "multi_label": True}})
    assert answer.json()["parameters"]["labels"] == labels
    metadata = gcs.bucket("work").get_blob("shards/labels.out.jsonl").metadata
    assert sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) < 8 * 1024
    assert json.loads(metadata["shard-summary"])["parameters"]["multi_label"] is True
