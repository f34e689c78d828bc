"""Inputs that may wait: until when, what starts them and together with what, and that none is lost meanwhile."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.cloud import storage

from messaging import runs
from messaging.lanes import Lanes
from pipeline import waiting
from pipeline.jobs import job
from pipeline.routing import choice
from pipeline.settings import Settings
from tests.functions.batches.test_microbatches import (
    PNG,
    Collect,
    announce,
    collect,
    concluded,
    kinds,
    prepared,
    run,
    statuses,
    subscribed,
)
from tests.functions.cloud import Cloud, Fault
from tests.functions.conftest import Function, finalized, published
from tests.functions.models_bucket import ModelsBucket, entry, split

__all__ = ["collect", "subscribed"]  # fixtures

pytestmark = pytest.mark.usefixtures("check_documents")

HOUR = {"max_wait": "1h"}


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def upload(
    cloud: Cloud, function: Function, name: str, data: bytes | str = "I liked it.", *, since: float = 0, **metadata: str
) -> storage.Blob:
    """Uploads an object and delivers its event, as if `since` seconds ago."""
    blob = cloud.upload(name, data, metadata=metadata or None)
    deliver(function, blob, ago(since))
    return blob


def deliver(function: Function, blob: storage.Blob, created: str | None = None, status: int = 200) -> None:
    answer = function("on_upload").post("/", **finalized(blob, timeCreated=created or ago(0)))
    assert answer.status_code == status, answer.text


def claim(cloud: Cloud, blob: storage.Blob) -> dict[str, Any]:
    return cloud.claim(job.of_object(blob.bucket.name, blob.name, blob.generation))


def notes(cloud: Cloud) -> list[str]:
    return [blob.name for blob in cloud.client.list_blobs(cloud.work, prefix="waiting/")]


def run_by(cloud: Cloud) -> list[str | None]:
    return [argument.get("run_by") for argument in cloud.executions.arguments]


def swept(function: Function, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    capsys.readouterr()
    assert function("on_message").post("/", **published(b'{"sweep": {}}')).status_code == 200
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    return {word: line[word] for word in ("started", "running", "waiting", "rejected") if line.get(word)}


# --- until when ------------------------------------------------------------------------------------


def test_an_input_waits_until_one_of_its_run_is_due(cloud: Cloud, function: Function, collect: Collect) -> None:
    first = upload(cloud, function, "a.txt", since=3500, **HOUR)
    second = upload(cloud, function, "b.txt", since=10, **HOUR)
    assert not cloud.executions.created
    assert [claim(cloud, blob)["state"] for blob in (first, second)] == ["waiting", "waiting"]
    assert collect()["executions"] == 0
    third = upload(cloud, function, "c.txt", since=3590, **HOUR)
    line = collect()
    assert (line["accepted"], line["executions"]) == (3, 1)
    (execution,) = cloud.executions.created
    for blob in (first, second, third):
        assert (claim(cloud, blob)["state"], claim(cloud, blob)["execution"]) == ("started", execution.name)
    assert notes(cloud) == []
    answer = run(cloud, function, execution)
    assert (answer["status"], answer["members"]) == ("succeeded", {"succeeded": 3})
    assert statuses(cloud) == dict.fromkeys(("a.txt", "b.txt", "c.txt"), "succeeded")
    assert collect()["executions"] == 0


def test_a_document_counts_what_its_wait_took(cloud: Cloud, function: Function, collect: Collect) -> None:
    upload(cloud, function, "a.txt", since=3590, **HOUR)
    collect()
    run(cloud, function, cloud.executions.created[0])
    document = cloud.only_document()
    assert "max_wait" not in document["parameters"]
    assert document["cost"]["total"]["parts"]["storage"] > 8 * 0.005e-3


@pytest.mark.parametrize(
    ("variable", "metadata", "waits"),
    [
        ("", {}, False),
        ("0", {}, False),
        ("1h", {}, True),
        ("1h", {"max_wait": "0"}, False),
        ("", {"max_wait": "90"}, True),
        ("", {"Max-Wait": "15m"}, True),
        ("in/=1h", {}, True),
        ("0,in/=10m,in/a=0", {}, False),
        ("1h,in/=0", {}, False),
        ("in/a=1h,in/=0", {}, True),
        ("out/=1h", {}, False),
    ],
    ids=str,
)
def test_parameter_prefix_and_deployment_decide_in_this_order(
    cloud: Cloud,
    function: Function,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    metadata: dict[str, str],
    waits: bool,
) -> None:
    monkeypatch.setenv("MAX_WAIT", variable)
    upload(cloud, function, "in/a.txt", **metadata)
    assert len(notes(cloud)) == int(waits)
    assert len(cloud.executions.created) == int(not waits)


def test_a_sidecar_s_wait_counts(cloud: Cloud, function: Function) -> None:
    cloud.upload("a.txt.parameters.json", '{"max_wait": 3600}')
    upload(cloud, function, "a.txt")
    assert len(notes(cloud)) == 1


@pytest.mark.parametrize("value", ["25h", "2d", "-1", "soon", "1.5h", "86401", ""])
def test_a_wait_that_is_too_long_or_no_duration_is_rejected(cloud: Cloud, function: Function, value: str) -> None:
    upload(cloud, function, "a.txt", max_wait=value)
    assert cloud.only_document()["reason"]["code"] == "invalid_parameters"


def test_batches_and_series_start_at_once(cloud: Cloud, function: Function) -> None:
    upload(cloud, function, "a.csv", "id,review\n1,A film that I liked a lot\n2,A film that I did not like\n", **HOUR)
    upload(cloud, function, "a.jsonl", '{"text": "a"}\n{"text": "b"}\n', **HOUR)
    upload(
        cloud, function, "b.csv", "date,value\n" + "".join(f"2026-01-{day:02},{day}\n" for day in range(1, 29)), **HOUR
    )
    assert kinds(cloud) == {"table": 1, "records": 1, "timeseries": 1}
    assert notes(cloud) == []


def test_an_event_that_comes_after_the_wait_starts_its_input_at_once(cloud: Cloud, function: Function) -> None:
    upload(cloud, function, "a.txt", since=3700, **HOUR)
    assert kinds(cloud) == {"text": 1}
    assert "due" not in cloud.executions.arguments[0]


@pytest.mark.parametrize("created", ["soon", "9999-12-31T23:59:59Z"])
def test_a_time_that_an_event_states_wrongly_makes_no_input_wait_longer(
    cloud: Cloud, function: Function, created: str
) -> None:
    blob = cloud.upload("a.txt", "I liked it.", metadata=HOUR)
    deliver(function, blob, created)
    due = datetime.fromisoformat(claim(cloud, blob)["argument"]["due"])
    assert due <= datetime.now(UTC) + timedelta(hours=1)


# --- which inputs share a run ----------------------------------------------------------------------


def test_models_parameters_and_kinds_have_runs_of_their_own(cloud: Cloud, function: Function, collect: Collect) -> None:
    for number in range(2):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
        upload(cloud, function, f"{number}.png", PNG, since=3590, **HOUR)
        upload(cloud, function, f"{number}-two.txt", since=3590, top_k="2", **HOUR)
        upload(cloud, function, f"{number}-own.txt", since=3590, model="own", **HOUR)
    upload(cloud, function, "another-wait.txt", max_wait="6h")
    upload(cloud, function, "kind.txt", kind="text", **HOUR)
    upload(cloud, function, "not-due.txt", model="other", **HOUR)
    line = collect()
    assert (line["accepted"], line["executions"]) == (10, 4)
    assert len(notes(cloud)) == 1
    members = Counter(len(prepared_lines(cloud, function, execution)) for execution in cloud.executions.created)
    assert members == {4: 1, 2: 3}
    models = sorted(str((argument["model"] or {}).get("name")) for argument in cloud.executions.arguments)
    assert models == ["None", "None", "None", "own"]


def prepared_lines(cloud: Cloud, function: Function, execution: Any) -> list[bytes]:
    name = prepared(function, execution)["prefix"].removeprefix(f"gs://{cloud.work.name}/") + "0.jsonl"
    return cloud.work.blob(name).download_as_bytes().splitlines()


def test_a_full_run_has_one_more_collection_take_half_of_the_lanes(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MAX_MEMBERS", 4)
    blobs = [upload(cloud, function, f"{number}.txt", since=3590, **HOUR) for number in range(12)]
    collect()
    for topic, order in cloud.executions.published:  # to which those collections add others
        assert topic.endswith("/topics/messages")
        collect(**order["collect"])
    assert 1 <= len(cloud.executions.published) < Settings("in", "work", "out").max_collections
    assert {claim(cloud, blob)["state"] for blob in blobs} == {"started"}
    assert max(Counter(claim(cloud, blob)["execution"] for blob in blobs).values()) == 4, "a run is bounded"
    assert notes(cloud) == []
    assert cloud.work.blob("collections/lanes.json").download_as_bytes() == b"{}"


def test_while_others_hold_all_lanes_a_collection_starts_nothing(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    others = Lanes(cloud.work, 1, timedelta(minutes=1))
    others.take()
    upload(cloud, function, "a.txt", since=3590, **HOUR)
    assert collect()["executions"] == 0
    others.release()
    assert collect()["executions"] == 1


# --- what runs them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "at_once", "engine"),
    [
        ({}, 0, "job"),
        ({}, 30, None),  # an instance of the service is awake anyway
        ({"MIN_INSTANCES": "1"}, 0, None),
        ({"GPU_TYPE": "none"}, 0, None),
    ],
)
def test_the_cheaper_engine_runs_them(
    cloud: Cloud,
    function: Function,
    collect: Collect,
    monkeypatch: pytest.MonkeyPatch,
    env: dict[str, str],
    at_once: int,
    engine: str | None,
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for number in range(at_once):
        upload(cloud, function, f"at-once/{number}.txt")
    for number in range(3):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    collect()
    assert run_by(cloud)[-1] == engine
    assert cloud.executions.created[-1].labels["kind"] == "microbatch"


def test_a_single_input_runs_by_the_job_too(cloud: Cloud, function: Function, collect: Collect) -> None:
    upload(cloud, function, "a.txt", since=3590, **HOUR)
    collect()
    assert (kinds(cloud), run_by(cloud)) == ({"microbatch": 1}, ["job"])
    run(cloud, function, cloud.executions.created[0])
    assert statuses(cloud) == {"a.txt": "succeeded"}


def test_an_unknown_rate_does_not_keep_a_run_from_starting(
    cloud: Cloud, function: Function, collect: Collect, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.executions.list_refusals = [grpc.StatusCode.PERMISSION_DENIED] * 2
    upload(cloud, function, "a.txt", since=3590, **HOUR)
    assert collect()["executions"] == 1


# --- while they wait -------------------------------------------------------------------------------


def test_a_repeated_event_changes_nothing(cloud: Cloud, function: Function, collect: Collect) -> None:
    created = ago(10)
    blob = cloud.upload("a.txt", "I liked it.", metadata=HOUR)
    for _ in range(2):
        deliver(function, blob, created)
    assert (len(notes(cloud)), kinds(cloud)) == (1, {})
    assert claim(cloud, blob)["state"] == "waiting"


def test_a_sweep_leaves_them_alone_until_they_are_overdue(
    cloud: Cloud, function: Function, collect: Collect, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = upload(cloud, function, "a.txt", since=10, **HOUR)
    assert swept(function, capsys) == {"waiting": 1}
    outdate(cloud, blob)
    assert swept(function, capsys) == {"started": 1}
    assert kinds(cloud) == {"text": 1}
    assert collect()["executions"] == 0


def outdate(cloud: Cloud, blob: storage.Blob) -> None:
    """Lets the wait be over by two hours, as if no collection had come."""
    state = claim(cloud, blob)
    state["argument"]["due"] = "2026-01-01T00:00:00Z"
    name = f"claims/{state['argument']['job']}.json"
    old = cloud.work.get_blob(name)
    blob = cloud.work.blob(name)
    blob.metadata = old.metadata
    blob.upload_from_string(json.dumps(state))


def test_a_lost_event_is_found_by_the_sweep_and_waits(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.upload("a.txt", "I liked it.", metadata=HOUR)
    assert swept(function, capsys) == {"running": 1} or notes(cloud)
    assert (len(notes(cloud)), kinds(cloud)) == (1, {})


@pytest.mark.parametrize("how", ["deleted", "overwritten"])
def test_an_input_that_vanishes_while_it_waits_is_rejected_and_no_other(
    cloud: Cloud, function: Function, collect: Collect, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    gone = upload(cloud, function, "a.txt", since=3500, **HOUR)
    upload(cloud, function, "b.txt", since=3590, **HOUR)
    gone.delete()
    if how == "overwritten":
        upload(cloud, function, "a.txt", "Another generation.", **HOUR)
    assert swept(function, capsys).get("waiting", 0) >= 1
    assert not cloud.documents(), "it is decided with its run"
    collect()
    (execution,) = cloud.executions.created
    answer = run(cloud, function, execution)
    assert answer["members"] == {"rejected": 1, "succeeded": 2 if how == "overwritten" else 1}
    (rejected,) = cloud.documents("rejected").values()
    assert (rejected["reason"]["code"], rejected["input"]["generation"]) == ("input_gone", str(gone.generation))


def test_an_overdue_input_that_has_vanished_is_rejected_by_the_sweep(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = upload(cloud, function, "a.txt", **HOUR)
    blob.delete()
    outdate(cloud, blob)
    assert swept(function, capsys) == {"rejected": 1}
    assert cloud.only_document()["reason"]["code"] == "input_gone"


# --- failures --------------------------------------------------------------------------------------


def test_a_note_that_cannot_be_written_leaves_the_event_to_be_delivered_again(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", "I liked it.", metadata=HOUR)
    cloud.fault("POST", "name=waiting/", status=403)
    deliver(function, blob, status=503)
    assert not list(cloud.client.list_blobs(cloud.work, prefix="claims/"))
    deliver(function, blob)
    assert (len(notes(cloud)), claim(cloud, blob)["state"]) == (1, "waiting")


def test_a_claim_that_cannot_be_updated_leaves_the_event_to_be_delivered_again(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    blob = cloud.upload("a.txt", "I liked it.", metadata=HOUR)
    is_update = lambda _, target: "name=claims/" in target and "ifGenerationMatch=0" not in target  # noqa: E731
    cloud.faulty.faults.append(Fault(is_update, status=403))
    created = ago(3590)
    deliver(function, blob, created, status=503)
    deliver(function, blob, created)
    assert (len(notes(cloud)), claim(cloud, blob)["state"]) == (1, "waiting")
    assert collect()["executions"] == 1


def test_an_outdated_note_is_deleted(cloud: Cloud, function: Function, collect: Collect) -> None:
    blob = upload(cloud, function, "a.txt", since=3590, **HOUR)
    (name,) = notes(cloud)
    content = cloud.work.get_blob(name)
    assert collect()["executions"] == 1
    again = cloud.work.blob(name)
    again.metadata = content.metadata
    again.upload_from_string("{}")
    assert collect()["executions"] == 0
    assert notes(cloud) == []
    assert claim(cloud, blob)["state"] == "started"


def test_a_start_that_fails_is_repeated_by_the_next_collection(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(3):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    cloud.executions.refusals = [grpc.StatusCode.UNAVAILABLE]
    collect(503)
    assert len(notes(cloud)) == 3
    assert collect()["accepted"] == 3
    (execution,) = cloud.executions.created
    run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * 3


def test_a_note_without_a_routed_claim_is_left_to_its_event(cloud: Cloud, function: Function, collect: Collect) -> None:
    blob = upload(cloud, function, "a.txt", since=3590, **HOUR)
    state = claim(cloud, blob)
    state["argument"] |= {"kind": None}
    del state["argument"]["due"]
    cloud.work.blob(f"claims/{state['argument']['job']}.json").upload_from_string(json.dumps(state))
    assert collect()["executions"] == 0
    deliver(function, blob, ago(3700))
    assert kinds(cloud) == {"text": 1}


def test_an_input_that_fails_holds_up_neither_other_runs_nor_notifications(
    cloud: Cloud, function: Function, collect: Collect, subscribed: None
) -> None:
    broken = upload(cloud, function, "broken.txt", since=3590, **HOUR)
    upload(cloud, function, "a.txt", since=3590, **HOUR)
    announce(cloud, cloud.upload("b.txt", "I liked it."))
    name = f"claims/{claim(cloud, broken)['argument']['job']}.json"
    cloud.work.blob(name).upload_from_string("{")
    collect(500)
    assert kinds(cloud) == {"microbatch": 1, "text": 1}
    assert not cloud.executions.uploads.leased


def test_an_execution_that_was_started_unseen_adds_no_second_document(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(2):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    cloud.executions.answers_lost = 1
    collect(503)
    collect()
    first, second = cloud.executions.created
    assert first.labels == second.labels
    for execution in (first, second):
        run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * 2


def test_an_input_that_must_wait_again_within_a_second_keeps_its_note(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    cloud.executions.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    blob = upload(cloud, function, "a.txt")
    collect()
    assert not cloud.executions.refusals
    assert claim(cloud, blob)["state"] == "waiting"
    assert notes(cloud)
    assert collect()["executions"] == 1
    collect()
    assert notes(cloud) == []


def test_a_replay_that_finds_no_execution_left_waits_and_ends_as_any_other(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(2):
        upload(cloud, function, f"{number}.txt")
    error = {"step": "predict", "status": 500, "code": "internal", "message": "It broke."}
    for execution in cloud.executions.created:
        concluded(function, execution, error=error)
    cloud.executions.end_all()
    cloud.executions.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    for _ in range(2):  # the second finds both waiting
        assert function("on_message").post("/", **published(b'{"replay": {}}')).status_code == 200
    assert (len(notes(cloud)), kinds(cloud)) == (2, {"text": 2})
    assert statuses(cloud) == {"0.txt": "failed", "1.txt": "failed"}
    assert collect()["executions"] == 1
    run(cloud, function, cloud.executions.created[-1])
    assert statuses(cloud) == {"0.txt": "succeeded", "1.txt": "succeeded"}
    assert all(len(document["attempts"]) == 1 for document in cloud.documents("results").values())


def test_a_used_up_hour_leaves_them_waiting(
    cloud: Cloud, function: Function, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "1")
    upload(cloud, function, "at-once.txt")
    for number in range(2):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    assert collect()["executions"] == 0
    assert len(notes(cloud)) == 2
    assert kinds(cloud) == {"text": 1}


def test_a_job_that_fails_leaves_documents_whose_replay_runs_each_alone(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(2):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    collect()
    (execution,) = cloud.executions.created
    error = {"step": "gpu_job", "status": None, "code": "gpu_job_failed", "message": "Not every task succeeded."}
    concluded(function, execution, batch=prepared(function, execution) | {"errors": [error]})
    cloud.executions.end_all()
    assert list(statuses(cloud).values()) == ["failed"] * 2
    assert function("on_message").post("/", **published(b'{"replay": {}}')).status_code == 200
    assert kinds(cloud) == {"microbatch": 1, "text": 2}
    assert notes(cloud) == []


def test_a_run_that_leaves_no_document_is_repeated_by_the_sweep(
    cloud: Cloud, function: Function, collect: Collect, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(cloud, function, "a.txt", since=3590, **HOUR)
    upload(cloud, function, "b.txt", since=10, **HOUR)
    collect()
    cloud.executions.end_all()
    assert swept(function, capsys) == {"started": 2}, "also the one that might have waited longer"


def test_a_run_is_confirmed_by_one_write_which_its_inputs_are_found_by(
    cloud: Cloud, function: Function, collect: Collect, capsys: pytest.CaptureFixture[str]
) -> None:
    blobs = [upload(cloud, function, f"{number}.txt", since=3590, **HOUR) for number in range(3)]
    collect()
    (execution,) = cloud.executions.created
    stored = [json.loads(blob.download_as_bytes()) for blob in cloud.client.list_blobs(cloud.work, prefix="claims/")]
    assert {(each["state"], each["execution"]) for each in stored} == {("claimed", None)}
    (run_,) = cloud.client.list_blobs(cloud.work, prefix="runs/")
    assert {f"runs/{each['run']}.json" for each in stored} == {run_.name}
    assert {claim(cloud, blob)["execution"] for blob in blobs} == {execution.name}
    assert swept(function, capsys) == {"running": 3}
    for blob in blobs:
        deliver(function, blob)
    run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * 3
    assert swept(function, capsys) == {}
    assert {claim(cloud, blob)["state"] for blob in blobs} == {"concluded"}
    assert len(cloud.executions.created) == 1


def test_a_run_whose_confirmation_is_lost_is_repeated_after_the_lease_and_adds_no_document(
    cloud: Cloud,
    function: Function,
    collect: Collect,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blobs = [upload(cloud, function, f"{number}.txt", since=3590, **HOUR) for number in range(2)]
    cloud.fault("POST", "name=runs/", status=403)
    assert collect()["accepted"] == 2
    assert swept(function, capsys) == {"running": 2}, "its claims are fresh"
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    for blob in blobs:
        deliver(function, blob, ago(3600))
    assert kinds(cloud) == {"microbatch": 1, "text": 2}
    for execution in cloud.executions.created:
        run(cloud, function, execution)
    assert list(statuses(cloud).values()) == ["succeeded"] * 2


def test_notifications_of_inputs_that_may_wait_are_acknowledged(
    cloud: Cloud, function: Function, collect: Collect, subscribed: None
) -> None:
    blob = cloud.upload("a.txt", "I liked it.", metadata=HOUR)
    announce(cloud, blob)
    announce(cloud, cloud.upload("b.txt", "I liked it."))
    line = collect()
    assert (line["pulled"], line["accepted"], line["executions"]) == (2, 2, 1)
    assert not cloud.executions.uploads.leased
    assert claim(cloud, blob)["state"] == "waiting"


def test_a_plan_has_only_groups_with_an_input_that_is_due() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    listed = [
        waiting.Note(str(number), now + timedelta(seconds=seconds), group)
        for number, (seconds, group) in enumerate([(-10, "a"), (59, "b"), (61, "c"), (3600, "a"), (7200, "b")])
    ]
    assert [[note.job for note in run] for run in runs.plan(listed, now)] == [["0", "3"], ["1", "4"]]


def test_the_longest_prefix_decides() -> None:
    settings = Settings("in", "work", "out", max_wait={"": 60, "a/": 0, "a/b/": 600})
    assert [settings.max_wait_of(name) for name in ("x", "a/x", "a/b/x", "a/bx")] == [60, 0, 600, 0]


def test_an_experiment_runs_on_the_service_which_can_fall_back() -> None:
    settings = Settings("in", "work", "out", max_wait={"": 3600})
    created = "2026-01-01T00:00:00Z"
    alone = job.Job("0", "a.txt/1", "1", created, job.Input("in", "a.txt", 1, 5), "text", created_at=created)
    experiment: job.Experiment = {"id": "e", "arm": "candidate", "share": 0.1, "mode": "split", "stable": "1"}
    model: job.Model = {"name": "sentiment", "version": "2", "experiment": experiment}
    assert runs._engine(settings, [alone], 0.0) == "job"
    assert runs._engine(settings, [alone, replace(alone, model=model)], 0.0) == "service"


# --- after an experiment has ended -----------------------------------------------------------------


@pytest.mark.parametrize("change", [{"mode": "frozen"}, {"candidate": None}, {"candidate": "3", "experiment": "e2"}])
def test_inputs_of_an_experiment_that_ended_while_they_waited_get_a_version_anew(
    cloud: Cloud, function: Function, collect: Collect, bucket: ModelsBucket, change: dict[str, Any]
) -> None:
    bucket.models(entry("sentiment", "1"), entry("sentiment", "2"), entry("sentiment", "3"))
    bucket.traffic(sentiment=split(1.0))
    for number in range(3):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    bucket.traffic(sentiment=split(0.0, **change))
    choice._files.cache_clear()
    assert collect()["executions"] == 1
    (argument,) = cloud.executions.arguments
    assert argument["model"]["version"] == "1"
    answer = run(cloud, function, cloud.executions.created[0])
    assert answer["members"] == {"succeeded": 3}
    arms = [document["routing"].get("experiment", {}).get("arm") for document in cloud.documents().values()]
    assert arms == ["stable" if "experiment" in change else None] * 3


def test_inputs_that_get_different_versions_anew_run_apart(
    cloud: Cloud, function: Function, collect: Collect, bucket: ModelsBucket
) -> None:
    bucket.models(entry("sentiment", "1"), entry("sentiment", "2"), entry("sentiment", "3"))
    bucket.traffic(sentiment=split(1.0))
    for number in range(12):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    bucket.traffic(sentiment=split(0.5, candidate="3", experiment="e2"))
    choice._files.cache_clear()
    line = collect()
    assert line["accepted"] == 12
    assert len(cloud.executions.arguments) == line["executions"] <= 12
    assert {argument["model"]["version"] for argument in cloud.executions.arguments} == {"1", "3"}
    for argument in (each for each in cloud.executions.arguments if each["kind"] == "microbatch"):
        lines = cloud.work.blob(argument["input"]["name"]).download_as_bytes().splitlines()
        assert {json.loads(line)["model"]["version"] for line in lines} == {argument["model"]["version"]}


def test_inputs_whose_model_has_moved_to_an_endpoint_run_alone(
    cloud: Cloud, function: Function, collect: Collect, bucket: ModelsBucket
) -> None:
    endpoint = "projects/p/locations/us-central1/endpoints/7"
    bucket.models(entry("sentiment", "1", engine="vertex", endpoint=endpoint), entry("sentiment", "2"))
    bucket.traffic(sentiment=split(1.0))
    for number in range(2):
        upload(cloud, function, f"{number}.txt", since=3590, **HOUR)
    bucket.traffic(sentiment=split(0.0, mode="frozen"))
    choice._files.cache_clear()
    assert collect()["executions"] == 2
    assert kinds(cloud) == {"text": 2}
    assert [argument["model"]["endpoint"] for argument in cloud.executions.arguments] == [endpoint] * 2
