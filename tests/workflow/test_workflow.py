"""workflow.yaml as deployed, run by the interpreter over real HTTP against scripted services."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from google.auth.jwt import decode

from emulator.workflows import Environment, Observer, Outcome, Runtime, load
from gpu_service.shards import batch as gpu_batch
from gpu_service.shards.shard import Dialect, Shard
from pipeline.jobs.batches import Batch, Names

SOURCE = Path(__file__).parents[2] / "workflow.yaml"
JOB = {
    "job": "0123456789abcdef0123456789abcdef",
    "document": "cat.png/17",
    "event_id": "event-1",
    "received_at": "2026-01-01T00:00:00Z",
    "input": {"bucket": "in", "name": "cat.png", "generation": "17", "size": 9, "content_type": "image/png"},
    "kind": "image",
    "model": None,
    "parameters": {"top_k": 3, "text_column": "not for the GPU service"},
    "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
PREPARED = {"mode": "single", "instances": [{"text": "hello"}], "parameters": {"top_k": 3}, "revision": "preprocess-1"}
PREDICTION = {"predictions": [{"label": "cat", "score": 0.9}], "timing": {"gpu_seconds": 0.1}, "revision": "gpu-1"}
SUMMARY = {"records": 10, "failed": {}, "revision": "gpu-1"}
DONE = {"status": "succeeded", "document": "gs://out/doc.json", "job": JOB["job"]}
FORECAST = {"predictions": [{"date": "2026-01-01"}], "revision": "forecast-1"}
BATCH = {
    "mode": "batch",
    "prefix": "gs://work/shards/7/",
    "shards": 3,
    "records": 25,
    "records_per_shard": 10,
    "format": "csv",
    "model": {"name": "sentiment", "version": "2"},
    "parameters": {"top_k": 1},
    "dialect": {"delimiter": ";", "newline": "\r\n", "mark": True, "decimal": ",", "safe": True},
    "revision": "preprocess-1",
}
GPU_JOB = "projects/p/locations/l/jobs/gpu-job"


class Hasty:
    """A clock whose sleeps return immediately and are recorded."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return 1_767_225_600.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


class Ticking(Hasty):
    """Each reading is ten seconds later than the last."""

    def __init__(self) -> None:
        super().__init__()
        self.time = super().now()

    def now(self) -> float:
        self.time += 10
        return self.time


HANGS = "no response"


class Services:
    """The responses of each path in order, the last one repeated, and every request received."""

    def __init__(self, **answers: list[tuple[int, Any]]) -> None:
        self.answers = {
            "/" + name.replace("__", "//").replace("_", "-"): list(script) for name, script in answers.items()
        }
        self.requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.logs: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.rstrip("/")
        body = await request.json() if request.can_read_body else {}
        self.requests[path].append({"headers": dict(request.headers), "body": body})
        if path == "/postprocess" and path not in self.answers:
            return web.json_response({"status": verdict(body), "document": "gs://out/doc.json", "job": JOB["job"]})
        script = self.answers[path]
        status, content = script.pop(0) if len(script) > 1 else script[0]
        if content is HANGS:
            await asyncio.sleep(3)
        return (
            web.Response(status=status, text=content)
            if isinstance(content, str)
            else web.json_response(content, status=status)
        )

    @property
    def concluded(self) -> dict[str, Any]:
        """The body of the last request to postprocess."""
        return self.requests["/postprocess"][-1]["body"]


def verdict(body: dict[str, Any]) -> str:
    if "error" not in body:
        return "succeeded"
    return "rejected" if body["error"]["code"] else "failed"


def execute(
    services: Services,
    clock: Hasty | None = None,
    regions: tuple[str, ...] = ("",),
    variables: dict[str, str] | None = None,
    observer: Observer | None = None,
    regions_of_job: list[int] | None = None,
    **job: Any,
) -> Outcome:
    order = {"regions": regions_of_job} if regions_of_job else {}
    return asyncio.run(
        _execute(services, clock or Hasty(), regions, variables or {}, observer, {**JOB, **job, **order})
    )


async def _execute(
    services: Services,
    clock: Hasty,
    regions: tuple[str, ...],
    variables: dict[str, str],
    observer: Observer | None,
    job: dict[str, Any],
) -> Outcome:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", services.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    root = "http://{}:{}".format(*runner.addresses[0])
    urls = {
        "PREPROCESS_URL": f"{root}/preprocess",
        "FORECAST_URL": f"{root}/forecast",
        "POSTPROCESS_URL": f"{root}/postprocess",
        "GPU_SERVICE_URL": ",".join(root + region for region in regions),
        **variables,
    }
    try:
        endpoints = {"run": root, "aiplatform": root}
        async with Runtime(clock=clock, endpoints=endpoints, log_sink=services.logs.append) as runtime:
            workflow = load(SOURCE.read_text(), str(SOURCE))
            environment = Environment(variables=urls)
            return await workflow.execute(job, environment=environment, runtime=runtime, observer=observer)
    finally:
        await runner.cleanup()


