"""workflow.yaml as deployed, run by the interpreter over real HTTP against scripted services."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.auth.jwt import decode

from emulator.workflows import Environment, Outcome, Runtime, load

SOURCE = Path(__file__).parents[1] / "workflow.yaml"
JOB = {
    "job": "0123456789abcdef0123456789abcdef",
    "document": "cat.png/17",
    "event_id": "event-1",
    "received_at": "2026-01-01T00:00:00Z",
    "input": {"bucket": "in", "name": "cat.png", "generation": "17", "size": 9, "content_type": "image/png"},
    "kind": "image",
    "model": None,
    "parameters": {"top_k": 3},
    "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
PREPARED = {"mode": "single", "instances": [{"text": "hello"}], "revision": "preprocess-1"}
PREDICTION = {"predictions": [{"label": "cat", "score": 0.9}], "timing": {"gpu_seconds": 0.1}, "revision": "gpu-1"}
SUMMARY = {"records": 10, "failed": {}, "revision": "gpu-1"}
FORECAST = {"predictions": [{"date": "2026-01-01"}], "revision": "forecast-1"}
SHARDS = [{"input": f"gs://work/{n}", "output": f"gs://work/{n}.out", "offset": n * 10} for n in range(3)]


class Hasty:
    """A clock on which every wait is over at once, and is remembered."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return 1_767_225_600.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


class Services:
    """What each path answers, in turn (the last answer repeats), and every request that came."""

    def __init__(self, **answers: list[tuple[int, Any]]) -> None:
        self.answers = {f"/{name.replace('_', '-')}": list(script) for name, script in answers.items()}
        self.requests: dict[str, list[dict[str, Any]]] = defaultdict(list)

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.rstrip("/")
        body = await request.json()
        self.requests[path].append({"headers": dict(request.headers), "body": body})
        if path == "/postprocess" and path not in self.answers:
            return web.json_response({"status": verdict(body), "document": "gs://out/doc.json", "job": JOB["job"]})
        script = self.answers[path]
        status, content = script.pop(0) if len(script) > 1 else script[0]
        return (
            web.Response(status=status, text=content)
            if isinstance(content, str)
            else web.json_response(content, status=status)
        )

    @property
    def concluded(self) -> dict[str, Any]:
        """The one body that reached postprocess last."""
        return self.requests["/postprocess"][-1]["body"]


def verdict(body: dict[str, Any]) -> str:
    if "error" not in body:
        return "succeeded"
    return "rejected" if body["error"]["code"] else "failed"


def execute(services: Services, clock: Hasty | None = None, **job: Any) -> Outcome:
    return asyncio.run(_execute(services, clock or Hasty(), {**JOB, **job}))


async def _execute(services: Services, clock: Hasty, job: dict[str, Any]) -> Outcome:
    app = web.Application()
    app.router.add_post("/{path:.*}", services.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    root = "http://{}:{}".format(*runner.addresses[0])
    urls = {
        "PREPROCESS_URL": f"{root}/preprocess",
        "FORECAST_URL": f"{root}/forecast",
        "POSTPROCESS_URL": f"{root}/postprocess",
        "GPU_SERVICE_URL": f"{root}",
    }
    try:
        async with Runtime(clock=clock) as runtime:
            workflow = load(SOURCE.read_text(), str(SOURCE))
            return await workflow.execute(job, environment=Environment(variables=urls), runtime=runtime)
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


def test_every_call_carries_the_trace_and_a_token_for_the_service_it_goes_to():
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


def test_a_batch_predicts_every_shard_and_hands_on_all_summaries():
    batch = {"mode": "batch", "shards": SHARDS, "count": 30, "revision": "preprocess-1"}
    services = Services(preprocess=[(200, batch)], predict_shard=[(200, SUMMARY)])
    assert execute(services, kind="records").state == "SUCCEEDED"
    asked = [request["body"] for request in services.requests["/predict-shard"]]
    assert sorted(body["input"] for body in asked) == [shard["input"] for shard in SHARDS]
    assert {body["offset"] for body in asked} == {0, 10, 20}
    assert services.concluded["batch"] == {"shards": [SUMMARY] * 3}
    assert services.concluded["lineage"]["service_revisions"] == {"preprocess": "preprocess-1", "gpu_service": "gpu-1"}


@pytest.mark.parametrize("kind", ["text", "records"])
def test_a_gpu_service_that_does_not_name_its_revision_serves_as_well(kind: str):
    batch = {"mode": "batch", "shards": SHARDS, "count": 30, "revision": "preprocess-1"}
    prepared = batch if kind == "records" else PREPARED
    nameless = {"predictions": [], "records": 10, "failed": {}}
    services = Services(preprocess=[(200, prepared)], predict=[(200, nameless)], predict_shard=[(200, nameless)])
    assert execute(services, kind=kind).state == "SUCCEEDED"
    assert services.concluded["lineage"]["service_revisions"]["gpu_service"] == "unknown"


@pytest.mark.parametrize(("status", "code"), [(404, "model_not_found"), (500, None)])
def test_a_shard_s_error_is_the_batch_s_error(status: int, code: str | None):
    batch = {"mode": "batch", "shards": SHARDS, "count": 30, "revision": "preprocess-1"}
    answer = {"error": {"code": code, "message": "m"}} if code else "broken"
    services = Services(preprocess=[(200, batch)], predict_shard=[(status, answer)])
    execute(services, kind="records")
    assert (services.concluded["error"]["status"], services.concluded["error"]["code"]) == (status, code)
    assert services.concluded["error"]["step"] == "predict"


def test_a_service_that_says_again_is_asked_again_with_growing_waits():
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


@pytest.mark.parametrize("body", ["", "<html>Internal Server Error</html>"])
def test_a_crash_of_a_service_ends_as_a_failure_and_the_execution_fails_with_its_error(body: str):
    services = Services(preprocess=[(200, PREPARED)], predict=[(500, body)])
    outcome = execute(services)
    assert outcome.state == "FAILED"
    assert json.loads(outcome.error.payload)["code"] == 500
    assert services.concluded["error"]["step"] == "predict"
    assert services.concluded["error"]["status"] == 500
    assert services.concluded["error"]["code"] is None
    assert "500" in services.concluded["error"]["message"]
    assert len(services.requests["/predict"]) == 1, "500 is not for repeating"


def test_a_service_that_stays_away_fails_after_all_retries():
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
