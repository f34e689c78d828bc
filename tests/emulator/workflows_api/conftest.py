"""The running service and the official clients that talk to it."""

import grpc
import httpx
import pytest
from google.cloud.workflows.executions_v1 import ExecutionsClient
from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcTransport
from google.cloud.workflows_v1 import WorkflowsClient
from google.cloud.workflows_v1.services.workflows.transports import WorkflowsGrpcTransport

from tests.emulator.workflows_api.serve import LOCATION, Background


@pytest.fixture(scope="module")
def cloud():
    """The service in memory, which the tests of a module share, each with its own workflows."""
    with Background() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def rest(cloud):
    with httpx.Client(base_url=f"{cloud.http}/v1/{LOCATION}", timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def executions(cloud):
    with grpc.insecure_channel(cloud.grpc) as channel:
        yield ExecutionsClient(transport=ExecutionsGrpcTransport(channel=channel))


@pytest.fixture(scope="module")
def workflows(cloud):
    with grpc.insecure_channel(cloud.grpc) as channel:
        yield WorkflowsClient(transport=WorkflowsGrpcTransport(channel=channel))


@pytest.fixture
def deploy(rest, request):
    """Deploys a source under a name from the test's and returns the name."""

    def deploy(source: str, workflow_id: str = "", **fields) -> str:
        workflow_id = workflow_id or request.node.name.split("[")[0].replace("_", "-")[:60]
        answer = rest.post("/workflows", params={"workflowId": workflow_id}, json={"sourceContents": source, **fields})
        assert answer.status_code == 200, answer.text
        assert "error" not in answer.json(), answer.text
        return workflow_id

    return deploy


@pytest.fixture
def finish(rest):
    """Polls an execution until it has ended."""

    def finish(name: str, tries: int = 400) -> dict:
        path = "/workflows/" + name.split("/workflows/")[1]
        for _ in range(tries):
            execution = rest.get(path).json()
            if execution["state"] not in ("ACTIVE", "QUEUED"):
                return execution
            rest.get("/workflows", params={"pageSize": 1})  # time passes without a sleep
        raise AssertionError(f"still {execution['state']}: {execution}")

    return finish