def test_a_single_input_is_prepared_predicted_and_concluded():
    services = Services(preprocess=[(200, PREPARED)], predict=[(200, PREDICTION)])
    outcome = execute(services, model={"name": "digits", "version": "1"})
    assert outcome.state == "SUCCEEDED", outcome.error
    assert outcome.result == {"status": "succeeded", "document": "gs://out/doc.json", "job": JOB["job"]}
    assert services.requests["/predict"][0]["body"] == {
        "instances": [{"text": "hello"}],
        "model": "digits",
        "version": "1",
        "parameters": {"top_k": 3},
    }
    concluded = services.concluded
    assert concluded["argument"]["document"] == "cat.png/17"
    assert concluded["prediction"] == PREDICTION
    assert concluded["lineage"]["started_at"].startswith("2026-01-01T00:00:00")
    assert concluded["lineage"]["service_revisions"] == {"preprocess": "preprocess-1", "gpu_service": "gpu-1"}


def test_every_call_carries_the_trace_and_a_token_for_its_service():
    services = Services(preprocess=[(200, PREPARED)], predict=[(200, PREDICTION)])
    execute(services)
    for path, requests in services.requests.items():
        headers = {name.lower(): value for name, value in requests[0]["headers"].items()}
        assert headers["traceparent"] == JOB["trace"]
        token = decode(headers["authorization"].removeprefix("Bearer "), verify=False)
        assert token["aud"].endswith("" if path == "/predict" else path)


def test_an_argument_without_model_or_trace_uses_the_defaults():
    services = Services(preprocess=[(200, PREPARED)], predict=[(200, PREDICTION)])
    assert execute(services, model=None, trace=None).state == "SUCCEEDED"
    assert services.requests["/predict"][0]["body"]["model"] is None


def test_a_time_series_goes_to_forecast_alone():
    services = Services(forecast=[(200, FORECAST)])
    assert execute(services, kind="timeseries").state == "SUCCEEDED"
    assert set(services.requests) == {"/forecast", "/postprocess"}
    assert services.concluded["prediction"] == FORECAST
    assert services.concluded["lineage"]["service_revisions"] == {"forecast": "forecast-1"}


@pytest.mark.parametrize(("kind", "second"), [("table", "preprocess"), ("timeseries", "forecast")])
def test_a_workbook_goes_on_as_the_table_or_the_series_that_it_holds(kind: str, second: str):
    argument = {**JOB, "kind": kind, "table": {"bucket": "work", "name": "converted/7.csv"}}
    converted = {"mode": "converted", "argument": argument, "revision": "preprocess-1"}
    services = Services(
        preprocess=[(200, converted), (200, BATCH)], predict_shard=[(200, SUMMARY)], forecast=[(200, FORECAST)]
    )
    assert execute(services, kind="workbook").state == "SUCCEEDED"
    first, *rest = services.requests["/preprocess"]
    (again,) = rest if second == "preprocess" else services.requests["/forecast"]
    assert (first["body"]["kind"], again["body"]) == ("workbook", argument)
    assert services.concluded["argument"] == argument


def test_a_batch_predicts_every_shard_and_passes_on_their_location():
    services = Services(preprocess=[(200, BATCH)], predict_shard=[(200, SUMMARY)])
    assert execute(services, kind="records").state == "SUCCEEDED"
    ranges = sorted(
        (request["body"] for request in services.requests["/predict-shard"]), key=lambda body: body["offset"]
    )
    assert ranges == [
        {
            "input": f"gs://work/shards/7/{shard}.jsonl",
            "output": f"gs://work/shards/7/{shard}.out.csv",
            "offset": 10 * shard,
            "format": "csv",
            "labels": "gs://work/shards/7/labels.json",
            "model": "sentiment",
            "version": "2",
            "parameters": {"top_k": 1},
            "dialect": BATCH["dialect"],
        }
        for shard in range(3)
    ]
    assert services.concluded["batch"] == BATCH | {"errors": []}
    assert services.concluded["lineage"]["service_revisions"] == {"preprocess": "preprocess-1"}


