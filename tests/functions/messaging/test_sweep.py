"""The sweep repairs lost events, lost executions, stale claims and half-written outcomes."""

import json
from typing import Any

import grpc
import pytest

from messaging import sweep as sweep_module
from pipeline.jobs import job
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."
TABLE = "text,stars\nWhat a wonderful film,5\nA dull and endless film,1\n"


def swept(function: Function, capsys: pytest.CaptureFixture[str], **sweep: Any) -> dict[str, Any]:
    """The counts of one sweep's closing line."""
    capsys.readouterr()
    data = json.dumps({"sweep": sweep}).encode()
    assert function("on_message").post("/", **published(data)).status_code == 200
    line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["message"] == "accepted"
    return {key: line.get(key, 0) for key in ("started", "running", "rejected", "completed", "remaining", "failed")}


NOTHING = {"started": 0, "running": 0, "rejected": 0, "completed": 0, "remaining": 0, "failed": 0}


def test_inputs_whose_event_was_lost_are_started(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blobs = [cloud.upload(f"in/{number}.txt", TEXT, metadata={"top_k": "2"}) for number in range(3)]
    cloud.upload("in/", b"")
    cloud.upload("in/empty.txt", b"")
    cloud.upload("elsewhere.txt", TEXT)
    assert swept(function, capsys, prefix="in/") == NOTHING | {"started": 3, "rejected": 1}
    assert {argument["job"] for argument in cloud.executions.arguments} == {
        job.of_object(cloud.input.name, blob.name, blob.generation) for blob in blobs
    }
    assert cloud.executions.arguments[0]["parameters"] == {"top_k": 2}
    assert swept(function, capsys, prefix="in/") == NOTHING | {"running": 3}
    assert len(cloud.executions.created) == 3


def test_finished_inputs_are_left_alone(cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    for number, folder in enumerate(("results", "rejected", "failed")):
        blob = cloud.upload(f"{number}.txt", b"")
        function("on_upload").post("/", **finalized(blob))
        rejected = f"rejected/{number}.txt/{blob.generation}.json"
        if folder != "rejected":
            cloud.output.rename_blob(cloud.output.blob(rejected), rejected.replace("rejected", folder, 1))
    assert swept(function, capsys) == NOTHING


def test_the_limit_bounds_what_is_started_and_the_rest_is_counted(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(7):
        cloud.upload(f"{number}.txt", TEXT)
    assert swept(function, capsys, limit=3) == NOTHING | {"started": 3, "remaining": 4}
    assert swept(function, capsys, limit=3) == NOTHING | {"started": 3, "running": 3, "remaining": 1}
    assert swept(function, capsys, after="6") == NOTHING | {"started": 1}
    assert len(cloud.executions.created) == 7


def test_a_fresh_claim_is_respected_and_a_stale_one_is_taken_over(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    cloud.claim_upload(blob)
    assert swept(function, capsys) == NOTHING | {"running": 1}
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    assert swept(function, capsys) == NOTHING | {"started": 1}


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "SUCCEEDED"])
def test_an_execution_that_ended_without_a_document_is_replaced(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    assert swept(function, capsys) == NOTHING | {"running": 1}
    cloud.executions.end_all(state)
    assert swept(function, capsys) == NOTHING | {"started": 1}
    first, second = cloud.executions.created
    assert first.argument != second.argument
    assert dict(first.labels) == dict(second.labels)
    assert cloud.claim(second.labels["job"])["execution"] == second.name


def test_an_unknown_execution_is_replaced(cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    cloud.executions.created.clear()
    assert swept(function, capsys) == NOTHING | {"started": 1}


def test_the_documents_of_a_decided_job_are_completed(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = cloud.upload("a.txt", b"")
    cloud.fault("POST", "name=rejected/", status=403)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 503
    assert not cloud.documents()
    assert swept(function, capsys) == NOTHING | {"completed": 1}
    assert list(cloud.documents()) == [f"rejected/a.txt/{blob.generation}.json"]
    assert swept(function, capsys) == NOTHING


def test_a_sweep_leaves_no_document_of_its_own(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    swept(function, capsys)
    assert not cloud.documents()
    assert not list(cloud.client.list_blobs(cloud.work))


def test_a_sweep_whose_limit_is_used_up_does_not_go_on(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "MAX_SCANNED", 4)
    monkeypatch.setattr(sweep_module, "PAGE", 2)
    for number in range(7):
        cloud.upload(f"{number}.txt", TEXT)
    assert swept(function, capsys, limit=3) == NOTHING | {"started": 3, "remaining": 1}
    assert cloud.executions.published == []
    assert len(cloud.executions.created) == 3


def test_a_sweep_goes_on_in_another_message_where_it_ended_with_the_limit_that_is_left(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "MAX_SCANNED", 4)
    monkeypatch.setattr(sweep_module, "PAGE", 2)
    client = function("on_message")
    for number in range(3):
        client.post("/", **published(b'{"instances": [{"text": "a"}]}', message_id=f"200{number}"))
    cloud.executions.end_all()
    for number in range(7):
        cloud.upload(f"in/{number}.txt", TEXT)

    order: dict[str, Any] = {"part": "uploads", "limit": 20}
    orders, started = [], []
    while order:
        started.append(swept(function, capsys, **order)["started"])
        order = next((body["sweep"] for _, body in cloud.executions.published), {})
        orders.append(order)
        cloud.executions.published.clear()
    after = orders[1]["after"]
    assert orders == [
        {"limit": 16, "after": "in/4.txt", "part": "uploads"},
        {"limit": 12, "after": after, "part": "messages"},
        {},
    ]
    assert started == [4, 4, 2]
    documents = sorted(argument["document"].partition("/")[0] for argument in cloud.executions.arguments[3:])
    assert documents == ["in"] * 7 + ["messages"] * 3


def test_a_sweep_of_a_prefix_leaves_the_messages_alone(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    function("on_message").post("/", **published(b'{"instances": [{"text": "a"}]}'))
    cloud.executions.end_all()
    cloud.upload("in/a.txt", TEXT)
    assert swept(function, capsys, prefix="in/") == NOTHING | {"started": 1}
    assert swept(function, capsys, part="messages") == NOTHING | {"started": 1}


def test_a_hour_that_is_used_up_ends_a_sweep(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "MAX_SCANNED", 4)
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "2")
    for number in range(7):
        cloud.upload(f"{number}.csv", TABLE)
    counts = swept(function, capsys)
    assert counts["started"] == 2
    assert len(cloud.executions.created) == 2
    assert cloud.executions.published == []


def test_a_quota_of_workflows_that_is_used_up_ends_a_sweep_and_costs_nothing(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "CONCURRENCY", 1)
    for number in range(3):
        cloud.upload(f"{number}.csv", TABLE)
    cloud.executions.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert swept(function, capsys) == NOTHING | {"remaining": 2}
    assert not cloud.documents()
    assert swept(function, capsys) == NOTHING | {"started": 3}


def test_the_oldest_inputs_start_first(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("c.txt", "a.txt", "b.txt"):
        cloud.upload(name, TEXT)
    assert swept(function, capsys, limit=2)["started"] == 2
    assert {argument["input"]["name"] for argument in cloud.executions.arguments} == {"c.txt", "a.txt"}


@pytest.mark.parametrize(
    "sweep",
    [
        *(7, [], {"bucket": "x"}, {"prefix": 7}, {"after": 7}, {"part": "documents"}),
        *({"limit": 0}, {"limit": -1}, {"limit": "9"}, {"limit": True}, {"limit": 1.0}),
    ],
    ids=str,
)
def test_a_sweep_that_cannot_be_read_is_rejected(cloud: Cloud, function: Function, sweep: Any) -> None:
    assert function("on_message").post("/", **published(json.dumps({"sweep": sweep}).encode())).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"


@pytest.mark.parametrize("limit", [1, 1_000_000])
def test_every_positive_limit_is_taken(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], limit: int
) -> None:
    cloud.upload("a.txt", TEXT)
    assert swept(function, capsys, limit=limit) == NOTHING | {"started": 1}


# --- inputs that no listing shows ------------------------------------------------------------------


def vanish(cloud: Cloud, name: str, how: str) -> None:
    if how == "deleted":
        cloud.input.blob(name).delete()
    else:
        cloud.upload(name, "Another text, which makes another generation.")


@pytest.mark.parametrize("how", ["deleted", "overwritten"])
@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "SUCCEEDED"])
def test_a_vanished_input_whose_execution_left_no_document_is_rejected(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], how: str, state: str
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    vanish(cloud, "a.txt", how)
    assert swept(function, capsys) == NOTHING | {"running": 1, "started": int(how == "overwritten")}
    assert not cloud.documents(), "its execution may still write it"
    cloud.executions.end_all(state)
    assert swept(function, capsys)["rejected"] == 1
    assert list(cloud.documents()) == [f"rejected/a.txt/{blob.generation}.json"]
    document = cloud.only_document()
    assert (document["reason"]["code"], document["kind"]) == ("input_gone", "text")
    assert swept(function, capsys)["rejected"] == 0


def test_a_vanished_input_whose_document_was_not_written_is_completed(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    cloud.fault("POST", "name=failed/", status=403)
    error = {"step": "predict", "status": 500, "code": "internal", "message": "It broke."}
    body = {"argument": argument, "lineage": {"execution": "e"}, "error": error}
    assert function("postprocess").post("/", json=body).status_code == 503
    blob.delete()
    assert swept(function, capsys) == NOTHING | {"completed": 1}
    assert list(cloud.documents()) == [f"failed/a.txt/{blob.generation}.json"]


def test_a_vanished_batch_that_was_cut_before_is_restarted(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = cloud.upload("a.csv", "text\nA delight.\n")
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    assert function("preprocess").post("/", json=argument).status_code == 200
    cloud.executions.end_all()
    blob.delete()
    assert swept(function, capsys) == NOTHING | {"started": 1}
    assert function("preprocess").post("/", json=cloud.executions.arguments[1]).status_code == 200


def test_a_vanished_message_is_rejected(cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.dumps({"instances": [{"text": "A delight."}]}).encode()
    function("on_message").post("/", **published(data))
    cloud.executions.end_all()
    for blob in cloud.client.list_blobs(cloud.work, prefix="messages/"):
        blob.delete()
    assert swept(function, capsys) == NOTHING | {"rejected": 1}
    assert cloud.only_document()["reason"]["code"] == "input_gone"


def test_a_vanished_input_that_was_throttled_is_rejected(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1")
    client = function("on_upload")
    first, second = (cloud.upload(name, TABLE) for name in ("a.csv", "b.csv"))
    for blob in (first, second):
        assert client.post("/", **finalized(blob)).status_code == 200
    second.delete()
    assert swept(function, capsys) == NOTHING | {"rejected": 1, "running": 1}
    assert list(cloud.documents()) == [f"rejected/b.csv/{second.generation}.json"]


def test_an_input_that_fails_is_left_to_the_next_sweep_and_keeps_no_other_from_this_one(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    cloud.executions.end_all()
    blob.delete()
    listed = [cloud.upload(f"{number}.txt", TEXT) for number in range(3)]
    cloud.fault("POST", "name=outcomes/", status=403)
    cloud.fault("GET", f"{listed[1].name}", "alt=media", status=403)
    assert swept(function, capsys) == NOTHING | {"failed": 2, "started": 2}
    assert swept(function, capsys) == NOTHING | {"rejected": 1, "started": 1, "running": 2}


def test_a_claim_is_read_until_its_job_has_a_document(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    good = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}}
    body = {"argument": argument, "lineage": {"execution": "e"}, "prediction": good}
    assert function("postprocess").post("/", json=body).status_code == 200
    blob.delete()
    assert swept(function, capsys) == NOTHING
    cloud.faulty.requests.clear()
    assert swept(function, capsys) == NOTHING
    assert len(cloud.faulty.requests) == 3, "one listing for each part"


def test_a_sweep_continues_with_the_next_claims(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = function("on_message")
    monkeypatch.setattr("messaging.sweep.MAX_SCANNED", 2)
    monkeypatch.setattr("messaging.sweep.PAGE", 2)
    blobs = [cloud.upload(f"{number}.txt", TEXT) for number in range(5)]
    for blob in blobs:
        function("on_upload").post("/", **finalized(blob))
        blob.delete()
    cloud.executions.end_all()
    client.post("/", **published(b'{"sweep": {}}'))
    while cloud.executions.published:
        _, following = cloud.executions.published.pop()
        client.post("/", **published(json.dumps(following).encode()))
    assert sorted(cloud.documents()) == [f"rejected/{blob.name}/{blob.generation}.json" for blob in blobs]


def test_without_uploads_it_lists_none_and_finds_dead_executions_by_their_claims(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert function("on_message").post("/", **published(b'{"instances": [{"text": "a"}]}', "7")).status_code == 200
    cloud.upload("never-announced.txt", TEXT)
    cloud.executions.end_all()
    cloud.faulty.requests.clear()
    assert swept(function, capsys, uploads=False) == NOTHING | {"started": 2}
    listing = f"/storage/v1/b/{cloud.input.name}/o?"
    assert not [target for _, target in cloud.faulty.requests if target.startswith(listing)]
    assert len(cloud.executions.created) == 4
    assert swept(function, capsys, uploads=False)["started"] == 0
    assert swept(function, capsys) == NOTHING | {"started": 1, "running": 2}


@pytest.mark.parametrize(
    "order", [{"uploads": 1}, {"uploads": False, "prefix": "in/"}, {"uploads": False, "part": "uploads"}]
)
def test_a_sweep_that_contradicts_itself_is_rejected(cloud: Cloud, function: Function, order: dict[str, Any]) -> None:
    assert function("on_message").post("/", **published(json.dumps({"sweep": order}).encode())).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"
