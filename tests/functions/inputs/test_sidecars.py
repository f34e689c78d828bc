"""Sidecars: parameters in an object next to the input, and their precedence."""

import io
import json
from typing import Any

import pytest
from PIL import Image

from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized

TEXT = "I liked it a lot."
CSV = "id,review\n1,I liked it a lot\n2,I did not like it\n"
_PNG = io.BytesIO()
Image.new("RGB", (8, 8)).save(_PNG, "PNG")
PNG = _PNG.getvalue()


def start(cloud: Cloud, function: Function, **metadata: str) -> dict[str, Any]:
    blob = cloud.upload("a.csv", CSV, metadata=metadata)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    argument: dict[str, Any] = cloud.executions.arguments[0]
    return argument


def test_a_side_car_requests_model_and_parameters(cloud: Cloud, function: Function) -> None:
    requested = {"model": {"name": "sentiment", "version": "2"}, "parameters": {"top_k": 2}, "text_column": "review"}
    sidecar = cloud.upload("a.csv.parameters.json", json.dumps(requested))
    assert function("on_upload").post("/", **finalized(sidecar)).status_code == 200
    assert not cloud.executions.created
    assert not cloud.documents()
    argument = start(cloud, function)
    reasons = {"chosen_by": "requested", "version_by": "requested"}
    assert argument["model"] == {"name": "sentiment", "version": "2", **reasons}
    assert argument["parameters"] == {"top_k": 2, "text_column": "review"}


def test_the_object_s_metadata_take_precedence(cloud: Cloud, function: Function) -> None:
    cloud.upload("a.csv.parameters.json", json.dumps({"model": "other", "top_k": 2, "text_column": "review"}))
    argument = start(cloud, function, model="sentiment", top_k="5")
    assert argument["model"] == {"name": "sentiment", "version": None, "chosen_by": "requested"}
    assert argument["parameters"] == {"top_k": 5, "text_column": "review"}


@pytest.mark.parametrize(("name", "data"), [("a.txt", TEXT.encode()), ("a.png", PNG)])
def test_a_text_or_an_image_may_have_a_side_car(cloud: Cloud, function: Function, name: str, data: bytes) -> None:
    cloud.upload(f"{name}.parameters.json", json.dumps({"model": "mine", "top_k": 2, "threshold": 0.5}))
    blob = cloud.upload(name, data, metadata={"top_k": "1"})
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    (argument,) = cloud.executions.arguments
    assert argument["model"] == {"name": "mine", "version": None, "chosen_by": "requested"}
    assert argument["parameters"] == {"top_k": 1, "threshold": 0.5}


def test_null_in_a_side_car_is_the_same_as_no_value(cloud: Cloud, function: Function) -> None:
    requested = {"model": None, "parameters": {"top_k": None, "threshold": 0}, "text_column": None}
    cloud.upload("a.csv.parameters.json", json.dumps(requested))
    argument = start(cloud, function, top_k="5")
    assert argument["model"] is None
    assert argument["parameters"] == {"top_k": 5, "threshold": 0.0}


@pytest.mark.parametrize(
    ("name", "data"), [("a.txt", TEXT), ("a.csv", CSV), ("a.jsonl", '{"text": "a"}\n{"text": "b"}')]
)
def test_a_side_car_s_parameter_must_apply_to_the_kind(cloud: Cloud, function: Function, name: str, data: str) -> None:
    cloud.upload(f"{name}.parameters.json", json.dumps({"horizon": 3}))
    blob = cloud.upload(name, data)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    reason = cloud.only_document()["reason"]
    assert reason["code"] == "invalid_parameters"
    assert reason["message"].startswith("horizon does not apply to the kind ")


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"x" * 70_000, b'{"horizon": 0}', b'{"parameters": 5}', b'{"model": {"nam": "x"}}'],
    ids=len,
)
def test_an_input_with_an_invalid_side_car_is_rejected(
    cloud: Cloud, function: Function, data: bytes, name: str
) -> None:
    cloud.upload(f"{name}.parameters.json", data)
    blob = cloud.upload(name, CSV if name == "a.csv" else TEXT)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"
    assert "sidecar" in cloud.only_document()["reason"]["message"]
    assert not cloud.executions.created


def test_a_sweep_leaves_side_cars_alone(cloud: Cloud, function: Function) -> None:
    from tests.functions.conftest import published

    cloud.upload("a.csv.parameters.json", b"{}")
    cloud.upload("a.csv", CSV)
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    assert [argument["input"]["name"] for argument in cloud.executions.arguments] == ["a.csv"]
