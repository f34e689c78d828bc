"""What a handler prepares for the workflow is what preprocess would have answered, and nothing larger than a few KB."""

import base64
import gzip
import json
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published
from tests.functions.test_preprocess import noise

pytestmark = pytest.mark.usefixtures("check_documents")
PNG = noise(8)


def started(cloud: Cloud, function: Function, name: str, data: bytes, **metadata: str) -> dict[str, Any]:
    blob = cloud.upload(name, data, metadata=metadata)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    (argument,) = cloud.executions.arguments
    return argument


def preprocessed(function: Function, argument: dict[str, Any]) -> dict[str, Any]:
    answer = function("preprocess").post("/", json={**argument, "prepared": None}).get_json()
    assert answer.pop("revision") == "local"
    return answer


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"good"),
        ("a.txt", "größer 好 \U0001f600".encode()),
        ("a.txt", b"\xef\xbb\xbfwith a mark"),
        ("a.txt", "Schöne Grüße".encode("utf-16")),
        ("a.txt", "Schöne Grüße aus Köln".encode("cp1252")),
        ("a.txt.gz", gzip.compress(b"packed", mtime=0)),
        ("a.png", PNG),
    ],
)
def test_it_is_what_preprocess_answers(cloud: Cloud, function: Function, name: str, data: bytes) -> None:
    argument = started(cloud, function, name, data, top_k="2", threshold="0.5")
    assert argument["prepared"] == preprocessed(function, argument)
    assert argument["prepared"]["parameters"] == {"top_k": 2, "threshold": 0.5}


def test_a_message_is_prepared_too(cloud: Cloud, function: Function) -> None:
    body = {"instances": [{"text": "a"}, {"text": "b"}], "parameters": {"top_k": 1}}
    function("on_message").post("/", **published(json.dumps(body).encode()))
    (argument,) = cloud.executions.arguments
    assert argument["prepared"] == preprocessed(function, argument)
    assert argument["prepared"]["instances"] == body["instances"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"large " * 2_000),
        ("a.txt", b"larger than what is read " * 4_000),
        ("a.png.gz", gzip.compress(PNG, mtime=0)),
        ("a.csv", b"text,id\nGood,1\nBad,2\n"),
        ("a.jsonl", b'{"text": "Good"}\n{"text": "Bad"}\n'),
        ("a.csv", b"date,value\n2026-01-01,1\n2026-01-02,2\n2026-01-03,3\n"),
    ],
)
def test_other_inputs_are_left_to_preprocess_and_forecast(
    cloud: Cloud, function: Function, name: str, data: bytes
) -> None:
    assert "prepared" not in started(cloud, function, name, data)


def test_a_large_message_is_left_to_preprocess(cloud: Cloud, function: Function) -> None:
    image = {"image": {"b64": base64.b64encode(noise(64)).decode()}}
    function("on_message").post("/", **published(json.dumps({"instances": [image]}).encode()))
    assert "prepared" not in cloud.executions.arguments[0]


def test_it_gives_way_to_long_parameters(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", b"word " * 1_500)
    sidecar = {"model": "zero-shot", "labels": [f"{number:03} " + "x" * 250 for number in range(100)]}
    cloud.upload("a.txt.parameters.json", json.dumps(sidecar))
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    (argument,) = cloud.executions.arguments
    assert "prepared" not in argument
    assert len(argument["parameters"]["labels"]) == 100


@pytest.mark.parametrize(("data", "code"), [(b" \n\t", "empty"), (b"good \x01\x02\x03", "undecodable")])
def test_a_text_that_cannot_be_read_is_rejected_without_an_execution(
    cloud: Cloud, function: Function, data: bytes, code: str
) -> None:
    blob = cloud.upload("a.txt", data)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert not cloud.executions.created
    assert cloud.only_document()["reason"]["code"] == code


def test_it_is_not_kept_in_the_claim(cloud: Cloud, function: Function) -> None:
    argument = started(cloud, function, "a.txt", b"good")
    assert "prepared" not in cloud.claim(argument["job"])["argument"]
