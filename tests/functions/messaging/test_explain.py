"""The explanation of an upload that might be: what its execution would be started with, and why."""

import base64
import gzip
import json
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, published
from tests.functions.models_bucket import IMAGE, ModelsBucket, entry, split

RULES = [
    {"name": "large", "when": {"kind": "text", "prefix": "large/"}, "model": "large"},
    {"name": "pictures", "when": {"content_type": "image/*"}, "model": "digits"},
    {"name": "short", "when": {"max_bytes": 20}, "model": "sentiment"},
]


def explained(cloud: Cloud, function: Function, data: bytes, name: str = "a.txt", **more: Any) -> dict[str, Any]:
    head = base64.b64encode(data[: 64 * 1024]).decode()
    question = {"name": name, "size": len(data), "head": head, **more}
    response = function("on_message").post("/", **published(json.dumps({"explain": question}).encode(), "77"))
    assert response.status_code == 200, response.text
    assert not cloud.executions.created
    assert not cloud.documents()
    answer: dict[str, Any] = cloud.documents("explanations")["explanations/77.json"]
    return answer


@pytest.fixture
def ruled(bucket: ModelsBucket) -> ModelsBucket:
    entries = [entry("sentiment"), entry("sentiment", "2"), entry("large"), entry("digits", task=IMAGE)]
    bucket.models(*entries, routes=RULES)
    return bucket


def test_the_rules_up_to_the_one_that_decides_are_explained(
    cloud: Cloud, function: Function, ruled: ModelsBucket
) -> None:
    answer = explained(cloud, function, b"What a film.")
    assert (answer["kind"], answer["model"]) == ("text", {"name": "sentiment", "version": None})
    assert answer["routing"] == {"chosen_by": "rule", "rule": "short"}
    assert [(rule["name"], rule["mismatch"]) for rule in answer["rules"]] == [
        ("large", "the name is a.txt"), ("pictures", "the kind is text"), ("short", None),
    ]  # fmt: skip


def test_no_rule_leaves_the_default_model(cloud: Cloud, function: Function, ruled: ModelsBucket) -> None:
    answer = explained(cloud, function, b"What a wonderful and long film.")
    assert (answer["model"]["name"], answer["routing"]) == ("sentiment", {"chosen_by": "default"})
    assert answer["rules"][-1]["mismatch"] == "it has 31 bytes"


def test_a_requested_model_needs_no_rules(cloud: Cloud, function: Function, ruled: ModelsBucket) -> None:
    answer = explained(cloud, function, b"What a film.", metadata={"model": "large"})
    assert (answer["model"]["name"], answer["routing"], answer["rules"]) == ("large", {"chosen_by": "requested"}, [])


def test_an_experiment_is_explained_without_a_version(cloud: Cloud, function: Function, ruled: ModelsBucket) -> None:
    ruled.traffic(sentiment=split(0.1))
    answer = explained(cloud, function, b"What a film.")
    assert answer["model"] == {"name": "sentiment", "version": None}
    assert answer["traffic"] == split(0.1)


def test_a_rejection_is_explained(cloud: Cloud, function: Function) -> None:
    answer = explained(cloud, function, b"%PDF-1.7 \x00", "a.pdf")
    assert answer["rejected"]["code"] == "unsupported_format"


@pytest.mark.parametrize("columns", ["name,label,source", "Label;SOURCE;job"])
def test_a_file_of_labels_is_not_routed(cloud: Cloud, function: Function, ruled: ModelsBucket, columns: str) -> None:
    content = (columns + "\n" + "a,b,audit\n" * 20_000).encode()
    assert explained(cloud, function, content, "labels/may.csv") == {"kind": "labels", "notes": []}
    assert explained(cloud, function, gzip.compress(content), "labels/may.CSV.gz")["kind"] == "labels"
    assert explained(cloud, function, content, "in/labels/may.csv")["kind"] != "labels"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"name," * 40_000, "invalid_label"),
        (b'name,label,"' + b"x" * (1 << 18), "invalid_label"),
        (b"id,review\n1,A film\n", "invalid_label"),
        (b"name,label,source\n" + bytes(5 << 20), "too_large"),
    ],
)
def test_what_cannot_be_a_file_of_labels_is_rejected_as_such(
    cloud: Cloud, function: Function, content: bytes, code: str
) -> None:
    assert explained(cloud, function, content, "labels/may.csv")["rejected"]["code"] == code


def test_a_large_packed_upload_is_explained_by_its_beginning(
    cloud: Cloud, function: Function, ruled: ModelsBucket
) -> None:
    rows = "".join(f"{number},A film about number {number}\n" for number in range(100_000))
    answer = explained(cloud, function, gzip.compress(f"id,review\n{rows}".encode()), "a.csv.gz")
    assert (answer["kind"], answer["model"]) == ("table", None)
    assert answer["rules"][0]["mismatch"] == "the kind is table"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 5},
        {"size": -1},
        {"size": True},
        {"head": "?"},
        {"head": 1},
        {"name": ""},
        {"metadata": {"a": 1}},
        {"x": 1},
    ],
)
def test_a_malformed_question_is_rejected(cloud: Cloud, function: Function, change: dict[str, Any]) -> None:
    question = {"name": "a.txt", "size": 4, "head": base64.b64encode(b"Film").decode(), **change}
    function("on_message").post("/", **published(json.dumps({"explain": question}).encode()))
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"
