"""Executions and jobs, and what a workflow calls as its own account."""

import json
import re
from typing import Any

import grpc
import httpx
import pytest
from google.api_core import exceptions
from google.cloud.workflows import executions_v1
from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcTransport

from emulator.server import Emulator
from tests.emulator.iam.stack import JOB, PARENT, email


def executions(running: Emulator, account: str) -> executions_v1.ExecutionsClient:
    channel = grpc.insecure_channel(running.accounts[account].grpc)
    return executions_v1.ExecutionsClient(transport=ExecutionsGrpcTransport(channel=channel))


def test_an_invoker_starts_executions_and_nobody_else_does(running: Emulator) -> None:
    started = executions(running, "starter").create_execution(parent=PARENT, execution={"argument": '{"do": ""}'})
    assert executions(running, "starter").get_execution(name=started.name).name == started.name
    message = f"Permission 'workflows.executions.create' denied on resource '{PARENT}'"
    with pytest.raises(exceptions.PermissionDenied, match=message):
        executions(running, "viewer").create_execution(parent=PARENT)
    with pytest.raises(exceptions.PermissionDenied, match=re.escape("workflows.executions.get")):
        executions(running, "viewer").get_execution(name=started.name)


def outcome(running: Emulator, action: str) -> Any:
    base = f"http://{running.http}/v1/{PARENT}/executions"
    name = httpx.post(base, json={"argument": json.dumps({"do": action})}).json()["name"]
    while True:
        execution = httpx.get(f"http://{running.http}/v1/{name}").json()
        if execution["state"] != "ACTIVE":
            return json.loads(execution["result"])


def test_connectors_call_as_the_workflows_account(running: Emulator) -> None:
    assert outcome(running, "read")["name"] == "kept"
    refused = outcome(running, "write")
    assert refused["code"] == 403
    assert f"{email('runner')} does not have storage.objects.create" in refused["body"]["error"]["message"]
    assert "executions/batch-" in outcome(running, "run")["metadata"]["name"]


def test_a_workflows_call_without_a_token_is_nobodys(running: Emulator) -> None:
    refused = outcome(running, "bare")
    assert refused["code"] == 401
    assert "Anonymous caller does not have storage.objects.get" in refused["body"]["error"]["message"]


def test_a_caller_without_identity_is_unauthenticated(running: Emulator) -> None:
    base = running.storage.base_url
    for path in (f"/v1/{PARENT}/executions", f"/v2/{JOB}", "/v1/projects/p/topics/news"):
        answer = httpx.get(base + path)
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_overrides_of_a_job_need_their_own_permission(running: Emulator) -> None:
    run = f"http://{running.accounts['starter'].http}/v2/{JOB}:run"
    assert httpx.post(run, json={}).status_code == 200
    refused = httpx.post(run, json={"overrides": {"taskCount": 2}})
    assert refused.status_code == 403
    denied = f"Permission 'run.jobs.runWithOverrides' denied on resource '{JOB}' (or resource may not exist)."
    assert refused.json()["error"]["message"] == denied


def test_operations_of_a_job_belong_to_the_project(running: Emulator) -> None:
    started = httpx.post(f"http://{running.accounts['starter'].http}/v2/{JOB}:run", json={}).json()
    refused = httpx.get(f"http://{running.accounts['starter'].http}/v2/{started['name']}")
    assert "run.operations.get" in refused.json()["error"]["message"]
