"""Replays: failed documents by prefix, code and time, once each, with the history of attempts."""

import json
import threading
from collections import Counter
from typing import Any

import pytest

from messaging import replay as replay_module
from messaging import replay_orders
from pipeline.jobs import job, outcomes
from pipeline.jobs.claims import Claims
from pipeline.jobs.job import Job
from pipeline.routing import choice
from tests.functions import gpu
from tests.functions.batches.test_microbatches import prepared, run
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published
from tests.functions.models_bucket import ModelsBucket, entry, split

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."
TABLE = "text,stars\nWhat a wonderful film,5\nA dull and endless film,1\n"
GOOD = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}, "device": "cpu"}


def conclude(cloud: Cloud, function: Function, outcome: dict[str, Any], index: int = -1) -> dict[str, Any]:
    """Ends the last execution that was started, or the one at `index`."""
    execution = cloud.executions.created[index]
    lineage = {"execution": execution.name.rpartition("/")[2], "started_at": "2026-01-01T00:00:01Z"}
    body = {"argument": json.loads(execution.argument), "lineage": lineage} | outcome
    answer = function("postprocess").post("/", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json or {}


def broken(code: str = "broken") -> dict[str, Any]:
    return {"error": {"step": "predict", "status": 500, "code": code, "message": "It broke."}}


def fail(
    cloud: Cloud, function: Function, name: str, code: str = "broken", metadata: Any = None, content: str = TEXT
) -> str:
    """Uploads an input whose execution fails, and returns the name of its document."""
    blob = cloud.upload(name, content, metadata=metadata)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    conclude(cloud, function, broken(code))
    cloud.executions.end_all()
    return f"{name}/{blob.generation}"


def replayed(function: Function, capsys: pytest.CaptureFixture[str], **replay: Any) -> dict[str, Any]:
    """The counts in the closing line of one replay."""
    capsys.readouterr()
    answer = function("on_message").post("/", **published(json.dumps({"replay": replay}).encode()))
    assert answer.status_code == 200
    line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["message"], line["reason"]) == ("accepted", "replay")
    return {
        word: line[word] for word in ("started", "running", "completed", "unreplayable", "rejected") if word in line
    }


