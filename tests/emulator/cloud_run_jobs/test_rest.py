"""The API over REST: resources, lists, errors."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.cloud_run_jobs.running import JOB, PARENT, running


def test_jobs_come_from_the_stack_file(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path, settings="max_retries: 1") as cloud:
            (job,) = (await cloud.call("GET", f"{PARENT}/jobs"))["jobs"]
            assert job == await cloud.call("GET", JOB)
            assert (job["name"], job["terminalCondition"]["state"]) == (JOB, "CONDITION_SUCCEEDED")
            assert job["template"]["taskCount"] == 1
            task = job["template"]["template"]
            assert (task["maxRetries"], task["timeout"]) == (1, "600s")
            assert task["containers"][0]["command"] == ["python", "-S", "task.py"]
            assert "executionCount" not in job
            execution = (await cloud.done(await cloud.run()))["response"]
            job = await cloud.call("GET", JOB)
            assert job["executionCount"] == 1
            latest = job["latestCreatedExecution"]
            assert latest["name"] == execution["name"].rsplit("/", 1)[1]
            assert latest["completionStatus"] == "EXECUTION_SUCCEEDED"

    asyncio.run(check())


def test_executions_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path) as cloud:
            names = [(await cloud.done(await cloud.run()))["metadata"]["name"] for _ in range(3)]
            first = await cloud.call("GET", f"{JOB}/executions", params={"pageSize": 2})
            rest = await cloud.call("GET", f"{JOB}/executions", params={"pageToken": first["nextPageToken"]})
            listed = [execution["name"] for execution in first["executions"] + rest["executions"]]
            assert listed == names[::-1]
            assert "nextPageToken" not in rest
            everywhere = await cloud.call("GET", f"{PARENT}/jobs/-/executions")
            assert [execution["name"] for execution in everywhere["executions"]] == listed
            operations = (await cloud.call("GET", f"{PARENT}/operations"))["operations"]
            assert [operation["metadata"]["name"] for operation in operations] == listed

    asyncio.run(check())


def test_wait_for_an_unfinished_operation_ends_at_the_timeout(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path, 'until("gate")') as cloud:
            begun = await cloud.run()
            assert begun["metadata"]["@type"] == "type.googleapis.com/google.cloud.run.v2.Execution"
            assert begun["metadata"]["reconciling"] is True
            waited = await cloud.call("POST", f"{begun['name']}:wait", json={"timeout": "0.01s"})
            for operation in (begun, waited, await cloud.call("GET", begun["name"])):
                assert not {"done", "response", "error"} & operation.keys()

    asyncio.run(check())


def test_validate_only_runs_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path) as cloud:
            body = {"validateOnly": True, "overrides": {"taskCount": 7}}
            operation = await cloud.call("POST", f"{JOB}:run", json=body)
            assert (operation["done"], operation["response"]["taskCount"]) == (True, 7)
            assert await cloud.call("GET", f"{JOB}/executions") == {}

    asyncio.run(check())


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        (
            "GET",
            f"{PARENT}/jobs/none",
            "NOT_FOUND",
            "Resource 'none' of kind 'JOB' in region 'us-central1' in project 'local-project' does not exist",
        ),
        ("POST", f"{PARENT}/jobs/none:run", "NOT_FOUND", "Resource 'none' of kind 'JOB'"),
        (
            "POST",
            "projects/p/locations/europe-west4/jobs/toy:run",
            "NOT_FOUND",
            "in region 'europe-west4' in project 'p'",
        ),
        ("GET", f"{PARENT}/jobs/none/executions", "NOT_FOUND", "kind 'JOB'"),
        ("GET", f"{JOB}/executions/toy-1", "NOT_FOUND", "Resource 'toy-1' of kind 'EXECUTION'"),
        ("POST", f"{JOB}/executions/toy-1:cancel", "NOT_FOUND", "kind 'EXECUTION'"),
        ("GET", f"{JOB}/executions/toy-1/tasks", "NOT_FOUND", "kind 'EXECUTION'"),
        ("GET", f"{PARENT}/operations/1", "NOT_FOUND", "Resource '1' of kind 'OPERATION'"),
        ("POST", f"{PARENT}/operations/1:wait", "NOT_FOUND", "kind 'OPERATION'"),
        ("POST", f"{PARENT}/jobs", "UNIMPLEMENTED", "jobs come from the stack file"),
        ("DELETE", JOB, "UNIMPLEMENTED", "not emulated"),
        ("GET", "somewhere", "NOT_FOUND", "/v2/somewhere was not found"),
    ],
)
def test_missing_resources_are_refused_as_google_does(
    tmp_path: Path, method: str, path: str, status: str, message: str
) -> None:
    async def check() -> None:
        codes = {"NOT_FOUND": 404, "UNIMPLEMENTED": 501}
        async with running(tmp_path) as cloud:
            error = (await cloud.call(method, path, codes[status]))["error"]
            assert (error["code"], error["status"]) == (codes[status], status)
            assert message in error["message"]

    asyncio.run(check())


def change(**fields: Any) -> dict[str, Any]:
    return {"overrides": {"containerOverrides": [fields]}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"override": {}}, 'Unknown name "override": Cannot find field.'),
        ({"overrides": []}, "Invalid value at 'overrides' (google.cloud.run.v2.RunJobRequest.Overrides), []"),
        ({"overrides": {"tasks": 1}}, "Unknown name \"tasks\" at 'overrides'"),
        ({"overrides": {"taskCount": "many"}}, "Invalid value at 'overrides.task_count'"),
        ({"overrides": {"taskCount": True}}, "Invalid value at 'overrides.task_count'"),
        ({"overrides": {"taskCount": 10_001}}, "overrides.task_count: must be from 1 to 10000"),
        ({"overrides": {"timeout": "soon"}}, "Invalid value at 'overrides.timeout' (google.protobuf.Duration)"),
        ({"overrides": {"timeout": "0s"}}, "overrides.timeout: must be more than 0s"),
        ({"overrides": {"timeout": "604801s"}}, "at most 604800s"),
        ({"overrides": {"containerOverrides": [{}, {}]}}, "the job has one container, 'toy'"),
        (change(name="sidecar"), "the job has no container 'sidecar', only 'toy'"),
        (change(args="one"), "Invalid value at 'overrides.container_overrides[0].args'"),
        (change(args=["a"], clearArgs=True), "clear_args and args exclude each other"),
        (change(env={"A": "b"}), "Invalid value at 'overrides.container_overrides[0].env'"),
        (change(env=[{"name": "A", "value": 1}]), "Invalid value at 'overrides.container_overrides[0].env[0].value'"),
        (change(args=["a\0b"]), "overrides.container_overrides[0].args: must not contain a zero byte"),
        (change(env=[{"value": "b"}]), "'' is not a valid name of a variable"),
        (change(env=[{"name": "CLOUD_RUN_TASK_INDEX", "value": "1"}]), "the name CLOUD_RUN_TASK_INDEX is reserved"),
        (change(env=[{"name": "A", "valueSource": {"secretKeyRef": {}}}]), "secrets are not emulated"),
        (
            change(env=[{"name": "A", "value": "b"}]),
            "set A; to allow it, add overrides: [A] to jobs.toy",
        ),
        (change(env=[{"name": "TOY_STACK", "value": "b"}]), "does not let a run set TOY_STACK"),
        (change(env=[{"name": "PATH", "value": "/tmp"}]), "PATH decides what a task runs"),
        (change(env=[{"name": "PYTHONPATH", "value": "/tmp"}]), "PYTHONPATH decides what a task runs"),
    ],
)
def test_invalid_requests_are_refused_with_the_field(tmp_path: Path, body: dict[str, Any], message: str) -> None:
    async def check() -> None:
        async with running(tmp_path) as cloud:
            error = (await cloud.call("POST", f"{JOB}:run", 400, json=body))["error"]
            assert error["status"] == "INVALID_ARGUMENT"
            assert message in error["message"]
            assert await cloud.call("GET", f"{JOB}/executions") == {}

    asyncio.run(check())


@pytest.mark.parametrize("fields", [{"args": ["-c", "pass"]}, {"clearArgs": True}])
def test_arguments_are_overridden_only_if_the_stack_file_says_so(tmp_path: Path, fields: dict[str, Any]) -> None:
    async def check() -> None:
        async with running(tmp_path, settings="override_args: false") as cloud:
            error = (await cloud.call("POST", f"{JOB}:run", 400, json=change(**fields)))["error"]
            assert "add override_args: true to jobs.toy" in error["message"]
            assert error["details"][0]["fieldViolations"][0]["field"] == "overrides.container_overrides[0].args"
            assert await cloud.call("GET", f"{JOB}/executions") == {}

    asyncio.run(check())


def test_a_variable_of_the_jobs_own_may_be_overridden(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path) as cloud:
            await cloud.done(await cloud.run(**change(env=[{"name": "TOY_JOB", "value": "new"}])["overrides"]))
            assert [task["env"]["TOY_JOB"] for task in cloud.seen()] == ["new"]

    asyncio.run(check())


def test_fields_accept_proto_names_and_numbers_as_strings(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(tmp_path) as cloud:
            change = {"container_overrides": [{"clear_args": True}], "task_count": "2"}
            execution = (await cloud.done(await cloud.run(**change)))["response"]
            assert execution["taskCount"] == 2
            assert [task["args"] for task in cloud.seen()] == [[], []]

    asyncio.run(check())
