"""The Workflows management API: workflows, their revisions, and the operations that change them."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from emulator import workflows as interpreter
from emulator.googleapi import paging, timestamps
from emulator.googleapi.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from emulator.googleapi.filters import Field, compile_filter, folded
from emulator.workflows_api import names, validation
from emulator.workflows_api.resources import Json, Revision, Workflow, workflow_json
from emulator.workflows_api.store import Store

logger = logging.getLogger(__name__)

PROJECT_NUMBER = "123456789012"
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
_UPDATABLE = (
    "description",
    "labels",
    "serviceAccount",
    "sourceContents",
    "cryptoKeyName",
    "callLogLevel",
    "userEnvVars",
    "executionHistoryLevel",
)
_OUTPUT_ONLY = frozenset(map(folded, ("name", "state", "revisionId", "createTime", "updateTime")))


class Deployments:
    """Workflows as deployed; compiles each revision once, for all its executions.

    ``forget`` is called with a workflow's name before it is deleted, so that its executions can be stopped.
    """

    def __init__(self, store: Store, *, forget: Callable[[str], None], now: Callable[[], int] = time.time_ns) -> None:
        self._store, self._forget, self._now = store, forget, now
        self._compiled: dict[tuple[str, str], interpreter.Workflow] = {}

    def create(self, parent: str, workflow_id: str, resource: Json) -> Json:
        """The operation that created a workflow, or that holds why its source was refused.

        Raises:
            AlreadyExistsError: the id is taken.
            InvalidArgumentError: any other field breaks a rule.
        """
        name = f"{names.location(parent)}/workflows/{validation.workflow_id(workflow_id)}"
        if self._store.workflow(name):
            raise AlreadyExistsError(f"Resource '{name}' already exists")
        now = self._now()
        shared = _shared(Workflow(name, "", now, now, tags=resource.get("tags", {})), resource, _UPDATABLE)
        empty = Revision(name, "", now, "", _service_account("", name), {})
        revision = replace(_revised(empty, resource, _UPDATABLE), revision_id=names.new_revision(1))
        return self._operate("create", name, lambda: self._write(shared, revision))

    def update(self, name: str, resource: Json, mask: str | None) -> Json:
        """The operation that updated a workflow; without a mask, every field that ``resource`` holds.

        Raises:
            NotFoundError: no such workflow.
            InvalidArgumentError: the mask or a field breaks a rule.
        """
        workflow, revision = self._current(name)
        fields = _masked(mask) if mask else [field for field in _UPDATABLE if field in resource]
        now = self._now()
        shared = _shared(replace(workflow, update_time=now), resource, fields)
        revised = _revised(revision, resource, fields)
        if revised == revision:
            return self._operate("update", name, lambda: self._write(shared, None))
        ordinal = int(revision.revision_id.split("-")[0]) + 1
        revised = replace(revised, revision_id=names.new_revision(ordinal), create_time=now)
        return self._operate("update", name, lambda: self._write(shared, revised))

    def delete(self, name: str) -> Json:
        """The operation that deleted a workflow, and with it its executions.

        Raises:
            NotFoundError: no such workflow.
        """
        self._current(name)

        def erase() -> Json:
            self._forget(name)
            for revision in self._store.revisions(name):
                self._compiled.pop((name, revision.revision_id), None)
            self._store.delete_workflow(name)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._operate("delete", name, erase)

    def get(self, name: str, revision_id: str = "") -> Json:
        """A workflow, showing its current or another revision.

        Raises:
            NotFoundError: no such workflow or revision.
        """
        workflow, revision = self._current(name)
        if revision_id and revision_id != revision.revision_id:
            other = self._store.revision(name, revision_id)
            if other is None:
                raise NotFoundError(f"revision {revision_id!r} of workflow {name!r} does not exist")
            revision = other
        return workflow_json(workflow, revision)

    def page(
        self, parent: str, *, page_size: str | int = 0, page_token: str = "", filter: str = "", order_by: str = ""
    ) -> Json:
        """A page of the workflows of a location."""
        names.location(parent)
        size = validation.page_size(page_size, default=500, largest=1000)
        keep, order = compile_filter(filter, _FIELDS), paging.parse_order(order_by, _ORDERED)
        cursor = paging.unseal(page_token, parent, filter, order_by)
        pairs = [(workflow, self._revision(workflow)) for workflow in self._store.workflows(parent)]
        page, _, following = paging.cut(pairs, record=_record, keep=keep, order=order, skip=cursor.skip, size=size)
        answer: Json = {"workflows": [workflow_json(*pair) for pair in page]}
        if following is not None:
            answer["nextPageToken"] = paging.seal(paging.Cursor(following), parent, filter, order_by)
        return answer

    def list_revisions(self, name: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the revisions of a workflow, newest first."""
        workflow, _ = self._current(name)
        size = validation.page_size(page_size, default=20, largest=100)
        cursor = paging.unseal(page_token, name)
        revisions = self._store.revisions(name)
        page = revisions[cursor.skip : cursor.skip + size]
        answer: Json = {"workflows": [workflow_json(workflow, revision) for revision in page]}
        if cursor.skip + size < len(revisions):
            answer["nextPageToken"] = paging.seal(paging.Cursor(cursor.skip + size), name)
        return answer

    def deploy(self, name: str, source: str, env: Mapping[str, str], service_account: str = "") -> str:
        """Create or update a workflow and return its revision's id; what has not changed keeps its revision.

        Raises:
            ApiError: what was given is refused.
        """
        resource: Json = {"sourceContents": source, "userEnvVars": dict(env)}
        if service_account:
            resource["serviceAccount"] = service_account
        if self._store.workflow(name):
            operation = self.update(name, resource, ",".join(resource))
        else:
            operation = self.create(names.parent(name), names.last(name), resource)
        if "error" in operation:
            raise InvalidArgumentError(operation["error"]["message"], field="workflow.source_contents")
        return str(operation["response"]["revisionId"])

    def for_execution(self, name: str) -> tuple[Workflow, Revision]:
        """The workflow and the revision that a new execution is pinned to.

        Raises:
            NotFoundError: no such workflow.
        """
        return self._current(name)

    def pinned(self, name: str, revision_id: str) -> tuple[Revision, interpreter.Workflow]:
        """A revision and its compiled source.

        Raises:
            NotFoundError: no such revision.
            WorkflowSyntaxError: the stored source does not compile any more.
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
            raise LookupError(f"{workflow.name} has lost its revision {workflow.revision_id}")
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


def _shared(workflow: Workflow, resource: Json, fields: Any) -> Workflow:
    changes: Json = {}
    if "description" in fields:
        changes["description"] = validation.description(resource.get("description", ""))
    if "labels" in fields:
        changes["labels"] = validation.labels(resource.get("labels", {}), "workflow.labels")
    if "callLogLevel" in fields:
        changes["call_log_level"] = resource.get("callLogLevel", "")
    if "executionHistoryLevel" in fields:
        changes["history_level"] = resource.get("executionHistoryLevel", "")
    return replace(workflow, **changes)


def _revised(revision: Revision, resource: Json, fields: Any) -> Revision:
    changes: Json = {}
    if "sourceContents" in fields:
        changes["source"] = validation.source(resource.get("sourceContents", ""))
    if "serviceAccount" in fields:
        changes["service_account"] = _service_account(resource.get("serviceAccount", ""), revision.workflow)
    if "userEnvVars" in fields:
        changes["user_env_vars"] = validation.env_vars(resource.get("userEnvVars", {}))
    if "cryptoKeyName" in fields:
        changes["crypto_key_name"] = resource.get("cryptoKeyName", "")
    return replace(revision, **changes)


def _service_account(given: str, workflow_name: str) -> str:
    """The full name of a service account; none means the project's default one."""
    account = given.rsplit("/", 1)[-1] or f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
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