def test_a_replay_starts_the_same_job_and_its_document_remembers(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = fail(cloud, function, "a.txt", metadata={"top_k": "2"})
    failed = cloud.only_document()
    assert replayed(function, capsys) == {"started": 1}
    assert list(cloud.documents()) == [f"failed/{document}.json"]  # until another document replaces it
    first, second = cloud.executions.arguments
    keep = ("job", "document", "input", "kind", "model", "parameters")
    assert {key: first[key] for key in keep} == {key: second[key] for key in keep}

    conclude(cloud, function, {"prediction": GOOD})
    assert list(cloud.documents()) == [f"results/{document}.json"]
    result = cloud.only_document()
    assert result["attempts"] == [
        {
            "execution": failed["lineage"]["execution"],
            "finished_at": failed["timing"]["finished_at"],
            "error": {"code": "broken", "message": "It broke.", "step": "predict"},
        }
    ]
    assert cloud.documents("latest")["latest/a.txt.json"] == result
    assert replayed(function, capsys) == {}
    assert len(cloud.executions.created) == 2


def test_a_failure_that_fails_again_keeps_the_whole_history(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = fail(cloud, function, "a.txt", "first")
    for code in ("second", "third"):
        assert replayed(function, capsys) == {"started": 1}
        conclude(cloud, function, broken(code))
        cloud.executions.end_all()
    assert list(cloud.documents()) == [f"failed/{document}.json"]
    failed = cloud.only_document()
    assert failed["error"]["code"] == "third"
    assert [attempt["error"]["code"] for attempt in failed["attempts"]] == ["first", "second"]
    assert cloud.documents("latest")["latest/a.txt.json"] == failed


def test_two_replays_start_one_execution(cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    fail(cloud, function, "a.txt")
    assert replayed(function, capsys) == {"started": 1}
    assert replayed(function, capsys) == {"running": 1}
    assert len(cloud.executions.created) == 2


def test_replays_that_race_start_one_execution(cloud: Cloud, function: Function) -> None:
    fail(cloud, function, "a.txt")
    client = function("on_message")
    gate = threading.Barrier(6)
    codes: list[int] = []

    def send(index: int) -> None:
        gate.wait()
        message = published(b'{"replay": {}}', message_id=str(index))
        codes.append(client.application.test_client().post("/", **message).status_code)

    threads = [threading.Thread(target=send, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 6
    assert len(cloud.executions.created) == 2
    conclude(cloud, function, {"prediction": GOOD})
    assert [name.partition("/")[0] for name in cloud.documents()] == ["results"]


def test_the_failed_attempt_cannot_decide_the_replayed_job(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = fail(cloud, function, "a.txt")
    replayed(function, capsys)
    assert conclude(cloud, function, broken("late"), index=0)["status"] == "failed"  # its call, repeated
    assert conclude(cloud, function, {"prediction": GOOD})["status"] == "succeeded"
    assert conclude(cloud, function, broken("late"), index=0)["status"] == "succeeded"
    assert list(cloud.documents()) == [f"results/{document}.json"]
    assert len(cloud.only_document()["attempts"]) == 1


@pytest.mark.parametrize(
    ("wanted", "started"),
    [
        ({}, 3),
        ({"prefix": "in/"}, 2),
        ({"prefix": "in/a"}, 1),
        ({"prefix": "failed/"}, 0),
        ({"code": "cuda"}, 1),
        ({"code": "cuda", "prefix": "x"}, 0),
        ({"since": "2020-01-01T00:00:00Z"}, 3),
        ({"since": "2020-01-01"}, 3),
        ({"until": "2020-01-01T00:00:00+02:00"}, 0),
        ({"since": "2020-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z"}, 3),
        ({"limit": 2}, 2),
        ({"after": "in/b"}, 2),
    ],
    ids=str,
)
def test_a_replay_is_bounded_by_prefix_code_time_and_limit(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], wanted: dict[str, Any], started: int
) -> None:
    for name, code in (("in/a.txt", "broken"), ("in/b.txt", "cuda"), ("other.txt", "broken")):
        fail(cloud, function, name, code)
    assert replayed(function, capsys, **wanted).get("started", 0) == started
    assert len(cloud.executions.created) == 3 + started


@pytest.mark.parametrize(
    "replay",
    [
        7,
        [],
        {"bucket": "x"},
        {"prefix": 7},
        {"code": ["a"]},
        {"since": "yesterday"},
        {"until": 20260101},
        {"limit": 0},
        {"limit": "9"},
        {"limit": True},
        {"limit": -1},
        {"before": 7},
    ],
    ids=str,
)
def test_a_replay_that_cannot_be_read_is_rejected(cloud: Cloud, function: Function, replay: Any) -> None:
    assert function("on_message").post("/", **published(json.dumps({"replay": replay}).encode())).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"


def test_the_command_in_a_failed_document_replays_that_document_alone(cloud: Cloud, function: Function) -> None:
    document = fail(cloud, function, "a.txt")
    fail(cloud, function, "a.txt.txt")
    command = cloud.documents()[f"failed/{document}.json"]["replay"]
    message = command.partition("--message=")[2].strip("'")
    assert function("on_message").post("/", **published(message.encode())).status_code == 200
    assert len(cloud.executions.created) == 3
    assert cloud.executions.arguments[2]["document"].startswith("a.txt/")


def test_a_replay_beyond_one_message_s_limits_continues_in_another(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "MAX_STARTED_AT_ONCE", 2)
    documents = [fail(cloud, function, f"{number}.txt") for number in range(5)]
    assert replayed(function, capsys, limit=4) == {"started": 2}
    ((topic, following),) = cloud.executions.published
    assert topic == "projects/p/topics/messages"
    assert following == {"replay": {"limit": 2, "after": f"{documents[2]}.json"}}
    assert replayed(function, capsys, **following["replay"]) == {"started": 2}
    assert len(cloud.executions.published) == 1  # the limit is used up


def test_inline_messages_are_replayed_from_their_kept_copy(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    function("on_message").post("/", **published(b'{"instances": [{"text": "a"}], "model": "sentiment"}'))
    conclude(cloud, function, broken())
    cloud.executions.end_all()
    assert replayed(function, capsys, prefix="messages/") == {"started": 1}
    conclude(cloud, function, {"prediction": GOOD})
    assert list(cloud.documents()) == ["results/messages/messages/id-1001.json"]
    assert cloud.executions.arguments[0]["model"] == cloud.executions.arguments[1]["model"]


def test_a_failure_whose_outcome_has_expired_is_replayed_from_its_input(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = fail(cloud, function, "a.txt", metadata={"top_k": "2"})
    for blob in cloud.client.list_blobs(cloud.work):
        blob.delete()
    assert replayed(function, capsys) == {"started": 1}
    assert cloud.executions.arguments[1]["parameters"] == {"top_k": 2}
    conclude(cloud, function, {"prediction": GOOD})
    assert list(cloud.documents()) == [f"results/{document}.json"]
    assert len(cloud.only_document()["attempts"]) == 1


def test_an_input_that_is_gone_ends_as_a_rejection(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = fail(cloud, function, "a.txt")
    for blob in [*cloud.client.list_blobs(cloud.work), *cloud.client.list_blobs(cloud.input)]:
        blob.delete()
    assert replayed(function, capsys) == {"rejected": 1}
    assert list(cloud.documents()) == [f"rejected/{document}.json"]
    assert cloud.only_document()["reason"]["code"] == "input_gone"


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_a_failure_that_becomes_a_rejection_is_replaced_in_latest(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], is_forgotten: bool
) -> None:
    document = fail(cloud, function, "a.txt")
    assert cloud.documents("latest")["latest/a.txt.json"]["status"] == "failed"
    for blob in [*(cloud.client.list_blobs(cloud.work) if is_forgotten else ()), *cloud.client.list_blobs(cloud.input)]:
        blob.delete()
    assert replayed(function, capsys) == {"rejected": 1}
    terminal = cloud.documents()[f"rejected/{document}.json"]
    assert terminal["reason"]["code"] == "input_gone"
    assert cloud.documents("latest")["latest/a.txt.json"] == terminal


def test_a_replay_whose_execution_is_lost_is_found_by_the_sweep(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(cloud, function, "a.txt")
    replayed(function, capsys)
    cloud.executions.end_all()
    capsys.readouterr()
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["started"] == 1
    conclude(cloud, function, {"prediction": GOOD})
    assert [name.partition("/")[0] for name in cloud.documents()] == ["results"]


def test_the_sweep_finishes_an_interrupted_replacement(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = fail(cloud, function, "a.txt")
    replayed(function, capsys)
    argument = cloud.executions.arguments[1]
    cloud.fault("DELETE", "failed/", status=403)
    body = {"argument": argument, "lineage": {"execution": "second"}, "prediction": GOOD}
    assert function("postprocess").post("/", json=body).status_code == 503
    assert len(cloud.documents()) == 2
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    assert list(cloud.documents()) == [f"results/{document}.json"]
    assert argument["job"] == job.of_object(cloud.input.name, "a.txt", int(argument["input"]["generation"]))


def closing_line(function: Function, capsys: pytest.CaptureFixture[str], message_id: str, **replay: Any) -> Any:
    capsys.readouterr()
    request = published(json.dumps({"replay": replay}).encode(), message_id)
    assert function("on_message").post("/", **request).status_code == 200
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_times_are_taken_inclusively_and_without_a_zone_as_utc(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(cloud, function, "a.txt")
    finished = cloud.only_document()["timing"]["finished_at"]
    earlier = {"until": finished.replace("2", "1", 1)}
    later = {"since": finished.replace("2", "3", 1)}
    assert replayed(function, capsys, **earlier) == replayed(function, capsys, **later) == {}
    naive = finished.removesuffix("Z")
    assert replayed(function, capsys, since=naive, until=naive, prefix="nothing") == {}
    assert replayed(function, capsys, since=finished, until=naive) == {"started": 1}


def test_what_is_no_failed_document_is_read_over(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(cloud, function, "b.txt")
    other = json.dumps(cloud.only_document() | {"schema": "failed/v2"})
    for name, text in (("a", "not JSON"), ("c", "[]"), ("d", other)):
        cloud.output.blob(f"failed/{name}.json").upload_from_string(text)
    cloud.output.blob("failed/e.csv").upload_from_string("a,b")
    line = closing_line(function, capsys, "1")
    assert (line["read"], line["started"], line.get("running", 0)) == (4, 1, 0)
    for name in ("a.json", "c.json", "d.json", "e.csv"):
        cloud.output.delete_blob(f"failed/{name}")


def test_a_replay_goes_through_all_pages(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "PAGE", 2)
    for number in range(5):
        fail(cloud, function, f"{number}.txt")
    line = closing_line(function, capsys, "1", limit=3)
    assert (line["read"], line["started"], line["remaining"]) == (3, 3, 1)
    assert cloud.executions.published == []
    assert replayed(function, capsys) == {"running": 3, "started": 2}


def test_a_message_reads_so_many_documents_and_the_next_goes_on(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "MAX_READ", 2)
    monkeypatch.setattr(replay_module, "PAGE", 2)
    documents = [fail(cloud, function, f"{number}.txt", "cuda" if number == 3 else "broken") for number in range(5)]
    line = closing_line(function, capsys, "1", code="cuda")
    assert (line["read"], line.get("started", 0)) == (2, 0)
    ((_, following),) = cloud.executions.published
    assert following == {"replay": {"code": "cuda", "limit": 1000, "after": f"{documents[2]}.json"}}
    cloud.executions.published.clear()
    line = closing_line(function, capsys, "2", **following["replay"])
    assert (line["read"], line["started"]) == (2, 1)
    ((_, following),) = cloud.executions.published
    assert following == {"replay": {"code": "cuda", "limit": 999, "after": f"{documents[4]}.json"}}


def test_what_needs_an_execution_of_its_own_is_left_once_the_hour_is_used_up(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "PAGE", 3)
    monkeypatch.setattr(replay_module, "CONCURRENCY", 2)
    for number in range(5):
        fail(cloud, function, f"{number}.csv", content=TABLE)
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1")
    line = closing_line(function, capsys, "1")
    assert (line["read"], line["started"], line["throttled"], line["remaining"]) == (5, 1, 1, 3)
    assert cloud.executions.published == []


def test_what_can_share_an_execution_is_replayed_by_a_collection_once_the_hour_is_used_up(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        fail(cloud, function, f"{number}.txt")
    before = len(cloud.executions.created)
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "2")
    line = closing_line(function, capsys, "1", limit=4)
    assert (line["started"], line["postponed"], line["read"]) == (2, 2, 4)
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "3")
    assert function("on_message").post("/", **published(b'{"collect": {}}')).status_code == 200
    assert [argument["kind"] for argument in cloud.executions.arguments[before:]] == ["text", "text", "microbatch"]


def test_a_replayed_job_tells_which_message_asked_for_it(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(cloud, function, "a.txt")
    closing_line(function, capsys, "4711")
    first, second = cloud.executions.arguments
    assert second["event_id"] == "4711"
    assert second["received_at"] > first["received_at"]
    assert (second["kind"], second["document"]) == (first["kind"], first["document"])


def test_a_failed_document_beside_its_result_is_removed_by_a_replay(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = fail(cloud, function, "a.txt")
    replayed(function, capsys)
    cloud.fault("DELETE", "failed/", status=403)
    body = {"argument": cloud.executions.arguments[1], "lineage": {"execution": "second"}, "prediction": GOOD}
    assert function("postprocess").post("/", json=body).status_code == 503
    assert replayed(function, capsys) == {"completed": 1}
    assert list(cloud.documents()) == [f"results/{document}.json"]
    assert len(cloud.executions.created) == 2


@pytest.mark.parametrize("replay", [{"partial": 1}, {"partial": "yes"}, {"after": 7}, {"limit": 1.0}], ids=str)
def test_a_replay_with_a_value_of_another_type_is_rejected(cloud: Cloud, function: Function, replay: Any) -> None:
    assert function("on_message").post("/", **published(json.dumps({"replay": replay}).encode())).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"


@pytest.mark.parametrize("limit", [1, 10_000, 10_000_000, None])
def test_the_smallest_and_the_largest_limit_are_taken(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], limit: int | None
) -> None:
    fail(cloud, function, "a.txt")
    assert replayed(function, capsys, limit=limit) == {"started": 1}


def test_a_replay_has_the_parameters_of_the_first_attempt_though_the_input_s_have_changed(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(cloud, function, "a.txt", metadata={"top_k": "2"})
    blob = cloud.input.get_blob("a.txt")
    blob.metadata = {"top_k": "5"}
    blob.patch()
    assert replayed(function, capsys) == {"started": 1}
    assert [argument["parameters"] for argument in cloud.executions.arguments] == [{"top_k": 2}] * 2


def test_a_message_that_is_gone_ends_as_a_rejection(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    function("on_message").post("/", **published(b'{"instances": [{"text": "a"}]}'))
    conclude(cloud, function, broken())
    (failed,) = cloud.documents()
    for blob in cloud.client.list_blobs(cloud.work):
        blob.delete()
    assert replayed(function, capsys) == {"rejected": 1}
    assert list(cloud.documents()) == [failed.replace("failed", "rejected", 1)]


def test_a_document_without_an_input_cannot_be_replayed_and_the_others_are(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    document = published(b"no JSON", "77", {"CloudPubSubDeadLetterSourceDeliveryCount": "5"})
    assert function("on_dead_letter").post("/", **document).status_code == 200
    fail(cloud, function, "a.txt")
    assert replayed(function, capsys) == {"started": 1, "unreplayable": 1}


def test_a_replayed_job_continues_the_trace_of_the_message_that_asked_for_it(cloud: Cloud, function: Function) -> None:
    fail(cloud, function, "a.txt")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = published(b'{"replay": {}}')
    request["headers"]["traceparent"] = trace
    assert function("on_message").post("/", **request).status_code == 200
    assert cloud.executions.arguments[1]["trace"].split("-")[1] == trace.split("-")[1]


def test_a_replay_keeps_the_notes_on_the_choice_of_its_model(
    cloud: Cloud, function: Function, bucket: ModelsBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.models(entry("sentiment"))
    bucket.traffic(sentiment=split(1.0))
    fail(cloud, function, "a.txt")
    (notes,) = [argument["notes"] for argument in cloud.executions.arguments]
    choice._files.cache_clear()
    bucket.traffic()
    assert replayed(function, capsys) == {"started": 1}
    assert cloud.executions.arguments[1]["notes"] == notes
    conclude(cloud, function, {"prediction": GOOD})
    assert cloud.only_document()["routing"]["notes"] == notes


# --- many at a time --------------------------------------------------------------------------------


def fail_many(cloud: Cloud, function: Function, count: int, **metadata: str) -> list[str]:
    return [fail(cloud, function, f"{number:02}.txt", metadata=metadata or None) for number in range(count)]


def finish(cloud: Cloud, function: Function, since: int) -> None:
    """Runs the executions that were created since as the workflow would."""
    for execution in cloud.executions.created[since:]:
        run(cloud, function, execution)


@pytest.mark.release
def test_many_texts_are_replayed_by_one_execution_with_a_document_each(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = fail_many(cloud, function, 30, top_k="2")
    line = closing_line(function, capsys, "1")
    assert (line["read"], line["started"], line["executions"]) == (30, 30, 1)
    assert replayed(function, capsys) == {"running": 30}
    finish(cloud, function, 30)
    contents = cloud.documents()
    assert list(contents) == [f"results/{document}.json" for document in documents]
    for content in contents.values():
        assert [attempt["error"]["code"] for attempt in content["attempts"]] == ["broken"]
        assert (content["status"], content["parameters"]["top_k"]) == ("succeeded", 2)
    assert replayed(function, capsys) == {}


def test_a_replay_of_few_runs_each_alone(cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    fail_many(cloud, function, replay_module.FEW + 1)
    assert closing_line(function, capsys, "1", limit=replay_module.FEW)["started"] == replay_module.FEW
    assert {execution.labels["kind"] for execution in cloud.executions.created} == {"text"}


def test_models_parameters_and_kinds_are_replayed_apart(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "FEW", 0)
    for number in range(3):
        fail(cloud, function, f"{number}.txt")
        fail(cloud, function, f"{number}-two.txt", metadata={"top_k": "2"})
        fail(cloud, function, f"{number}-own.txt", metadata={"model": "own"})
        fail(cloud, function, f"{number}.csv", content=TABLE)
    line = closing_line(function, capsys, "1")
    assert (line["started"], line["executions"]) == (12, 3)
    kinds = Counter(execution.labels["kind"] for execution in cloud.executions.created[12:])
    assert kinds == {"microbatch": 3, "table": 3}


def test_the_same_inputs_are_predicted_on_anew_by_each_replay(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "FEW", 0)
    fail_many(cloud, function, 3)
    assert closing_line(function, capsys, "1")["executions"] == 1
    with monkeypatch.context() as patch:
        patch.setattr(gpu, "judge", lambda _: {"error": {"code": "inference_failed", "message": "It broke."}})
        finish(cloud, function, 3)
    assert [content["status"] for content in cloud.documents().values()] == ["failed"] * 3
    cloud.executions.end_all()
    assert closing_line(function, capsys, "2")["executions"] == 1
    batch = prepared(function, cloud.executions.created[-1])
    output = batch["prefix"].removeprefix(f"gs://{cloud.work.name}/") + "0.out.jsonl"
    assert not cloud.work.blob(output).exists(), "that of the first replay would fail them again"
    finish(cloud, function, 4)
    assert [content["status"] for content in cloud.documents().values()] == ["succeeded"] * 3


@pytest.mark.release
def test_beyond_the_hour_s_executions_they_wait_for_a_collection(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "FEW", 0)
    monkeypatch.setenv("MICRO_BATCH_SIZE", "3")
    documents = fail_many(cloud, function, 10)
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "2")
    line = closing_line(function, capsys, "1")
    assert (line["started"], line["executions"], line["postponed"]) == (6, 2, 4)
    assert replayed(function, capsys) == {"running": 6}
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "3")
    assert function("on_message").post("/", **published(b'{"collect": {}}')).status_code == 200
    finish(cloud, function, 10)
    assert list(cloud.documents()) == [f"results/{document}.json" for document in documents]


def test_one_that_cannot_be_started_keeps_no_other_from_it(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "FEW", 0)
    fail_many(cloud, function, 4)
    third = cloud.executions.arguments[2]["job"]
    cloud.fault("POST", f"name=outcomes/{third}", status=403)
    line = closing_line(function, capsys, "1")
    assert (line["started"], line["failed"]) == (3, 1)
    assert replayed(function, capsys) == {"running": 3, "started": 1}


def split_orders(cloud: Cloud) -> list[dict[str, Any]]:
    """The orders published since the last call."""
    published_orders = [body["replay"] for _, body in cloud.executions.published]
    cloud.executions.published.clear()
    return published_orders


def test_an_order_for_all_splits_into_orders_for_parts_that_lack_and_repeat_nothing(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_orders, "PART", 4)
    documents = fail_many(cloud, function, 10)
    assert closing_line(function, capsys, "1", limit=None, code="broken")["orders"] == 3
    parts = split_orders(cloud)
    names = [f"{documents[index]}.json" for index in (0, 4, 8)]
    assert parts == [
        {"code": "broken", "limit": 4, "after": names[0], "before": names[1]},
        {"code": "broken", "limit": 4, "after": names[1], "before": names[2]},
        {"code": "broken", "limit": 2, "after": names[2]},
    ]
    started = [replayed(function, capsys, **part) for part in reversed(parts)]
    assert started == [{"started": 2}, {"started": 4}, {"started": 4}]
    assert not split_orders(cloud)


def test_a_large_limit_is_shared_among_the_parts(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_orders, "PART", 2)
    fail_many(cloud, function, 9)
    assert closing_line(function, capsys, "1", limit=5)["orders"] == 3
    parts = split_orders(cloud)
    assert [part["limit"] for part in parts] == [2, 2, 1]
    assert sum(replayed(function, capsys, **part)["started"] for part in parts) == 5
    assert replayed(function, capsys, limit=5, code="other") == {}, "a filter must see all documents"
    assert not split_orders(cloud)


def test_a_very_large_order_splits_in_several_messages(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_orders, "PART", 2)
    monkeypatch.setattr(replay_orders, "MAX_PARTS", 2)
    documents = fail_many(cloud, function, 9)
    closing_line(function, capsys, "1", limit=None)
    *parts, following = split_orders(cloud)
    assert following == {"limit": None, "after": f"{documents[4]}.json"}
    closing_line(function, capsys, "2", **following)
    *others, following = split_orders(cloud)
    assert following == {"limit": None, "after": f"{documents[8]}.json"}
    orders = [*parts, *others, following]
    assert sum(replayed(function, capsys, **order)["started"] for order in orders) == 9


@pytest.mark.release
def test_an_order_that_was_killed_halfway_is_finished_by_its_redelivery_and_the_sweep(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "FEW", 0)
    documents = fail_many(cloud, function, 9)
    assert replayed(function, capsys, limit=3) == {"started": 3}
    for argument in cloud.executions.arguments[3:6]:  # reopened, and claimed by the handler that died
        name = f"failed/{argument['document']}.json"
        assert outcomes.reopen(cloud.work, argument["job"], name, cloud.documents()[name])
        claims = Claims(cloud.work, 60)
        if argument != cloud.executions.arguments[5]:
            claims.take_over(claims.read(argument["job"]), Job.parse(argument))
    assert replayed(function, capsys) == {"running": 5, "started": 4}
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    finish(cloud, function, 9)
    assert list(cloud.documents()) == [f"results/{document}.json" for document in documents]
    assert [len(content["attempts"]) for content in cloud.documents().values()] == [1] * 9
