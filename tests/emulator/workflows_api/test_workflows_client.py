"""The official management client, over gRPC and over plain HTTP."""

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.workflows_v1 import Workflow, WorkflowsClient

from tests.emulator.workflows_api.serve import LOCATION

GOOD = "main: {steps: [{done: {return: 1}}]}"


@pytest.fixture(params=["grpc", "rest"])
def client(request, cloud, workflows):
    if request.param == "grpc":
        return workflows
    options = {"api_endpoint": cloud.http}
    return WorkflowsClient(transport="rest", client_options=options, credentials=AnonymousCredentials())


@pytest.fixture
def name(request):
    return request.node.name.replace("[", "-").rstrip("]").replace("_", "-")


def test_the_life_of_a_workflow(client, name):
    full = f"{LOCATION}/workflows/{name}"
    workflow = Workflow(source_contents=GOOD, labels={"a": "b"}, user_env_vars={"X": "1"}, call_log_level=2)
    created = client.create_workflow(parent=LOCATION, workflow=workflow, workflow_id=name).result(timeout=10)
    assert created.name == full
    assert created.state is Workflow.State.ACTIVE
    assert created.call_log_level is Workflow.CallLogLevel.LOG_ERRORS_ONLY

    change = Workflow(name=full, source_contents=GOOD.replace("1", "2"))
    updated = client.update_workflow(workflow=change, update_mask={"paths": ["source_contents"]}).result(timeout=10)
    assert updated.revision_id.startswith("000002-")
    assert dict(updated.labels) == {"a": "b"}
    assert client.get_workflow(name=full).source_contents == change.source_contents
    old = client.get_workflow(request={"name": full, "revision_id": created.revision_id})
    assert old.source_contents == GOOD
    revisions = client.list_workflow_revisions(request={"name": full, "page_size": 1})
    assert [revision.revision_id for revision in revisions] == [updated.revision_id, created.revision_id]
    assert full in [workflow.name for workflow in client.list_workflows(request={"parent": LOCATION, "page_size": 1})]

    client.delete_workflow(name=full).result(timeout=10)
    with pytest.raises(exceptions.NotFound):
        client.get_workflow(name=full)


def test_errors_become_the_clients_exceptions(client, name):
    bad = client.create_workflow(parent=LOCATION, workflow=Workflow(source_contents="main: {}"), workflow_id=name)
    with pytest.raises(exceptions.InvalidArgument, match=r"main\.yaml"):
        bad.result(timeout=10)
    good = Workflow(source_contents=GOOD)
    client.create_workflow(parent=LOCATION, workflow=good, workflow_id=name).result(timeout=10)
    with pytest.raises(exceptions.Conflict):  # AlreadyExists is one
        client.create_workflow(parent=LOCATION, workflow=good, workflow_id=name)
    with pytest.raises(exceptions.BadRequest):  # InvalidArgument is one
        client.create_workflow(parent=LOCATION, workflow=good, workflow_id="9")
    with pytest.raises(exceptions.NotFound):
        client.delete_workflow(name=f"{LOCATION}/workflows/nowhere")


def test_operations_and_locations(client, name):
    operation = client.create_workflow(parent=LOCATION, workflow=Workflow(source_contents=GOOD), workflow_id=name)
    assert operation.metadata.verb == "create"
    polled = client.get_operation({"name": operation.operation.name})
    assert polled.done
    listed = client.list_operations({"name": LOCATION})
    assert operation.operation.name in [item.name for item in listed.operations]
    assert client.get_location({"name": LOCATION}).location_id == "us-central1"
    assert len(client.list_locations({"name": "projects/local-project"}).locations) == 1
    client.delete_operation({"name": operation.operation.name})
    with pytest.raises(exceptions.NotFound):
        client.get_operation({"name": operation.operation.name})
