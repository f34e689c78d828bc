"""Runs the cases in `language/` and `library/`, each a workflow with its expected behaviour; `ref` cites a section."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.workflows import Environment, Outcome, Runtime, WorkflowSyntaxError, load

FILES = sorted(Path(__file__).parent.rglob("*.yaml"))
SERVICES = ("storage", "pubsub", "run", "aiplatform", "workflowexecutions", "secretmanager")
ENVIRONMENT: dict[str, Any] = {
    "project_id": "case-project",
    "project_number": "123456789",
    "location": "europe-west4",
    "workflow_id": "case",
    "revision_id": "000003-abc",
    "execution_id": "execution-1",
    "service_account": "runner@case-project.iam.gserviceaccount.com",
}
PATIENCE_S = 60
REQUIRED = {"name", "ref", "source", "expect"}
OPTIONAL = {"argument", "env", "routes", "requests", "delays", "max_in_flight", "pad"}
OUTCOMES = {"result": set(), "error": {"payload", "tags", "context", "stack", "any"}, "deploy_error": set()}
ANSWER = {"status", "headers", "body", "delay", "drop", "barrier", "size", "echo"}
REQUEST = {"method", "path", "query", "headers", "body"}


def cases(file: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(file.read_text())


def flaws(case: dict[str, Any]) -> list[str]:
    """The reasons why a case would test nothing, such as unknown keys or no expectation."""
    mistakes = [f"missing {key}" for key in REQUIRED - case.keys()]
    mistakes += [f"unknown {key}" for key in case.keys() - REQUIRED - OPTIONAL]
    expect = case.get("expect") or {}
    kinds = expect.keys() & OUTCOMES.keys()
    if len(kinds) != 1:
        mistakes.append("expect must have one of result, error, deploy_error")
    places = {"line", "column"} if "deploy_error" in kinds else set()
    mistakes += [f"unknown expect.{key}" for key in expect.keys() - OUTCOMES.keys() - places]
    if "error" in kinds:
        mistakes += [f"unknown error.{key}" for key in expect["error"].keys() - OUTCOMES["error"]]
        mistakes += [] if expect["error"] else ["error expects nothing"]
    for route in case.get("routes", []):
        if route.keys() != {"method", "path", "respond"}:
            mistakes.append(f"a route has method, path and respond, not {sorted(route)}")
        mistakes += [f"unknown respond.{key}" for answer in route["respond"] for key in answer.keys() - ANSWER]
    mistakes += [f"unknown requests.{key}" for request in case.get("requests", []) for key in request.keys() - REQUEST]
    return mistakes


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_cases_are_well_formed(file: Path) -> None:
    names = [case.get("name") for case in cases(file)]
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    assert {case["name"]: flaws(case) for case in cases(file) if flaws(case)} == {}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{file.stem}: {case['name']}") for file in FILES for case in cases(file)],
)
def test_case(case: dict[str, Any], stage: Any, script: Any, clock: Any) -> None:
    text = json.dumps(case).replace("http://MOCK", stage.url).replace("# PAD", "# " + "x" * case.get("pad", 0))
    case = json.loads(text)
    source, expect = case["source"], case["expect"]
    if "deploy_error" in expect:
        check_refusal(source, expect)
        return
    script.routes = case.get("routes", [])
    outcome = stage.runner.run(execute(source, case, stage, script, clock))
    if "result" in expect:
        assert outcome.error is None, outcome.error
        assert outcome.state == "SUCCEEDED"
        assert same(outcome.result, expect["result"]), f"{outcome.result!r} instead of {expect['result']!r}"
    else:
        check_error(outcome, expect["error"])
    if "requests" in case:
        check_requests(script.requests, case["requests"])
    if "delays" in case:
        assert clock.delays == pytest.approx(case["delays"])
    assert script.max_in_flight <= case.get("max_in_flight", script.max_in_flight)


async def execute(source: str, case: dict[str, Any], stage: Any, script: Any, clock: Any) -> Outcome:
    workflow = load(source, "workflow.yaml")
    environment = Environment(**ENVIRONMENT, variables=case.get("env", {}))
    endpoints = dict.fromkeys(SERVICES, stage.url)
    async with Runtime(clock=clock, callbacks=script.callbacks, endpoints=endpoints) as runtime:
        run = workflow.execute(case.get("argument"), environment=environment, runtime=runtime)
        return await asyncio.wait_for(run, PATIENCE_S)


def check_refusal(source: str, expect: dict[str, Any]) -> None:
    with pytest.raises(WorkflowSyntaxError) as caught:
        load(source, "workflow.yaml")
    error = caught.value
    assert expect["deploy_error"] in error.message
    assert error.file == "workflow.yaml"
    assert error.line == expect.get("line", error.line), error
    assert error.column == expect.get("column", error.column), error


def check_error(outcome: Outcome, expect: dict[str, Any]) -> None:
    assert outcome.state == "FAILED", outcome.result
    assert outcome.error is not None
    payload = json.loads(outcome.error.payload)
    if "payload" in expect:
        assert same(payload, expect["payload"]), payload
    if "tags" in expect:
        assert isinstance(payload, dict), payload
        assert set(expect["tags"]) <= set(payload["tags"]), payload
        assert isinstance(payload["message"], str)
    if "context" in expect:
        assert fits(outcome.error.context, expect["context"]), outcome.error.context
    if "stack" in expect:
        frames = outcome.error.stack_trace
        assert len(frames) == len(expect["stack"]), frames
        for frame, wanted in zip(frames, expect["stack"], strict=True):
            assert {key: getattr(frame, key) for key in wanted} == wanted


def check_requests(received: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert len(received) == len(wanted), [(request["method"], request["path"]) for request in received]
    for request, expected in zip(received, wanted, strict=True):
        headers = {name.lower(): value for name, value in request["headers"].items()}
        for name, value in expected.get("headers", {}).items():
            assert fits(headers.get(name.lower()), value), (name, headers)
        for key in expected.keys() - {"headers"}:
            assert same(request[key], expected[key]), f"{key}: {request[key]!r} instead of {expected[key]!r}"


def fits(text: str | None, expected: Any) -> bool:
    """Equal, or `{contains: …}`; null stands for absent."""
    if isinstance(expected, dict):
        return text is not None and str(expected["contains"]) in text
    return bool(text == expected)


def same(got: Any, wanted: Any) -> bool:
    """Equal as JSON: a boolean is not a number, 2 and 2.0 are the same number."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[key], wanted[key]) for key in wanted)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    return isinstance(got, bool) == isinstance(wanted, bool) and bool(got == wanted)
