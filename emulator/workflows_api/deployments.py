"""The service google.cloud.workflows.v1.Workflows: workflows, their revisions, and the operations on them."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from google.cloud.workflows_v1 import types
from google.longrunning import operations_pb2

from emulator import workflows as interpreter
from emulator.googleapi import paging, timestamps
from emulator.googleapi.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from emulator.googleapi.filters import Field, compile_filter, folded
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import json_method
from emulator.stack.model import PROJECT_NUMBER
from emulator.workflows_api import names, validation
from emulator.workflows_api.messages import read_workflow
from emulator.workflows_api.resources import Revision, Workflow, workflow_json
from emulator.workflows_api.store import Store

logger = logging.getLogger(__name__)

_WORKFLOW = "projects/*/locations/*/workflows/*"
_TYPES = "type.googleapis.com/google.cloud.workflows.v1."
_FIELDS = (
    Field("name", "string"),
    Field("workflowId", "string"),
    Field("description", "string"),
    Field("state", "enum", frozenset({"ACTIVE", "UNAVAILABLE"})),
    Field("revisionId", "string"),
    Field("createTime", "time"),
    Field("updateTime", "time"),
    Field("revisionCreateTime", "time"),
    Field("serviceAccount", "string"),
    Field("labels", "map"),
)
_ORDERED = ("name", "workflowId", "state", "revisionId", "createTime", "updateTime", "revisionCreateTime")
# The fields that requests may set: JSON name → attribute, default, check.
_SHARED: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
    "description": ("description", "", validation.description),
    "labels": ("labels", {}, partial(validation.labels, field="workflow.labels")),
    "callLogLevel": ("call_log_level", "", str),
    "executionHistoryLevel": ("history_level", "", str),
}
_REVISED: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
    "sourceContents": ("source", "", validation.source),
    "serviceAccount": ("service_account", "", str),
    "userEnvVars": ("user_env_vars", {}, validation.env_vars),
    "cryptoKeyName": ("crypto_key_name", "", str),
}
_UPDATABLE = (*_SHARED, *_REVISED)
_OUTPUT_ONLY = frozenset(map(folded, ("name", "state", "revisionId", "createTime", "updateTime")))


class Deployments:
    """The methods of the service, in JSON, and the compiled revisions.

    Args:
        forget: stops a workflow's executions before the workflow is deleted.
        now: nanoseconds since 1970.
    """

    def __init__(self, store: Store, *, forget: Callable[[str], None], now: Callable[[], int] = time.time_ns) -> None:
        self._store, self._forget, self._now = store, forget, now
        self._compiled: dict[tuple[str, str], interpreter.Workflow] = {}

    @json_method(
        "POST /v1/{parent=projects/*/locations/*}/workflows workflow",
        types.CreateWorkflowRequest.pb(),
        operations_pb2.Operation,
        read_body=read_workflow,
        needs="workflows.workflows.create",
    )
    def create(self, parent: str, workflow: Json, workflow_id: str = "") -> Json:
        """Create a workflow and return the operation, which has failed if the source does not compile.

        Raises:
            AlreadyExistsError: the id is taken.
            InvalidArgumentError: another field breaks a rule.
        """
        name = f"{names.location(parent)}/workflows/{validation.workflow_id(workflow_id)}"
        if self._store.workflow(name):
            raise AlreadyExistsError(f"Resource '{name}' already exists")
        now = self._now()
        shared = _shared(Workflow(name, "", now, now, tags=workflow.get("tags", {})), workflow, _UPDATABLE)
        empty = Revision(name, "", now, "", _service_account("", name), {})
        revision = replace(_revised(empty, workflow, _UPDATABLE), revision_id=names.new_revision(1))
        return self._operate("create", name, lambda: self._write(shared, revision))

    @json_method(
        f"PATCH /v1/{{workflow.name={_WORKFLOW}}} workflow",
        types.UpdateWorkflowRequest.pb(),
        operations_pb2.Operation,
        read_body=read_workflow,
        needs="workflows.workflows.update",
    )
    def update(self, workflow: Json, update_mask: str = "") -> Json:
        """Update a workflow and return the operation; without a mask, every field that `workflow` holds is updated.

        Raises:
            NotFoundError: the workflow does not exist.
            InvalidArgumentError: the mask or a field breaks a rule.
        """
        name = workflow.get("name", "")
        current, revision = self._current(name)
        fields = _masked(update_mask) if update_mask else [field for field in _UPDATABLE if field in workflow]
        now = self._now()
        shared = _shared(replace(current, update_time=now), workflow, fields)
        revised = _revised(revision, workflow, fields)
        if revised == revision:
            return self._operate("update", name, lambda: self._write(shared, None))
        ordinal = int(revision.revision_id.split("-")[0]) + 1
        revised = replace(revised, revision_id=names.new_revision(ordinal), create_time=now)
        return self._operate("update", name, lambda: self._write(shared, revised))

    @json_method(
        f"DELETE /v1/{{name={_WORKFLOW}}}",
        types.DeleteWorkflowRequest.pb(),
        operations_pb2.Operation,
        needs="workflows.workflows.delete",
    )
    def delete(self, name: str) -> Json:
        """Delete a workflow with its executions and return the operation.

        Raises:
            NotFoundError: the workflow does not exist.
        """
        self._current(name)

        def erase() -> Json:
            self._forget(name)
            for revision in self._store.revisions(name):
                self._compiled.pop((name, revision.revision_id), None)
            self._store.delete_workflow(name)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._operate("delete", name, erase)

    @json_method(
        f"GET /v1/{{name={_WORKFLOW}}}",
        types.GetWorkflowRequest.pb(),
        types.Workflow.pb(),
        needs="workflows.workflows.get",
    )
    def get(self, name: str, revision_id: str = "") -> Json:
        """A workflow at its current or another revision.

        Raises:
            NotFoundError: the workflow or the revision does not exist.
        """
        workflow, revision = self._current(name)
        if revision_id and revision_id != revision.revision_id:
            other = self._store.revision(name, revision_id)
            if other is None:
                raise NotFoundError(f"revision {revision_id!r} of workflow {name!r} does not exist")
            revision = other
        return workflow_json(workflow, revision)

    @json_method(
        "GET /v1/{parent=projects/*/locations/*}/workflows",
        types.ListWorkflowsRequest.pb(),
        types.ListWorkflowsResponse.pb(),
        needs="workflows.workflows.list",
    )
    def page(
        self, parent: str, *, page_size: str | int = 0, page_token: str = "", filter: str = "", order_by: str = ""
    ) -> Json:
        """A page of the workflows of a location."""
        names.location(parent)
        size = paging.page_size(page_size, default=500, largest=1000)
        keep, order = compile_filter(filter, _FIELDS), paging.parse_order(order_by, _ORDERED)
        pairs = [(workflow, self._revision(workflow)) for workflow in self._store.workflows(parent)]
        pairs = paging.selection(pairs, _record, keep, order)
        page, token = paging.page(pairs, size, page_token, parent, filter, order_by)
        return paging.listing("workflows", [workflow_json(*pair) for pair in page], token)

    @json_method(
        f"GET /v1/{{name={_WORKFLOW}}}:listRevisions",
        types.ListWorkflowRevisionsRequest.pb(),
        types.ListWorkflowRevisionsResponse.pb(),
        needs="workflows.workflows.listRevision",
    )
    def list_revisions(self, name: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the revisions of a workflow, newest first."""
        workflow, _ = self._current(name)
        size = paging.page_size(page_size, default=20, largest=100)
        page, token = paging.page(self._store.revisions(name), size, page_token, name)
        return paging.listing("workflows", [workflow_json(workflow, revision) for revision in page], token)

    def deploy(
        self, name: str, source: str, env: Mapping[str, str], service_account: str = "", history_level: str = ""
    ) -> str:
        """Create or update a workflow and return its revision's id; an unchanged workflow keeps its revision.

        Raises:
            ApiError: the source or another value is not valid.
        """
        resource: Json = {"sourceContents": source, "userEnvVars": dict(env)}
        if service_account:
            resource["serviceAccount"] = service_account
        if history_level:
            resource["executionHistoryLevel"] = history_level
        if self._store.workflow(name):
            operation = self.update({**resource, "name": name}, ",".join(resource))
        else:
            operation = self.create(names.parent(name), resource, names.last(name))
        if "error" in operation:
            raise InvalidArgumentError(operation["error"]["message"], field="workflow.source_contents")
        return str(operation["response"]["revisionId"])

    def for_execution(self, name: str) -> tuple[Workflow, Revision]:
        """The workflow and the revision that a new execution runs.

        Raises:
            NotFoundError: the workflow does not exist.
        """
        return self._current(name)

    def pinned(self, name: str, revision_id: str) -> tuple[Revision, interpreter.Workflow]:
        """A revision and its compiled source; a revision is compiled once for all its executions.

        Raises:
            NotFoundError: the revision does not exist.
            WorkflowSyntaxError: the stored source no longer compiles.
        """
        revision = self._store.revision(name, revision_id)
        if revision is None:
            raise NotFoundError(f"revision {revision_id!r} of workflow {name!r} does not exist")
        key = (name, revision_id)
        if key not in self._compiled:
            self._compiled[key] = interpreter.load(revision.source, "main.yaml")
        return revision, self._compiled[key]

    def _current(self, name: str) -> tuple[Workflow, Revision]:
        workflow = self._store.workflow(names.workflow(name))
        if workflow is None:
            raise NotFoundError(f"Resource '{name}' was not found")
        return workflow, self._revision(workflow)

    def _revision(self, workflow: Workflow) -> Revision:
        revision = self._store.revision(workflow.name, workflow.revision_id)
        if revision is None:
            raise LookupError(f"the store has no revision {workflow.revision_id} of {workflow.name}")
        return revision

    def _write(self, workflow: Workflow, revision: Revision | None) -> Json:
        if revision is not None:
            workflow = replace(workflow, revision_id=revision.revision_id)
            compiled = interpreter.load(revision.source, "main.yaml")
            self._compiled[workflow.name, revision.revision_id] = compiled
        self._store.put_workflow(workflow, revision)
        return {"@type": _TYPES + "Workflow", **workflow_json(workflow, revision or self._revision(workflow))}

    def _operate(self, verb: str, target: str, change: Callable[[], Json]) -> Json:
        location, began = names.parent(target), self._now()
        operation: Json = {
            "name": names.new_operation(location, began // 1_000_000),
            "metadata": {
                "@type": _TYPES + "OperationMetadata",
                "createTime": timestamps.rfc3339(began),
                "endTime": timestamps.rfc3339(began),
                "target": target,
                "verb": verb,
                "apiVersion": "v1",
            },
            "done": True,
        }
        try:
            operation["response"] = change()
        except interpreter.WorkflowSyntaxError as error:
            refusal = InvalidArgumentError(str(error), field="workflow.source_contents")
            operation["error"] = refusal.rpc_status()
        operation["metadata"]["endTime"] = timestamps.rfc3339(self._now())
        self._store.add_operation(location, operation)
        logger.info(
            "workflow operation",
            extra={"verb": verb, "workflow": target, "refused": "error" in operation},
        )
        return operation


def _masked(mask: str) -> list[str]:
    known = {folded(field): field for field in _UPDATABLE}
    fields = []
    for path in filter(None, (part.strip() for part in mask.split(","))):
        if path == "*":
            return list(_UPDATABLE)
        if folded(path) in known:
            fields.append(known[folded(path)])
        elif folded(path) not in _OUTPUT_ONLY:
            raise InvalidArgumentError(f"update mask: {path!r} cannot be updated", field="update_mask")
    return fields


def _shared(workflow: Workflow, resource: Json, fields: Collection[str]) -> Workflow:
    return replace(workflow, **_changes(_SHARED, resource, fields))


def _revised(revision: Revision, resource: Json, fields: Collection[str]) -> Revision:
    changes = _changes(_REVISED, resource, fields)
    if "service_account" in changes:
        changes["service_account"] = _service_account(changes["service_account"], revision.workflow)
    return replace(revision, **changes)


def _changes(
    table: Mapping[str, tuple[str, Any, Callable[[Any], Any]]], resource: Json, fields: Collection[str]
) -> dict[str, Any]:
    return {
        attribute: check(resource.get(name, default))
        for name, (attribute, default, check) in table.items()
        if name in fields
    }


def _service_account(account: str, workflow_name: str) -> str:
    """The full name of a service account; "" stands for the project's default account."""
    account = account.rsplit("/", 1)[-1] or f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
    return f"projects/{names.project(workflow_name)}/serviceAccounts/{account}"


def _record(pair: tuple[Workflow, Revision]) -> dict[str, Any]:
    workflow, revision = pair
    return {
        "name": workflow.name,
        "workflowId": names.last(workflow.name),
        "description": workflow.description,
        "state": "ACTIVE",
        "revisionId": revision.revision_id,
        "createTime": workflow.create_time,
        "updateTime": workflow.update_time,
        "revisionCreateTime": revision.create_time,
        "serviceAccount": revision.service_account,
        "labels": workflow.labels,
    }
