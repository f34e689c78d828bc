"""Sidecars: parameters in an object next to the input, and their precedence."""

import json
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized

CSV = "id,review\n1,I liked it a lot\n2,I did not like it\n"


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
    assert argument["model"] == {"name": "sentiment", "version": "2"}
    assert argument["parameters"] == {"top_k": 2, "text_column": "review"}


def test_the_object_s_metadata_take_precedence(cloud: Cloud, function: Function) -> None:
    cloud.upload("a.csv.parameters.json", json.dumps({"model": "other", "top_k": 2, "text_column": "review"}))
    argument = start(cloud, function, model="sentiment", top_k="5")
    assert argument["model"] == {"name": "sentiment", "version": None}
    assert argument["parameters"] == {"top_k": 5, "text_column": "review"}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"x" * 70_000, b'{"horizon": 0}', b'{"parameters": 5}', b'{"model": {"nam": "x"}}'],
    ids=len,
)
def test_an_input_with_an_invalid_side_car_is_rejected(cloud: Cloud, function: Function, data: bytes) -> None:
    cloud.upload("a.csv.parameters.json", data)
    blob = cloud.upload("a.csv", CSV)
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
