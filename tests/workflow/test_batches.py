"""Large batches in workflow.yaml: shards that wait for capacity, the GPU job's tasks and runs, and the cut job."""

from typing import Any

import pytest

from tests.workflow.test_workflow import (
    BATCH,
    FORECAST,
    GPU_JOB,
    PREDICTION,
    PREPARED,
    SUMMARY,
    Hasty,
    Services,
    execute,
)

CUT_JOB = "projects/p/locations/l/jobs/cut-job"
FULL = (429, "Rate exceeded.")
BROKEN = (500, {"error": {"code": "storage_failed", "message": "No."}})
NO_CAPACITY = [
    FULL,
    (429, {"error": {"code": "overloaded", "message": "The queue is full."}}),
    (500, "The request was aborted because there was no available instance."),
    (503, {"error": {"code": "overloaded", "message": "Too many shards are in progress."}}),
]
NOT_CAPACITY = [
    (500, "Internal Server Error"),
    (500, {"error": {"code": "internal", "message": "There was no available instance."}}),
    (503, "Service Unavailable"),
    (503, {"error": {"code": "unavailable", "message": "The model failed."}}),
    (504, "upstream request timeout"),
    (404, {"error": {"code": "model_not_found", "message": "No."}}),
]
FEW = {"MAX_RETRIES": "1", "CAPACITY_RETRIES": "9"}
IN_JOB = {"GPU_JOB": GPU_JOB, "JOB_THRESHOLD_RECORDS": "24", "JOB_TASKS": "2"}


@pytest.mark.parametrize("answer", NO_CAPACITY)
def test_a_shard_that_meets_no_capacity_waits(answer: tuple[int, Any]) -> None:
    services = Services(preprocess=[(200, BATCH | {"shards": 30})], predict_shard=[*[answer] * 25, (200, SUMMARY)])
    clock = Hasty()
    assert execute(services, clock, variables=FEW | {"SHARD_CONCURRENCY": "20"}, kind="records").state == "SUCCEEDED"
    assert services.concluded["batch"]["errors"] == []
    assert len(services.requests["/predict-shard"]) == 25 + 30
    assert 30 in clock.waits


@pytest.mark.parametrize("answer", NOT_CAPACITY)
def test_a_shard_that_is_broken_does_not_wait(answer: tuple[int, Any]) -> None:
    services = Services(preprocess=[(200, BATCH)], predict_shard=[*[answer] * 2, (200, SUMMARY)])
    clock = Hasty()
    variables = {"MAX_RETRIES": "1", "SHARD_CONCURRENCY": "1"}
    execute(services, clock, variables=variables, kind="records")
    assert 30 not in clock.waits
    assert services.concluded["batch"]["errors"]


def test_most_of_very_many_shards_are_left_to_a_replay_only_if_they_are_broken() -> None:
    script = [answer for _ in range(15) for answer in (FULL, FULL, BROKEN)]
    services = Services(preprocess=[(200, BATCH | {"shards": 500})], predict_shard=[*script, (200, SUMMARY)])
    execute(services, variables=FEW, kind="records")
    assert len(services.requests["/predict-shard"]) == len(script) + 500 - 15
    assert len(services.concluded["batch"]["errors"]) == 15


def test_a_shard_waits_for_a_limited_time() -> None:
    services = Services(preprocess=[(200, BATCH | {"shards": 1})], predict_shard=[FULL])
    clock = Hasty()
    execute(services, clock, variables=FEW, kind="records")
    assert clock.waits == [1, *(wait for pause in [30, *[60] * 8] for wait in (pause, 1))]
    assert services.concluded["batch"]["errors"][0]["status"] == 429


@pytest.mark.parametrize("service", ["preprocess", "predict", "postprocess", "forecast"])
def test_no_step_of_an_input_fails_for_want_of_capacity(service: str) -> None:
    answers: dict[str, list[tuple[int, Any]]] = {
        "preprocess": [(200, PREPARED)],
        "predict": [(200, PREDICTION)],
        "postprocess": [(200, {"status": "succeeded", "document": "gs://out/doc.json", "job": "7"})],
        "forecast": [(200, FORECAST)],
    }
    answers[service] = [*[FULL] * 7, *answers[service]]
    kind = "timeseries" if service == "forecast" else "image"
    assert execute(Services(**answers), variables=FEW, kind=kind).state == "SUCCEEDED"


def test_all_regions_are_tried_again_where_none_has_capacity() -> None:
    services = Services(preprocess=[(200, PREPARED)], a__predict=[*[FULL] * 3, (200, PREDICTION)], b__predict=[FULL])
    execute(services, variables=FEW, regions=("/a/", "/b/"))
    assert services.concluded["prediction"] == PREDICTION
    assert len(services.requests["/b//predict"]) == 2


# --- jobs ------------------------------------------------------------------------------------------


