"""Parameters decide the kind and the columns of an input before its content is judged, by every way in."""

import json
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published

BOTH = "id,date,sales,notes\n" + "".join(
    f"{day},2024-01-{day:02},{day * 7 % 5 + 0.5},It was a very quiet day in shop number {day}\n" for day in range(1, 29)
)
LINES = '{"text": "a", "title": "b"}\n{"text": "c", "title": "d"}\n'


def outcome(cloud: Cloud, function: Function, name: str, data: str | bytes, **metadata: str) -> dict[str, Any]:
    """The workflow's argument, or the reason of the rejection with its kind."""
    blob = cloud.upload(name, data, metadata=metadata)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    if cloud.executions.arguments:
        (argument,) = cloud.executions.arguments
        return argument
    document = cloud.only_document()
    return {**document["reason"], "kind": document["kind"]}


@pytest.mark.parametrize(
    ("name", "data", "metadata", "kind"),
    [
        ("a.csv", BOTH, {}, "table"),
        ("a.csv", BOTH, {"kind": "timeseries"}, "timeseries"),
        ("a.csv", BOTH, {"kind": "text"}, "text"),
        ("a", BOTH, {"kind": " table "}, "table"),
        ("a.csv", BOTH, {"horizon": "3"}, "timeseries"),
        ("a.csv", BOTH, {"value-column": "sales"}, "timeseries"),
        ("a.csv", BOTH, {"text_column": "date"}, "table"),
        ("a.csv", "Good\nBad\n", {"kind": "table"}, "table"),
        (
            "a.txt",
            "when;n\nmonday 1;2\nmonday 2;3\n",
            {"date_format": "monday %d", "date_column": "when"},
            "timeseries",
        ),
        ("a.json", LINES, {"kind": "text"}, "text"),
        ("a.txt", LINES, {"kind": "records"}, "records"),
        ("a.jsonl", LINES, {"text_column": "title"}, "records"),
        ("a.html", "<html><p>Hello</p></html>", {"kind": "text"}, "text"),
    ],
)
def test_the_kind_follows_the_metadata(
    cloud: Cloud, function: Function, name: str, data: str, metadata: dict[str, str], kind: str
) -> None:
    assert outcome(cloud, function, name, data, **metadata)["kind"] == kind


@pytest.mark.parametrize("requested", [{"kind": "timeseries"}, {"parameters": {"date_column": "date"}}])
def test_the_kind_follows_the_sidecar(cloud: Cloud, function: Function, requested: dict[str, Any]) -> None:
    cloud.upload("a.csv.parameters.json", json.dumps(requested))
    assert outcome(cloud, function, "a.csv", BOTH)["kind"] == "timeseries"


def test_metadata_have_precedence_over_the_sidecar(cloud: Cloud, function: Function) -> None:
    cloud.upload("a.csv.parameters.json", json.dumps({"kind": "timeseries"}))
    assert outcome(cloud, function, "a.csv", BOTH, kind="table")["kind"] == "table"


@pytest.mark.parametrize(
    ("name", "data", "metadata", "code", "words"),
    [
        ("a.csv", BOTH, {"value_column": "sale"}, "no_usable_column", "Its columns are id, date, sales, notes."),
        ("a.csv", BOTH, {"text_column": "text"}, "no_usable_column", "Its columns are id, date, sales, notes."),
        ("a.jsonl", LINES, {"text_column": "body"}, "no_usable_column", "Their fields are text, title."),
        ("a.csv", BOTH, {"kind": "tables"}, "invalid_parameters", "kind must be one of text, image, timeseries"),
        (
            "a.csv",
            BOTH,
            {"kind": "text", "horizon": "3"},
            "invalid_parameters",
            "horizon does not apply to the kind text",
        ),
        ("a.csv", BOTH, {"kind": "image"}, "content_mismatch", "The parameter kind is image, but the content is"),
        ("a.txt", "Just a text.", {"kind": "records"}, "content_mismatch", "The parameter kind is records"),
        ("a.csv", BOTH, {"sheet": "A"}, "invalid_parameters", "sheet does not apply to the kind table"),
        (
            "a.csv",
            BOTH,
            {"sheet": "A", "horizon": "3"},
            "invalid_parameters",
            "sheet does not apply to the kind timeseries",
        ),
        ("a.jsonl", LINES, {"sheet": "A"}, "invalid_parameters", "sheet does not apply to the kind records"),
        ("a.txt", "Just a text.", {"sheet": "A"}, "invalid_parameters", "sheet does not apply to the kind text"),
        (
            "a.csv",
            BOTH,
            {"text_column": "notes", "image_column": "id"},
            "invalid_parameters",
            "either text_column or image_column",
        ),
        ("a.csv", BOTH, {"image_column": "notes"}, "no_usable_column", "'notes' has no gs:// URIs of images."),
        ("a.csv", "a,b\n1,2\n3,4\n", {"kind": "timeseries"}, "no_usable_column", "which are a, b."),
        ("a.csv", BOTH, {"date_format": "day first"}, "invalid_date_format", "is not a valid date pattern"),
    ],
)
def test_what_was_requested_but_is_not_there_is_an_error(
    cloud: Cloud, function: Function, name: str, data: str, metadata: dict[str, str], code: str, words: str
) -> None:
    reason = outcome(cloud, function, name, data, **metadata)
    assert reason["code"] == code
    assert words in reason["message"]


@pytest.mark.parametrize(("kind", "accepted"), [("text", True), ("table", False)])
def test_a_message_s_kind_must_be_that_of_its_instances(
    cloud: Cloud, function: Function, kind: str, accepted: bool
) -> None:
    body = {"instances": [{"text": "a"}], "parameters": {"kind": kind}}
    assert function("on_message").post("/", **published(json.dumps(body).encode())).status_code == 200
    assert bool(cloud.executions.arguments) == accepted
    if not accepted:
        assert cloud.only_document()["reason"]["code"] == "invalid_parameters"


@pytest.mark.parametrize(("kind", "accepted"), [("manifest", True), ("table", False)])
def test_a_manifest_may_state_its_kind(cloud: Cloud, function: Function, kind: str, accepted: bool) -> None:
    uri = f"gs://{cloud.input.name}/a.txt"
    body = {"id": "m", "inputs": [uri], "parameters": {"kind": kind}}
    blob = cloud.upload("m.json", json.dumps(body))
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    answer = function("preprocess").post("/", json=argument)
    assert (answer.status_code == 200) == accepted
