"""Manifests, as messages and as uploads: one job per named object, and a result that lists them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline import jobs, manifests
from pipeline.errors import RejectedError
from tests.functions.cloud import Cloud
from tests.functions.conftest import SCHEMAS, Function, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."


def publish(function: Function, body: Any, message_id: str = "1") -> int:
    return function("on_message").post("/", **published(json.dumps(body).encode(), message_id)).status_code


def test_each_named_object_becomes_a_job_of_its_own(cloud: Cloud, function: Function) -> None:
    blobs = [cloud.upload(f"in/{index}.txt", TEXT, metadata={"top_k": "9", "horizon": "5"}) for index in range(12)]
    uris = [f"gs://{cloud.input.name}/{blob.name}" for blob in blobs]
    pinned = [{"uri": uri, "generation": str(blob.generation)} for uri, blob in zip(uris, blobs, strict=True)]
    inputs = [*uris[:6], *pinned[6:]]
    body = {"id": "night-1", "inputs": inputs, "model": "sentiment", "parameters": {"top_k": 2}}
    assert publish(function, body) == 200
    arguments = {argument["input"]["name"]: argument for argument in cloud.executions.arguments}
    assert sorted(arguments) == sorted(blob.name for blob in blobs)
    for argument in arguments.values():
        assert argument["model"] == {"name": "sentiment", "version": None}
        assert argument["parameters"] == {"top_k": 2, "horizon": 5}
    assert list(cloud.documents()) == ["results/manifests/night-1.json"]
    document = cloud.only_document()
    assert document["status"] == "succeeded"
    assert document["kind"] == "manifest"
    assert document["job"] == jobs.of_manifest("night-1")
    assert document["inputs"] == [
        {
            "uri": uri,
            "generation": str(blob.generation),
            "job": arguments[blob.name]["job"],
            "document": f"{blob.name}/{blob.generation}",
        }
        for uri, blob in zip(uris, blobs, strict=True)
    ]


def test_a_manifest_sent_twice_is_one_job(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    body = {"id": "m", "inputs": [f"gs://{blob.bucket.name}/a.txt"]}
    assert publish(function, body, "1") == 200
    assert publish(function, body, "2") == 200
    assert len(cloud.executions.created) == 1
    assert len(cloud.documents()) == 1


def test_an_uploaded_manifest_gets_the_document_of_its_object(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    manifest = cloud.upload("order.json", json.dumps({"id": "m", "inputs": [f"gs://{blob.bucket.name}/a.txt"]}))
    assert function("on_upload").post("/", **finalized(manifest)).status_code == 200
    assert list(cloud.documents()) == [f"results/order.json/{manifest.generation}.json"]
    assert list(cloud.documents("latest")) == ["latest/order.json.json"]
    assert len(cloud.executions.created) == 1


def test_bad_inputs_are_named_and_cost_the_others_nothing(cloud: Cloud, function: Function) -> None:
    good = cloud.upload("good.txt", TEXT)
    empty = cloud.upload("empty.txt", b"")
    outside = cloud.output.blob("x.txt")
    outside.upload_from_string(TEXT)
    names = ["good.txt", "empty.txt", "missing.txt"]
    inputs: list[Any] = [f"gs://{cloud.input.name}/{name}" for name in names]
    inputs += [f"gs://{cloud.output.name}/x.txt", {"uri": inputs[0], "generation": 17}]
    assert publish(function, {"id": "m", "inputs": inputs}) == 200
    documents = cloud.documents()
    assert sorted(documents) == [f"rejected/empty.txt/{empty.generation}.json", "results/manifests/m.json"]
    document = documents["results/manifests/m.json"]
    assert document["status"] == "partial"
    codes = [entry.get("error", {}).get("code") for entry in document["inputs"]]
    assert codes == [None, None, "input_gone", "foreign_bucket", "input_gone"]
    assert [argument["input"]["name"] for argument in cloud.executions.arguments] == [good.name]


def test_a_manifest_without_any_usable_input_is_rejected(cloud: Cloud, function: Function) -> None:
    assert publish(function, {"id": "m", "inputs": [f"gs://{cloud.input.name}/missing"]}) == 200
    assert list(cloud.documents()) == ["rejected/manifests/m.json"]
    assert cloud.only_document()["reason"]["code"] == "input_gone"


def test_manifests_do_not_nest(cloud: Cloud, function: Function) -> None:
    text = cloud.upload("a.txt", TEXT)
    inner = cloud.upload("inner.json", json.dumps({"id": "i", "inputs": [f"gs://{cloud.input.name}/outer.json"]}))
    uris = [f"gs://{cloud.input.name}/{name}" for name in (text.name, inner.name, "outer.json")]
    outer = cloud.upload("outer.json", json.dumps({"id": "o", "inputs": uris}))
    assert function("on_upload").post("/", **finalized(outer)).status_code == 200
    (document,) = cloud.documents().values()
    codes = [entry.get("error", {}).get("code") for entry in document["inputs"]]
    assert codes == [None, "nested_manifest", "nested_manifest"]
    assert len(cloud.executions.created) == 1


def test_an_input_being_claimed_elsewhere_brings_the_manifest_back(cloud: Cloud, function: Function) -> None:
    from pipeline.claims import Claims

    blobs = [cloud.upload(f"{index}.txt", TEXT) for index in range(3)]
    body = {"id": "m", "inputs": [f"gs://{cloud.input.name}/{blob.name}" for blob in blobs]}
    claims = Claims(cloud.work.name, 60)
    held = claims.acquire(jobs.of_object(cloud.input.name, "1.txt", blobs[1].generation), "other")
    assert held is not None
    assert publish(function, body) == 503
    assert len(cloud.executions.created) == 2
    assert not cloud.documents()
    claims.release(held)
    assert publish(function, body) == 200
    assert len(cloud.executions.created) == 3
    assert len(cloud.documents()) == 1


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
        {"inputs": ["gs://b/c"] * 1001},
        {"model": {}},
        {"model": 1},
        {"parameters": []},
        {"output": "gs://x"},
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