def test_workflow_functions_and_gpu_job_agree_on_a_batch_s_objects():
    services = Services(preprocess=[(200, BATCH)], predict_shard=[(200, SUMMARY)])
    execute(services, kind="records")
    fields: dict[str, Any] = {key: value for key, value in BATCH.items() if key not in ("mode", "revision")}
    batch = Batch(**fields)
    job = msgspec.convert(batch.json(), gpu_batch.Batch)
    bodies = [request["body"] for request in services.requests["/predict-shard"]]
    for shard, body in enumerate(sorted(bodies, key=lambda body: body["offset"])):
        body = {name: value for name, value in body.items() if name not in ("model", "version", "parameters")}
        by_workflow = msgspec.convert(body, Shard)
        by_functions = Shard(
            f"gs://work/{batch.names.input(shard)}",
            f"gs://work/{batch.output(shard)}",
            batch.span(shard).start,
            batch.format,
            f"gs://work/{batch.names.labels}",
            msgspec.convert(batch.dialect, Dialect),
        )
        assert by_workflow == by_functions == job.shard(shard)


def test_a_gpu_service_without_a_revision_is_accepted():
    services = Services(preprocess=[(200, PREPARED)], predict=[(200, {"predictions": []})])
    assert execute(services).state == "SUCCEEDED"
    assert services.concluded["lineage"]["service_revisions"]["gpu_service"] == "unknown"


def test_a_failed_shard_does_not_affect_the_others():
    broken = {"error": {"code": "storage_failed", "message": "No."}}
    services = Services(preprocess=[(200, BATCH)], predict_shard=[(500, broken), (200, SUMMARY)])
    assert execute(services, kind="records").state == "SUCCEEDED"
    assert len(services.requests["/predict-shard"]) == 3
    assert services.concluded["batch"]["errors"] == [
        {"step": "predict_shards", "status": 500, "code": "storage_failed", "message": "No."}
    ]


def test_a_batch_without_output_fails_the_execution():
    failed = {"status": "failed", "document": "gs://out/failed/doc.json", "job": JOB["job"]}
    services = Services(preprocess=[(200, BATCH)], predict_shard=[(500, "broken")], postprocess=[(200, failed)])
    outcome = execute(services, kind="records")
    assert outcome.state == "FAILED"
    assert outcome.error is not None
    assert "gs://out/failed/doc.json" in outcome.error.payload
    assert len(services.requests["/postprocess"]) == 1


def test_most_of_very_many_failed_shards_are_left_to_a_replay():
    services = Services(preprocess=[(200, BATCH | {"shards": 500})], predict_shard=[(500, "broken")])
    assert execute(services, kind="records").state == "SUCCEEDED"
    assert 20 <= len(services.requests["/predict-shard"]) < 30


def test_progress_is_reported_as_shards_finish_and_its_failures_are_ignored():
    services = Services(preprocess=[(200, BATCH)], predict_shard=[(200, SUMMARY)], postprocess=[(503, ""), (200, DONE)])
    assert execute(services, Ticking(), kind="records").state == "SUCCEEDED"
    reports = [request["body"] for request in services.requests["/postprocess"] if "progress" in request["body"]]
    assert reports
    assert all(body["progress"]["prefix"] == BATCH["prefix"] for body in reports)
    assert "batch" in services.concluded


def test_regions_are_tried_in_order_when_one_fails():
    services = Services(preprocess=[(200, PREPARED)], down__predict=[(503, "")], predict=[(200, PREDICTION)])
    assert execute(services, regions=("/down/", "")).state == "SUCCEEDED"
    assert len(services.requests["/down//predict"]) == 3
    assert services.concluded["prediction"] == PREDICTION | {"failed_regions": [0]}


def test_a_region_that_cannot_load_only_this_model_is_told_apart():
    missing = {"error": {"code": "model_unavailable", "message": "The model cannot be loaded."}}
    services = Services(
        preprocess=[(200, PREPARED)],
        lame__predict=[(503, missing)],
        down__predict=[(503, "")],
        predict=[(200, PREDICTION)],
    )
    assert execute(services, regions=("/lame/", "/down/", "")).state == "SUCCEEDED"
    assert services.concluded["prediction"] == PREDICTION | {"failed_regions": [1, 0], "unloaded_regions": [0]}


def test_the_order_of_the_argument_decides_which_region_is_tried_first():
    services = Services(preprocess=[(200, PREPARED)], predict=[(200, PREDICTION)])
    assert execute(services, regions=("/down/", ""), regions_of_job=[1, 0]).state == "SUCCEEDED"
    assert services.requests.keys() == {"/preprocess", "/predict", "/postprocess"}


