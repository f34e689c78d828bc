import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from emulator.workflows import Outcome, Runtime, WorkflowSyntaxError, load

Handler = Callable[[web.Request, Any], Any]


@pytest.fixture
def call(clock: Any) -> Callable[..., Outcome]:
    """Run one connector call against a handler in place of Google."""

    def run(source: str, handler: Handler) -> Outcome:
        async def answer(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            result = handler(request, body)
            return result if isinstance(result, web.StreamResponse) else web.json_response(result)

        async def go() -> Outcome:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            services = ("storage", "pubsub", "run", "aiplatform", "workflowexecutions", "secretmanager")
            async with Runtime(clock=clock, endpoints=dict.fromkeys(services, base)) as runtime:
                outcome = await load(source).execute(runtime=runtime)
            await runner.cleanup()
            return outcome

        return asyncio.run(go())

    return run


def step(name: str, args: dict[str, Any]) -> str:
    return json.dumps([{"c": {"call": name, "args": args, "result": "r"}}, {"d": {"return": "${r}"}}])


def test_path_query_body_and_token(call: Any) -> None:
    def handler(request: web.Request, body: bytes) -> Any:
        token = request.headers["Authorization"].removeprefix("Bearer ").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(token + "=="))
        return {"path": request.raw_path, "verb": request.method, "scope": claims["scope"], "body": body.decode()}

    source = step(
        "googleapis.storage.v1.objects.insert",
        {"bucket": "b", "name": "a/b.txt", "uploadType": "media", "body": "text"},
    )
    assert call(source, handler).result == {
        "path": "/upload/storage/v1/b/b/o?name=a%2Fb.txt&uploadType=media",
        "verb": "POST",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "body": "text",
    }


def test_an_object_name_is_encoded_by_the_author(call: Any) -> None:
    source = step("googleapis.storage.v1.objects.get", {"bucket": "b", "object": "a%2Fb", "alt": "media"})
    assert call(source, lambda request, _: {"path": request.raw_path}).result == {
        "path": "/storage/v1/b/b/o/a%2Fb?alt=media"
    }


def test_errors_are_those_of_http(call: Any) -> None:
    outcome = call(
        step("googleapis.pubsub.v1.projects.topics.publish", {"topic": "projects/p/topics/t", "body": {}}),
        lambda *_: web.json_response({"error": {"code": 404}}, status=404),
    )
    assert outcome.error is not None
    error = outcome.error.value
    assert (error["code"], error["tags"], error["body"]) == (404, ["HttpError"], {"error": {"code": 404}})


def test_requests_to_unavailable_services_are_retried(call: Any, clock: Any) -> None:
    answers = iter([503, 503, 200])
    source = step("googleapis.storage.v1.buckets.get", {"bucket": "b"})
    outcome = call(source, lambda *_: web.json_response({"name": "b"}, status=next(answers)))
    assert outcome.result == {"name": "b"}
    assert clock.slept == [1, 1.25]


def test_long_running_operations_are_polled(call: Any, clock: Any) -> None:
    answers: Any = iter([{"done": False}, {"done": False}, {"done": True, "response": {"ok": 1}}])
    name = "projects/p/locations/l/operations/o"
    source = step(
        "googleapis.run.v2.projects.locations.jobs.run",
        {"name": "projects/p/locations/l/jobs/j", "connector_params": {"polling_policy": {"initial_delay": 4}}},
    )
    assert call(source, lambda *_: {"name": name, **next(answers)}).result == {"ok": 1}
    assert clock.slept == [4, 5]


def test_a_failed_operation_raises_operation_error(call: Any) -> None:
    operation = {"name": "projects/p/operations/o", "done": True, "error": {"code": 9, "message": "job failed"}}
    source = step("googleapis.run.v2.projects.locations.jobs.run", {"name": "projects/p/locations/l/jobs/j"})
    error = call(source, lambda *_: operation).error
    assert error is not None
    assert error.value == {
        "message": "job failed",
        "operation": operation,
        "error": operation["error"],
        "tags": ["OperationError"],
    }


def test_executions_run_waits_for_the_child(call: Any) -> None:
    urls: list[str] = []

    def handler(request: web.Request, body: bytes) -> Any:
        urls.append(f"{request.method} {request.path} {body.decode()}")
        state = "ACTIVE" if len(urls) < 3 else "SUCCEEDED"
        return {"name": "projects/p/locations/l/workflows/w/executions/1", "state": state, "result": '{"n": 2}'}

    run = "googleapis.workflowexecutions.v1.projects.locations.workflows.executions.run"
    source = step(run, {"workflow_id": "w", "project_id": "p", "location": "l", "argument": {"n": 1}})
    assert call(source, handler).result == {"n": 2}
    assert urls[0] == 'POST /v1/projects/p/locations/l/workflows/w/executions {"argument":"{\\"n\\":1}"}'
    assert urls[1].startswith("GET /v1/projects/p/locations/l/workflows/w/executions/1")


def test_a_secret_in_an_expression(call: Any) -> None:
    access = "googleapis.secretmanager.v1.projects.secrets.versions.accessString"
    source = f'- r: {{return: \'${{{access}("s", "3", "p") + "!"}}\'}}\n'

    def handler(request: web.Request, _: bytes) -> Any:
        assert request.path == "/v1/projects/p/secrets/s/versions/3:access"
        return {"payload": {"data": base64.b64encode(b"hidden").decode()}}

    assert call(source, handler).result == "hidden!"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (step("googleapis.storage.v1.objects.get", {"bucket": "b"}), "'object'"),
        (step("googleapis.nothing.v1.things.get", {}), "unknown connector"),
        ("- r: {return: '${googleapis.storage.v1.buckets.get(1)}'}", "blocking"),
    ],
)
def test_refused_at_deployment(source: str, message: str) -> None:
    with pytest.raises(WorkflowSyntaxError, match=message):
        load(source)


def test_a_connector_that_is_not_emulated_deploys_and_raises_when_called(call: Any) -> None:
    outcome = call(step("googleapis.compute.v1.instances.stop", {"instance": "i"}), lambda *_: {})
    assert outcome.error is not None
    assert "not emulated" in outcome.error.value["message"]


def test_kubernetes_requests_deploy() -> None:
    load(step("gke.request", {"cluster_id": "c", "project": "p", "location": "l", "method": "GET", "path": "/api"}))
