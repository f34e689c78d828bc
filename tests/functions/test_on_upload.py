"""on_upload, served by functions-framework, against the emulated object store and recorded executions."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.jobs.job import fit, of_object
from pipeline.settings import MAX_BYTES
from tests.functions.cloud import WORKFLOW, Cloud
from tests.functions.conftest import Function, event, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."


def test_an_upload_starts_one_execution_with_the_argument_of_the_contract(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("in/great.txt", TEXT, "text/plain", {"Top-K": "3", "model": "sentiment", "owner": "me"})
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = finalized(blob, "event-1")
    request["headers"]["traceparent"] = trace
    answer = function("on_upload").post("/", **request)

    assert answer.status_code == 200
    (argument,) = cloud.executions.arguments
    assert argument.pop("received_at").endswith("Z")
    prepared = argument.pop("prepared")
    assert prepared == {"mode": "single", "instances": [{"text": TEXT}], "parameters": {"top_k": 3}}
    job = of_object(blob.bucket.name, "in/great.txt", blob.generation)
    assert argument == {
        "job": job,
        "document": f"in/great.txt/{blob.generation}",
        "event_id": "event-1",
        "input": {
            "bucket": blob.bucket.name,
            "name": "in/great.txt",
            "generation": str(blob.generation),
            "size": len(TEXT),
            "content_type": "text/plain",
        },
        "kind": "text",
        "model": {"name": "sentiment", "version": None, "chosen_by": "requested"},
        "parameters": {"top_k": 3},
        "trace": trace,
    }
    (execution,) = cloud.executions.created
    assert dict(execution.labels) == {"job": job, "kind": "text"}
    assert execution.name.startswith(WORKFLOW)
    claim = cloud.claim(job)
    assert (claim["state"], claim["execution"]) == ("started", execution.name)
    assert claim["argument"].pop("received_at").endswith("Z")
    assert claim["argument"] == argument
    assert not cloud.documents()


POLISH = "Bardzo dobry film, choć zakończenie jest przewidywalne; muzyka brzmi pięknie."


@pytest.mark.parametrize(
    ("codec", "content_type", "encoding"),
    [
        ("utf-8", "text/plain", None),
        ("cp1250", "text/plain", "cp1250"),
        ("cp1250", "text/plain; charset=windows-1250", None),
        ("cp1250", "text/plain; charset=utf-8", "cp1250"),
    ],
)
def test_an_encoding_that_was_guessed_is_named(
    cloud: Cloud, function: Function, codec: str, content_type: str, encoding: str | None
) -> None:
    blob = cloud.upload("in/film.txt", POLISH.encode(codec), content_type)
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    assert argument["input"].get("encoding") == encoding
    prepared = function("preprocess").post("/", json=argument).json
    assert prepared["instances"] == [{"text": POLISH}]


def test_size_and_generation_may_be_numbers(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    request = finalized(blob, generation=blob.generation, size=len(TEXT))
    assert function("on_upload").post("/", **request).status_code == 200
    assert cloud.executions.arguments[0]["input"]["generation"] == str(blob.generation)


def test_a_structured_event_is_understood(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    recorded = event("object_finalized_structured")
    body = recorded["body"] | {"data": finalized(blob)["json"]}
    answer = function("on_upload").post("/", data=json.dumps(body), headers=recorded["headers"])
    assert answer.status_code == 200
    assert len(cloud.executions.created) == 1


def test_an_event_without_size_is_completed_from_the_object(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT, metadata={"top_k": "7"})
    request = finalized(blob, size=None, metadata=None)
    assert function("on_upload").post("/", **request).status_code == 200
    (argument,) = cloud.executions.arguments
    assert argument["input"]["size"] == len(TEXT)
    assert argument["parameters"] == {"top_k": 7}


@pytest.mark.parametrize("event_name", ["object_deleted", "object_archived", "object_metadata_updated"])
def test_other_event_types_are_ignored(cloud: Cloud, function: Function, event_name: str) -> None:
    recorded = event(event_name)
    answer = function("on_upload").post("/", headers=recorded["headers"], json=recorded["body"])
    assert answer.status_code == 200
    assert not cloud.executions.created
    assert not cloud.documents()


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": None},
        {"bucket": 7},
        {"bucket": "somebody-elses-bucket"},
        {"name": None},
        {"name": ""},
        {"name": ["a"]},
        {"name": "x" * 1025},
        {"name": "two\nlines"},
        {"name": "half a pair \ud800"},
        {"generation": None},
        {"generation": "newest"},
        {"generation": -1},
        {"generation": True},
        {"generation": 1.5},
        {"size": "large"},
        {"size": -4},
        {"contentType": 9},
        {"metadata": "x"},
    ],
    ids=str,
)
def test_an_event_that_identifies_no_input_is_refused(cloud: Cloud, function: Function, changes: dict) -> None:
    blob = cloud.upload("a.txt", TEXT)
    request = finalized(blob)
    body = {key: value for key, value in (request["json"] | changes).items() if value is not None}
    answer = function("on_upload").post("/", headers=request["headers"], data=json.dumps(body))
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"]["code"] == "malformed_request"
    assert not cloud.executions.created
    assert not cloud.documents()
    assert not list(cloud.client.list_blobs(cloud.work))


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"null", b'"text"', b"\xff\xfe"])
def test_a_body_other_than_an_object_is_refused(cloud: Cloud, function: Function, body: bytes) -> None:
    answer = function("on_upload").post("/", headers=event("object_finalized")["headers"], data=body)
    assert answer.status_code == 400
    assert answer.json is not None
    assert "error" in answer.json


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"ce-id": "1"}, 400),
        ({"ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-specversion": "9.9"}, 400),
        ({"Content-Type": "application/cloudevents+json"}, 400),
    ],
)
def test_an_invalid_cloud_event_is_refused_without_internal_details(
    cloud: Cloud, function: Function, headers: dict[str, str], status: int
) -> None:
    answer = function("on_upload").post("/", headers={"Content-Type": "application/json"} | headers, data=b"{}")
    assert answer.status_code == status
    assert answer.json is not None
    assert set(answer.json) == {"error"}
    assert "Traceback" not in answer.text


def test_a_structured_event_that_is_not_json_is_refused(cloud: Cloud, function: Function) -> None:
    headers = {"Content-Type": "application/cloudevents+json"}
    for body in (b"{", b"[]", b"7", b"\xff"):
        answer = function("on_upload").post("/", headers=headers, data=body)
        assert answer.status_code == 400, body
        assert answer.json is not None
        assert set(answer.json) == {"error"}


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_web_page_cannot_send_an_event_without_a_preflight(
    cloud: Cloud, function: Function, content_type: str
) -> None:
    recorded = event("object_finalized_structured")
    blob = cloud.upload("a.txt", "What a wonderful film, I loved it.")
    body = json.dumps(recorded["body"] | {"data": finalized(blob)["json"]})
    client = function("on_upload")
    assert client.post("/", data=body, content_type=content_type).status_code == 415
    assert not cloud.executions.created
    assert client.post("/", data=body, content_type="application/cloudevents+json").status_code == 200
    assert len(cloud.executions.created) == 1


def test_folder_placeholders_are_ignored(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("incoming/", b"")
    client = function("on_upload")
    assert client.post("/", **finalized(blob)).status_code == 200
    assert client.post("/", **finalized(blob, size=None)).status_code == 200
    assert not cloud.executions.created
    assert not cloud.documents()


def test_objects_written_by_the_pipeline_are_ignored_in_every_bucket(cloud: Cloud, function: Function) -> None:
    blob = cloud.output.blob("elsewhere/a.json")
    blob.metadata = {"pipeline-job": "0" * 32}
    blob.upload_from_string("{}", "application/json")
    copied = cloud.upload("results/a.json", b"{}", "application/json", {"pipeline-job": "0" * 32})
    client = function("on_upload")
    assert client.post("/", **finalized(blob)).status_code == 200
    assert client.post("/", **finalized(copied)).status_code == 200
    assert not cloud.executions.created
    assert not cloud.documents("rejected")


def test_a_rejection_is_written_and_acknowledged(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("in/nothing.txt", b"")
    client = function("on_upload")
    assert client.post("/", **finalized(blob)).status_code == 200
    assert client.post("/", **finalized(blob, "again")).status_code == 200
    name = f"rejected/in/nothing.txt/{blob.generation}.json"
    assert list(cloud.documents()) == [name]
    document = cloud.only_document()
    assert document["reason"]["code"] == "empty"
    assert document["kind"] is None
    assert document["input"]["generation"] == str(blob.generation)
    assert document["lineage"]["event_id"] == "1"
    assert cloud.documents("latest") == {"latest/in/nothing.txt.json": document}
    assert cloud.output.get_blob(name).metadata["pipeline-job"] == document["job"]
    assert not cloud.executions.created


def test_an_object_that_is_gone_is_rejected(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("gone.txt", TEXT)
    request = finalized(blob)
    blob.delete()
    assert function("on_upload").post("/", **request).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "input_gone"


def test_an_overwritten_generation_is_rejected_and_the_new_one_started(cloud: Cloud, function: Function) -> None:
    first = finalized(cloud.upload("a.txt", TEXT))
    second = finalized(cloud.upload("a.txt", TEXT))
    client = function("on_upload")
    assert client.post("/", **second).status_code == 200
    assert client.post("/", **first).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "input_gone"
    assert len(cloud.executions.created) == 1


def test_an_object_too_large_for_any_kind_is_never_read(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in MAX_BYTES:
        monkeypatch.setenv(f"MAX_{kind.upper()}_BYTES", "10")
    assert function("on_upload").post("/", **finalized(cloud.upload("huge.bin", TEXT))).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "too_large"
    assert not [path for _, path in cloud.faulty.requests if "o/huge.bin" in path and "alt=media" in path]


def test_a_text_too_large_for_a_text_is_rejected_after_its_head(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("long.txt", "word " * 300_000)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    document = cloud.only_document()
    assert (document["reason"]["code"], document["kind"]) == ("too_large", "text")


@pytest.mark.parametrize(
    "metadata",
    [
        {"horizon": "0"},
        {"horizon": "many"},
        {"top-k": "-1"},
        {"model": "../../etc"},
        {"version": "2"},
        {"date_format": ""},
    ],
    ids=str,
)
def test_bad_parameters_are_rejected(cloud: Cloud, function: Function, metadata: dict[str, str]) -> None:
    blob = cloud.upload("a.txt", TEXT, metadata=metadata)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"
    assert not cloud.executions.created


@pytest.mark.parametrize(
    "name",
    [
        "a b/ü.txt",
        "what?#[1]*.txt",
        "../../x.txt",
        "a//b.txt",
        "%2F%25.txt",
        "e\u0301.txt",
        "x" * 1020 + ".txt",
        "日" * 340,
    ],
    ids=lambda name: name[:12],
)
def test_odd_names_get_a_document_of_their_own(cloud: Cloud, function: Function, name: str) -> None:
    blob = cloud.upload(name, TEXT)
    empty = cloud.upload(name[:-1] + "_", b"")
    client = function("on_upload")
    assert client.post("/", **finalized(blob)).status_code == 200
    assert client.post("/", **finalized(empty)).status_code == 200
    assert cloud.executions.arguments[0]["input"]["name"] == name
    (document,) = cloud.documents()
    assert document.startswith("rejected/")
    assert document.endswith(f"/{empty.generation}.json")
    assert len(cloud.executions.arguments[0]["document"].encode()) <= 1024 - len("rejected/.jsonl")


def test_the_closing_line_names_outcome_job_and_trace_but_no_payload(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client = function("on_upload")
    for blob in (cloud.upload("a.txt", TEXT), cloud.upload("b.txt", b"")):
        request = finalized(blob, f"event of {blob.name}")
        request["headers"]["traceparent"] = trace
        client.post("/", **request)
    ignored = event("object_deleted")
    client.post("/", headers=ignored["headers"], json=ignored["body"])
    client.post("/", headers=ignored["headers"] | {"ce-type": "google.cloud.storage.object.v1.finalized"}, json={})
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["message"] for line in lines] == ["accepted", "rejected", "ignored", "failed"]
    assert [line["severity"] for line in lines] == ["INFO", "INFO", "INFO", "WARNING"]
    assert lines[0]["logging.googleapis.com/trace"] == "projects/p/traces/0af7651916cd43dd8448eb211c80319c"
    assert lines[0]["job"] == cloud.executions.arguments[0]["job"]
    assert (lines[1]["reason"], lines[1]["event_id"]) == ("empty", "event of b.txt")
    assert TEXT not in printed


def test_input_and_output_must_differ(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.errors import ConfigurationError

    monkeypatch.setenv("OUTPUT_BUCKET", cloud.input.name)
    with pytest.raises(ConfigurationError, match="must differ"):
        function("on_upload")


@pytest.mark.parametrize("sample", sorted((Path(__file__).parents[2] / "samples").glob("*/*.*")), ids=lambda p: p.name)
def test_every_sample_is_routed(cloud: Cloud, function: Function, sample: Path) -> None:
    blob = cloud.upload(sample.name, sample.read_bytes())
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert len(cloud.executions.created) + len(cloud.documents()) == 1


@pytest.mark.parametrize("forged", [{}, {"size": str(10 << 30)}, {"metadata": {"pipeline-hops": "9"}}], ids=str)
@pytest.mark.parametrize("name", ["on_upload", "on_dead_letter"])
def test_a_generation_that_never_existed_does_not_change_latest(
    cloud: Cloud, function: Function, name: str, forged: dict[str, Any]
) -> None:
    largest = 2**63 - 1
    blob = cloud.upload("a.txt", b"")
    request = finalized(blob, generation=str(largest), **forged)
    if name == "on_dead_letter":
        request = published(json.dumps(request["json"]).encode(), attributes={"eventType": "OBJECT_FINALIZE"})
    assert function(name).post("/", **request).status_code == 200
    assert not cloud.documents("latest")
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert cloud.documents("latest")["latest/a.txt.json"]["input"]["generation"] == str(blob.generation)
    assert len(cloud.documents()) == 2


def test_long_names_do_not_share_latest(cloud: Cloud, function: Function) -> None:
    stem = "a" * 1000
    expected = {f"{stem}x", f"{stem}y", fit(f"{stem}x")}
    for name in expected:
        assert function("on_upload").post("/", **finalized(cloud.upload(name, b""))).status_code == 200
    assert {document["input"]["name"] for document in cloud.documents("latest").values()} == expected


@pytest.mark.parametrize("size", ["0", "1", "100", "70000", str(1 << 40)])
def test_a_size_that_an_event_states_wrongly_changes_nothing(cloud: Cloud, function: Function, size: str) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert function("on_upload").post("/", **finalized(blob, size=size)).status_code == 200
    (argument,) = cloud.executions.arguments
    assert argument["input"]["size"] == len(TEXT)
    assert not cloud.documents()


@pytest.mark.parametrize("size", ["65537", "80000", "99999"])
def test_a_long_object_is_measured_whatever_its_event_states(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    """The first 64 KB are the same whether the object has 80,000 bytes or gigabytes."""
    monkeypatch.setenv("MAX_TEXT_BYTES", "100000")
    for name, length in (("long.txt", 100_000), ("longer.txt", 100_001)):
        blob = cloud.upload(name, b"word " * 20_000 + b"." * (length - 100_000))
        assert function("on_upload").post("/", **finalized(blob, size=size)).status_code == 200
    (argument,) = cloud.executions.arguments
    assert (argument["input"]["name"], argument["input"]["size"]) == ("long.txt", 100_000)
    reason = cloud.only_document()["reason"]
    assert reason == {"code": "too_large", "message": "The input has 100,001 bytes; at most 100,000 are accepted."}


def test_an_empty_object_is_empty_whatever_its_event_states(cloud: Cloud, function: Function) -> None:
    assert function("on_upload").post("/", **finalized(cloud.upload("a.txt", b""), size="100")).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "empty"


def test_an_object_that_is_gone_is_gone_whatever_its_event_states(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    blob.delete()
    assert function("on_upload").post("/", **finalized(blob, size="0")).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "input_gone"