def run(name: str, *succeeded: int, tasks: int = 2) -> dict[str, list[tuple[int, Any]]]:
    """A job whose runs end with so many of their tasks."""
    names = [f"{name}/executions/e{number}" for number in range(len(succeeded))]
    ended = [
        {"name": each, "taskCount": tasks, "succeededCount": count, "completionTime": "2026-01-01T00:00:00Z"}
        for each, count in zip(names, succeeded, strict=True)
    ]
    started = [(200, {"name": "o", "metadata": {"name": each}}) for each in names]
    return {f"v2/{name}:run": started, **{f"v2/{each['name']}": [(200, each)] for each in ended}}


def status(done: int) -> tuple[int, Any]:
    return 200, {"state": "running", "status": "succeeded", "shards": {"total": 3, "done": done}}


def started(services: Services, job: str = GPU_JOB) -> list[dict[str, Any]]:
    return [request["body"]["overrides"] for request in services.requests[f"/v2/{job}:run"]]


@pytest.mark.parametrize(("tasks", "count"), [(1, 2), (2, 2), (3, 3), (50, 3)])
def test_the_gpu_job_has_as_many_tasks_as_its_batch_takes(tasks: int, count: int) -> None:
    services = Services(preprocess=[(200, BATCH | {"tasks": tasks})], **run(GPU_JOB, count, tasks=count))
    assert execute(services, variables=IN_JOB, kind="records").state == "SUCCEEDED"
    assert [overrides["taskCount"] for overrides in started(services)] == [count]


@pytest.mark.parametrize(
    ("reports", "runs", "errors"),
    [
        ([2], 2, 0),  # after progress, the second run does the rest
        ([0], 1, 1),
        ([1, 1, 1, 1], 2, 1),  # the second run made no progress
        ([1, 2, 2, 2, 2], 2, 0),
    ],
)
def test_the_gpu_job_runs_again_while_it_makes_progress(reports: list[int], runs: int, errors: int) -> None:
    counts = [0, *[2 if errors == 0 else 1] * 5]
    answers = [status(0), *[answer for done in reports for answer in (status(done), status(done))]]
    services = Services(preprocess=[(200, BATCH)], postprocess=answers, **run(GPU_JOB, *counts))
    execute(services, variables=IN_JOB, kind="records")
    assert len(started(services)) == runs
    assert len(services.concluded["batch"]["errors"]) == errors


def test_a_job_that_cannot_be_started_yet_waits() -> None:
    quota = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded."}}
    answers = run(GPU_JOB, 2)
    answers[f"v2/{GPU_JOB}:run"] = [*[(429, quota)] * 15, *answers[f"v2/{GPU_JOB}:run"]]
    services, clock = Services(preprocess=[(200, BATCH)], **answers), Hasty()
    assert execute(services, clock, variables=IN_JOB, kind="records").state == "SUCCEEDED"
    assert services.concluded["batch"]["errors"] == []
    assert 60 in clock.waits


def test_more_shards_than_an_execution_has_steps_for_go_to_the_job() -> None:
    services = Services(preprocess=[(200, BATCH | {"shards": 2001})], **run(GPU_JOB, 2))
    execute(services, variables={"GPU_JOB": GPU_JOB, "JOB_TASKS": "2"}, kind="records")
    assert "/predict-shard" not in services.requests


ORDER = {"mode": "cut", "argument": "gs://work/shards/7/argument.json", "revision": "preprocess-1"}


def test_a_very_large_batch_is_cut_by_the_job_and_then_predicted_on() -> None:
    services = Services(
        preprocess=[(200, ORDER), FULL, (200, BATCH)], predict_shard=[(200, SUMMARY)], **run(CUT_JOB, 1, tasks=1)
    )
    assert execute(services, variables={"CUT_JOB": CUT_JOB}, kind="table").state == "SUCCEEDED"
    assert started(services, CUT_JOB) == [
        {"containerOverrides": [{"env": [{"name": "CUT_ARGUMENT", "value": ORDER["argument"]}]}]}
    ]
    assert len(services.requests["/predict-shard"]) == 3
    assert services.concluded["batch"] == BATCH | {"errors": []}


def test_what_the_cut_job_refuses_is_rejected() -> None:
    refusal = {"error": {"code": "input_gone", "message": "The generation no longer exists."}}
    services = Services(preprocess=[(200, ORDER), (422, refusal)], **run(CUT_JOB, 1, tasks=1))
    assert execute(services, variables={"CUT_JOB": CUT_JOB}, kind="table").result["status"] == "rejected"
    assert services.concluded["error"]["code"] == "input_gone"


def test_a_batch_that_the_job_could_not_cut_is_a_failure() -> None:
    services = Services(preprocess=[(200, ORDER)], **run(CUT_JOB, 0, tasks=1))
    assert execute(services, variables={"CUT_JOB": CUT_JOB}, kind="table").state == "FAILED"
    error = services.concluded["error"]
    assert (error["step"], error["code"]) == ("preprocess", None)
    assert error["message"] == (
        f"The cut job failed in {CUT_JOB}/executions/e0; a replay continues at its last checkpoint."
    )