@pytest.mark.parametrize(
    ("answer", "fails_over"),
    [
        ((429, ""), True),
        ((503, {"error": {"code": "overloaded", "message": "Full."}}), True),
        ((500, "The request failed because no instance is available."), True),
        ((500, {"error": {"code": "inference_failed", "message": "No."}}), False),
        ((413, "too large"), False),
    ],
)
def test_a_region_is_left_where_it_does_not_answer_itself(answer: tuple[int, Any], fails_over: bool):
    services = Services(preprocess=[(200, PREPARED)], down__predict=[answer], predict=[(200, PREDICTION)])
    execute(services, regions=("/down/", ""))
    assert ("/predict" in services.requests) == fails_over


def test_a_refused_request_is_not_sent_to_another_region():
    refusal = {"error": {"code": "model_not_found", "message": "No."}}
    services = Services(preprocess=[(200, PREPARED)], down__predict=[(404, refusal)], predict=[(200, PREDICTION)])
    assert execute(services, regions=("/down/", "")).result["status"] == "rejected"
    assert "/predict" not in services.requests


@pytest.mark.parametrize(("tasks", "errors"), [({"succeededCount": 2}, 0), ({"succeededCount": 1}, 1), ({}, 1)])
def test_above_the_threshold_a_job_runs_the_shards(tasks: dict[str, int], errors: int):
    execution = {"name": f"{GPU_JOB}/executions/e", "taskCount": 2}
    operation = {"name": "projects/p/locations/l/operations/o", "metadata": execution}
    ended = execution | tasks | {"completionTime": "2026-01-01T00:00:00Z"}
    answers: dict[str, list[tuple[int, Any]]] = {
        "preprocess": [(200, BATCH)],
        f"v2/{GPU_JOB}:run": [(200, operation)],
        f"v2/{execution['name']}": [(200, execution), (200, execution), (200, ended)],
    }
    services = Services(**answers)
    clock = Hasty()
    variables = {"GPU_JOB": GPU_JOB, "JOB_THRESHOLD_RECORDS": "24", "JOB_TASKS": "2"}
    assert execute(services, clock, variables=variables, kind="records").state == "SUCCEEDED"
    assert clock.waits == [2, 3, 4.5]
    (started,) = services.requests[f"/v2/{GPU_JOB}:run"]
    assert started["body"] == {
        "overrides": {
            "taskCount": 2,
            "containerOverrides": [{"env": [{"name": "BATCH_INDEX", "value": f"gs://work/{Names.of('7').index}"}]}],
        }
    }
    assert len(services.concluded["batch"]["errors"]) == errors
    assert "/predict-shard" not in services.requests


@pytest.mark.parametrize("order", [None, [1, 0]])
def test_the_job_starts_in_the_first_region_that_takes_it(order: list[int] | None):
    jobs = [f"projects/p/locations/{region}/jobs/gpu-job" for region in ("l", "m")]
    first, second = jobs if order is None else reversed(jobs)
    execution = {"name": f"{second}/executions/e", "taskCount": 2}
    operation = {"name": "projects/p/locations/l/operations/o", "metadata": execution}
    answers: dict[str, list[tuple[int, Any]]] = {
        "preprocess": [(200, BATCH)],
        f"v2/{first}:run": [(429, {"error": {"code": 429, "message": "Quota exceeded."}})],
        f"v2/{second}:run": [(200, operation)],
        f"v2/{execution['name']}": [(200, execution | {"succeededCount": 2, "completionTime": "2026-01-01T00:00:00Z"})],
    }
    services = Services(**answers)
    variables = {"GPU_JOB": ",".join(jobs), "JOB_THRESHOLD_RECORDS": "24", "JOB_TASKS": "2"}
    assert execute(services, variables=variables, kind="records", regions_of_job=order).state == "SUCCEEDED"
    assert services.requests[f"/v2/{first}:run"][0]["body"] == services.requests[f"/v2/{second}:run"][0]["body"]
    assert services.concluded["batch"]["errors"] == []


def test_a_job_that_is_refused_starts_nowhere_else():
    jobs = [f"projects/p/locations/{region}/jobs/gpu-job" for region in ("l", "m")]
    refusal = (403, {"error": {"code": 403, "message": "Permission denied."}})
    answers: dict[str, list[tuple[int, Any]]] = {"preprocess": [(200, BATCH)], f"v2/{jobs[0]}:run": [refusal]}
    services = Services(**answers)
    variables = {"GPU_JOB": ",".join(jobs), "JOB_THRESHOLD_RECORDS": "24"}
    assert execute(services, variables=variables, kind="records").state == "FAILED"
    assert f"/v2/{jobs[1]}:run" not in services.requests


