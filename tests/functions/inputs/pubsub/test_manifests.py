"""Manifests, as messages and as uploads: one batch of all listed objects."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.errors import RejectedError
from pipeline.inputs.pubsub import manifests
from pipeline.jobs import job
from tests.functions import gpu
from tests.functions.cloud import Cloud
from tests.functions.conftest import SCHEMAS, Function, finalized, published
from tests.functions.test_postprocess import LINEAGE

pytestmark = pytest.mark.usefixtures("check_documents")


def publish(function: Function, body: Any, message_id: str = "1") -> int:
    return function("on_message").post("/", **published(json.dumps(body).encode(), message_id)).status_code


def cut(cloud: Cloud, function: Function, argument: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """The batch that preprocess makes of a manifest, and the records of its first shard."""
    response = function("preprocess").post("/", json=argument)
    assert response.status_code == 200, response.text
    batch = response.get_json()
    name = f"{batch['prefix']}0.jsonl".removeprefix(f"gs://{cloud.work.name}/")
    return batch, [json.loads(line) for line in cloud.work.blob(name).download_as_bytes().splitlines()]


def test_the_named_objects_are_the_records_of_one_batch(cloud: Cloud, function: Function) -> None:
    uris = [f"gs://{cloud.input.name}/in/{index}.txt" for index in range(3)]
    inputs = [uris[0], {"uri": uris[1], "generation": "17"}, {"uri": uris[2], "id": "third"}, "gs://elsewhere/x.txt"]
    body = {"id": "night-1", "inputs": inputs, "model": "sentiment", "parameters": {"top_k": 2}}
    assert publish(function, body) == 200
    (argument,) = cloud.executions.arguments
    assert argument["job"] == job.of_manifest("night-1")
    assert argument["document"] == "manifests/id-night-1"
    assert argument["kind"] == "manifest"
    batch, records = cut(cloud, function, argument)
    assert batch["model"] == {"name": "sentiment", "version": None, "chosen_by": "requested"}
    assert (batch["parameters"], batch["format"], batch["records"]) == ({"top_k": 2}, "jsonl", 4)
    assert records[:3] == [{"uri": uris[0]}, {"uri": uris[1], "generation": "17"}, {"uri": uris[2], "id": "third"}]
    assert records[3]["error"]["code"] == "foreign_bucket"
    assert records[3]["uri"] == "gs://elsewhere/x.txt"


@pytest.mark.parametrize("name", ["t.csv", "t.JSONL", "t.txt.gz", "t.pdf"])
def test_an_object_other_than_a_text_or_image_is_an_error_of_its_record(
    cloud: Cloud, function: Function, name: str
) -> None:
    uris = [f"gs://{cloud.input.name}/{each}" for each in (name, "t", "t.txt", "t.png")]
    assert publish(function, {"id": "m", "inputs": uris}) == 200
    _, (refused, *others) = cut(cloud, function, cloud.executions.arguments[0])
    assert (refused["uri"], refused["error"]["code"]) == (uris[0], "unknown_kind")
    assert others == [{"uri": uri} for uri in uris[1:]]


def test_an_item_may_have_parameters_of_its_own(cloud: Cloud, function: Function) -> None:
    uri = f"gs://{cloud.input.name}/a.txt"
    inputs = [{"uri": uri, "parameters": {"top_k": 1.0}}, {"uri": uri, "id": 7, "parameters": {"horizon": 1}}]
    assert publish(function, {"id": "m", "inputs": inputs, "parameters": {"top_k": 2}}) == 200
    _, (first, second) = cut(cloud, function, cloud.executions.arguments[0])
    assert first == {"uri": uri, "parameters": {"top_k": 1}}
    assert (second["id"], second["error"]["code"]) == (7, "invalid_parameters")


@pytest.mark.parametrize("change", [{}, {"model": "m"}, {"output": {"format": "csv"}}], ids=str)
def test_score_columns_of_a_manifest_require_a_model_and_csv(
    cloud: Cloud, function: Function, change: dict[str, Any]
) -> None:
    body = {"id": "m", "inputs": [f"gs://{cloud.input.name}/a.txt"], "parameters": {"score_columns": True}}
    assert publish(function, body | change) == 200
    response = function("preprocess").post("/", json=cloud.executions.arguments[0])
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "invalid_parameters")


@pytest.mark.parametrize("parameters", [{"horizon": 1}, {"text_column": "a"}, {"speed": 1}], ids=str)
def test_a_parameter_that_no_manifest_has_is_rejected(parameters: dict[str, Any]) -> None:
    with pytest.raises(RejectedError, match=r"invalid_parameters.*; use one of model, version, top_k"):
        manifests.parse(VALID | {"parameters": parameters})


def test_the_result_may_be_a_csv(cloud: Cloud, function: Function) -> None:
    uris = [f"gs://{cloud.input.name}/a.txt", "gs://elsewhere/x.txt"]
    assert publish(function, {"id": "m", "inputs": uris, "output": {"format": "csv"}}) == 200
    (argument,) = cloud.executions.arguments
    batch, records = cut(cloud, function, argument)
    assert [record["row"] for record in records] == [[uri] for uri in uris]
    gpu.predict(cloud, batch)
    body = {"argument": argument, "batch": batch, "lineage": LINEAGE}
    assert function("postprocess").post("/", json=body).get_json()["status"] == "partial"
    assert list(cloud.documents()) == ["results/manifests/id-m.json"]
    text = cloud.output.blob("results/manifests/id-m.csv").download_as_bytes().decode()
    assert text.splitlines() == [
        "uri,label,score,error,truncated",
        f"{uris[0]},{uris[0]},0.75,,",
        f"{uris[1]},,,foreign_bucket,",
    ]


def test_a_manifest_sent_twice_is_one_job(cloud: Cloud, function: Function) -> None:
    body = {"id": "m", "inputs": [f"gs://{cloud.input.name}/a.txt"]}
    assert publish(function, body, "1") == 200
    assert publish(function, body, "2") == 200
    assert len(cloud.executions.created) == 1


def test_an_uploaded_manifest_gets_the_document_of_its_object(cloud: Cloud, function: Function) -> None:
    manifest = cloud.upload("order.json", json.dumps({"id": "m", "inputs": [f"gs://{cloud.input.name}/a.txt"]}))
    assert function("on_upload").post("/", **finalized(manifest)).status_code == 200
    (argument,) = cloud.executions.arguments
    assert argument["document"] == f"order.json/{manifest.generation}"
    batch, _ = cut(cloud, function, argument)
    assert batch["records"] == 1


def test_the_second_manifest_with_an_id_is_rejected(cloud: Cloud, function: Function) -> None:
    body = {"id": "m", "inputs": [f"gs://{cloud.input.name}/a.txt"]}
    assert publish(function, body) == 200
    manifest = cloud.upload("order.json", json.dumps(body))
    assert function("on_upload").post("/", **finalized(manifest)).status_code == 200
    first, second = cloud.executions.arguments
    cut(cloud, function, first)
    response = function("preprocess").post("/", json=second)
    assert response.status_code == 422
    assert response.get_json()["error"]["code"] == "duplicate_manifest"
    assert "manifests/id-m" in response.get_json()["error"]["message"]
    cut(cloud, function, first)


def test_a_manifest_may_name_very_many_objects(cloud: Cloud, function: Function) -> None:
    uris = [f"gs://{cloud.input.name}/images/{index}.png" for index in range(50_000)]
    manifest = cloud.upload("order.json", json.dumps({"id": "m", "inputs": uris}))
    assert function("on_upload").post("/", **finalized(manifest)).status_code == 200
    batch, records = cut(cloud, function, cloud.executions.arguments[0])
    assert batch["records"] == 50_000
    assert records[1] == {"uri": uris[1]}


def test_a_broken_manifest_is_rejected(cloud: Cloud, function: Function) -> None:
    manifest = cloud.upload("order.json", json.dumps({"id": "m/n", "inputs": []}))
    assert function("on_upload").post("/", **finalized(manifest)).status_code == 200
    response = function("preprocess").post("/", json=cloud.executions.arguments[0])
    assert (response.status_code, response.get_json()["error"]["code"]) == (422, "invalid_manifest")


VALID: dict[str, Any] = {"id": "a", "inputs": ["gs://b/c"]}


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 7},
        {"id": "a/b"},
        {"id": "x" * 129},
        {"inputs": []},
        {"inputs": "gs://b/c"},
        {"inputs": ["s3://b/c"]},
        {"inputs": ["gs://b"]},
        {"inputs": [{"generation": 1}]},
        {"inputs": [{"uri": "gs://b/c", "size": 1}]},
        {"inputs": [{"uri": "gs://b/c", "generation": 0}]},
        {"inputs": ["gs://b/c"] * 100_001},
        {"inputs": [{"uri": "gs://b/c", "generation": "9" * 19}]},
        {"model": {}},
        {"model": 1},
        {"parameters": []},
        {"output": "gs://x"},
        {"output": {"format": "xml"}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_what_the_schema_forbids_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(RejectedError) as caught:
        manifests.parse(VALID | change)
    assert caught.value.code == "invalid_manifest"
    assert len(caught.value.message) <= 500


def test_parameters_of_a_manifest_are_checked() -> None:
    with pytest.raises(RejectedError, match="invalid_parameters"):
        manifests.parse(VALID | {"parameters": {"horizon": 0}})


@pytest.mark.parametrize("schema", sorted(Path(SCHEMAS).glob("*.json")), ids=lambda path: path.name)
def test_the_schemas_are_valid_and_those_of_documents_are_closed(schema: Path) -> None:
    content = json.loads(schema.read_text())
    jsonschema.Draft202012Validator.check_schema(content)
    assert content.get("additionalProperties") is False or schema.stem == "answers.schema"


# --- lists of objects in other formats -------------------------------------------------------------


def listed(cloud: Cloud, function: Function, name: str, data: str) -> tuple[dict[str, Any], list[Any]]:
    """The batch and the records of an upload, as on_upload takes it in."""
    blob = cloud.upload(name, data)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    return cut(cloud, function, cloud.executions.arguments[-1])


def test_json_lines_list_objects(cloud: Cloud, function: Function) -> None:
    uri = f"gs://{cloud.input.name}/in/a"
    items = [
        {"uri": f"{uri}.txt"},
        {"uri": f"{uri}.png", "generation": "17", "id": "x", "parameters": {"top_k": 2}},
        {"uri": f"{uri}.csv", "id": 3},
        {"uri": "gs://elsewhere/a.txt"},
    ]
    batch, records = listed(cloud, function, "m.jsonl", "".join(json.dumps(item) + "\n" for item in items))
    assert (batch["format"], batch["records_per_shard"]) == ("jsonl", 1000)
    assert records[:2] == items[:2]
    assert [(record["id"], record["error"]["code"]) for record in records[2:3]] == [(3, "unknown_kind")]
    assert records[3]["error"]["code"] == "foreign_bucket"


@pytest.mark.parametrize("header", ["uri,id,generation", "URI,id,Generation"])
def test_a_csv_lists_objects(cloud: Cloud, function: Function, header: str) -> None:
    uri = f"gs://{cloud.input.name}/in/a"
    rows = [f"{uri}.txt,a,", f" {uri}.png ,b, 17", f"{uri}.jpg,c,newest", f"{uri}.tsv,d,", "gs://elsewhere/a.txt,e,"]
    batch, records = listed(cloud, function, "m.csv", "\n".join([header, *rows]) + "\n")
    assert (batch["format"], batch["records_per_shard"]) == ("csv", 1000)
    assert [record["row"][1] for record in records] == list("abcde")
    assert [record.get("uri") for record in records[:2]] == [f"{uri}.txt", f"{uri}.png"]
    assert [record.get("generation") for record in records[:2]] == [None, "17"]
    codes = [record["error"]["code"] for record in records[2:]]
    assert codes == ["invalid_manifest", "unknown_kind", "foreign_bucket"]


def test_a_generation_beside_pictures_of_another_name_is_a_column_like_others(cloud: Cloud, function: Function) -> None:
    data = f"picture,generation\ngs://{cloud.input.name}/a.png,second\n"
    _, (record,) = listed(cloud, function, "cars.csv", data)
    assert record == {"uri": f"gs://{cloud.input.name}/a.png", "row": [f"gs://{cloud.input.name}/a.png", "second"]}


def test_a_manifest_that_is_too_long_says_what_to_send_instead() -> None:
    schema = json.loads((SCHEMAS / "manifest.schema.json").read_text())
    assert schema["properties"]["inputs"]["maxItems"] == manifests.MAX_INPUTS
    with pytest.raises(RejectedError, match="JSON lines") as caught:
        manifests.parse({"id": "a", "inputs": ["gs://b/a"] * (manifests.MAX_INPUTS + 1)})
    assert caught.value.code == "invalid_manifest"