@pytest.mark.parametrize(("variables", "by_job"), [({"GPU_JOB": GPU_JOB, "JOB_TASKS": "2"}, True), ({}, False)])
def test_inputs_that_have_waited_run_as_one_task_of_the_job_if_there_is_one(variables: dict[str, str], by_job: bool):
    ended = {"name": f"{GPU_JOB}/executions/e", "taskCount": 1, "succeededCount": 1, "completionTime": "2026-01-01"}
    operation = {"name": "projects/p/locations/l/operations/o", "metadata": {"name": ended["name"]}}
    answers: dict[str, list[tuple[int, Any]]] = {
        "preprocess": [(200, BATCH)],
        "predict_shard": [(200, SUMMARY)],
        f"v2/{GPU_JOB}:run": [(200, operation)],
        f"v2/{ended['name']}": [(200, ended)],
    }
    services, clock = Services(**answers), Hasty()
    assert execute(services, clock, variables=variables, kind="microbatch", run_by="job").state == "SUCCEEDED"
    assert clock.waits == ([30] if by_job else [])
    assert ("/predict-shard" in services.requests) != by_job
    if by_job:
        (started,) = services.requests[f"/v2/{GPU_JOB}:run"]
        assert started["body"]["overrides"]["taskCount"] == 1


def test_a_retryable_status_is_retried_with_growing_delays():
    clock = Hasty()
    busy = {"error": {"code": "queue_full", "message": "The queue is full."}}
    services = Services(preprocess=[(200, PREPARED)], predict=[(429, busy), (503, busy), (503, ""), (200, PREDICTION)])
    assert execute(services, clock).state == "SUCCEEDED"
    assert len(services.requests["/predict"]) == 4
    assert clock.waits == [1, 2, 4]


def test_a_refusal_by_a_service_ends_as_a_rejection_and_the_execution_succeeds():
    refusal = {"error": {"code": "truncated_image", "message": "The image is cut off."}}
    services = Services(preprocess=[(422, refusal)])
    outcome = execute(services)
    assert outcome.state == "SUCCEEDED"
    assert outcome.result["status"] == "rejected"
    assert services.concluded["error"] == {
        "step": "preprocess",
        "status": 422,
        "code": "truncated_image",
        "message": "The image is cut off.",
    }
    assert len(services.requests["/preprocess"]) == 1


@pytest.mark.parametrize(
    ("status", "body", "severity"),
    [
        (422, {"error": {"code": "empty", "message": "It is empty."}}, "INFO"),
        (429, {"error": {"code": "overloaded", "message": "Later."}}, "WARNING"),
        (500, {"error": {"code": "internal", "message": "Oops."}}, "WARNING"),
        (403, "<html>Forbidden</html>", "WARNING"),
    ],
)
def test_only_what_an_operator_can_mend_is_a_warning(status: int, body: Any, severity: str):
    services = Services(preprocess=[(status, body)])
    execute(services)
    assert services.logs[0]["severity"] == severity
    assert "a step failed" in str(services.logs[0])


@pytest.mark.parametrize("body", ["", "<html>Internal Server Error</html>"])
def test_a_crash_of_a_service_ends_as_a_failure_and_the_execution_fails_with_its_error(body: str):
    services = Services(preprocess=[(200, PREPARED)], predict=[(500, body)])
    outcome = execute(services)
    assert outcome.state == "FAILED"
    assert outcome.error is not None
    assert json.loads(str(outcome.error.payload))["code"] == 500
    assert services.concluded["error"]["step"] == "predict"
    assert services.concluded["error"]["status"] == 500
    assert services.concluded["error"]["code"] is None
    assert "500" in services.concluded["error"]["message"]
    assert len(services.requests["/predict"]) == 1, "500 is not for repeating"


def test_a_service_that_stays_down_fails_after_all_retries():
    clock = Hasty()
    services = Services(preprocess=[(503, "")])
    assert execute(services, clock).state == "FAILED"
    assert clock.waits == [1, 2, 4, 8, 16, 32]
    assert services.concluded["error"]["step"] == "preprocess"


def test_a_result_that_cannot_be_written_is_recorded_as_a_failure():
    written = {"status": "failed", "document": "gs://out/doc.json", "job": JOB["job"]}
    services = Services(
        preprocess=[(200, PREPARED)], predict=[(200, PREDICTION)], postprocess=[(500, "broken"), (200, written)]
    )
    outcome = execute(services)
    assert outcome.state == "FAILED"
    assert services.concluded["error"]["step"] == "postprocess"
