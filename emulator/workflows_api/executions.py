"""The service google.cloud.workflows.executions.v1.Executions, and what only its REST form has."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.cloud.workflows.executions_v1 import types

from emulator.googleapi import paging, timestamps
from emulator.googleapi.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    MethodNotAllowedError,
    NotFoundError,
    ResourceExhaustedError,
)
from emulator.googleapi.filters import Field, Predicate, compile_filter
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import json_method, require
from emulator.workflows import Callback, CallbackRegistry
from emulator.workflows_api import names, validation
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.messages import read_execution
from emulator.workflows_api.resources import STATES, UNFINISHED, Execution, execution_json
from emulator.workflows_api.runner import Runner
from emulator.workflows_api.store import ORDER_COLUMNS, Store

_FIELDS = (
    Field("executionId", "string"),
    Field("state", "enum", STATES),
    Field("createTime", "time"),
    Field("startTime", "time"),
    Field("endTime", "time"),
    Field("duration", "duration"),
    Field("workflowRevisionId", "string"),
    Field("stepName", "list"),
    Field("labels", "map"),
    Field("label", "map"),
    Field("disableConcurrencyQuotaOverflowBuffering", "bool"),
)
_ENTRY_STATES = frozenset(f"STATE_{state}" for state in ("IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELLED"))
_ENTRY_FIELDS = (
    Field("entryId", "number"),
    Field("createTime", "time"),
    Field("updateTime", "time"),
    Field("routine", "string"),
    Field("step", "string"),
    Field("stepType", "string"),
    Field("parent", "number"),
    Field("state", "enum", _ENTRY_STATES | {state.removeprefix("STATE_") for state in _ENTRY_STATES}),
)
_ENTRY_ORDERED = ("entryId", "createTime", "updateTime", "routine", "step", "stepType", "state")
_CREATE = "workflows.executions.create"
_WORKFLOW = "projects/*/locations/*/workflows/*"
_EXECUTION = f"{_WORKFLOW}/executions/*"
_VIEWS = {"": None, "EXECUTION_VIEW_UNSPECIFIED": None, "BASIC": False, "FULL": True, "0": None, "1": False, "2": True}
_MAX_PAGE = {False: 1000, True: 100}
_ENTRY_VIEWS = tuple(f"EXECUTION_ENTRY_VIEW_{name}" for name in ("UNSPECIFIED", "BASIC", "DETAILED"))


class Executions:
    """The methods of the service, in JSON."""

    def __init__(
        self,
        store: Store,
        deployments: Deployments,
        runner: Runner,
        callbacks: CallbackRegistry,
        *,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store, self._deployments, self._runner = store, deployments, runner
        self._callbacks, self._now = callbacks, now

    @json_method(
        f"POST /v1/{{parent={_WORKFLOW}}}/executions execution",
        types.CreateExecutionRequest.pb(),
        types.Execution.pb(),
        read_body=read_execution,
        needs=_CREATE,
    )
    def create(self, parent: str, execution: Json) -> Json:
        """Start an execution of a workflow's current revision; it is stored before this returns.

        Raises:
            NotFoundError: the workflow does not exist.
            InvalidArgumentError: the argument or a label breaks a rule.
            ResourceExhaustedError: too many executions are running and queued.
        """
        workflow, revision = self._deployments.for_execution(names.workflow(parent))
        labels = workflow.labels | validation.labels(execution.get("labels", {}), "execution.labels")
        created = Execution(
            name=names.new_execution(parent),
            workflow=parent,
            revision_id=revision.revision_id,
            state="",
            create_time=self._now(),
            argument=validation.argument(execution.get("argument", "")),
            labels=validation.labels(labels, "execution.labels"),
            call_log_level=execution.get("callLogLevel") or workflow.call_log_level,
            history_level=execution.get("executionHistoryLevel") or workflow.history_level,
            no_buffering=bool(execution.get("disableConcurrencyQuotaOverflowBuffering")),
        )
        self._runner.submit(created)
        return execution_json(created, full=True)

    @json_method(
        f"GET /v1/{{name={_EXECUTION}}}",
        types.GetExecutionRequest.pb(),
        types.Execution.pb(),
        needs="workflows.executions.get",
    )
    def get(self, name: str, view: str = "") -> Json:
        """An execution, in the FULL view by default.

        Raises:
            NotFoundError: the execution does not exist.
        """
        full = _view(view)
        return execution_json(self._execution(name), full=full is not False)

    @json_method(
        f"GET /v1/{{parent={_WORKFLOW}}}/executions",
        types.ListExecutionsRequest.pb(),
        types.ListExecutionsResponse.pb(),
        needs="workflows.executions.list",
    )
    def page(
        self,
        parent: str,
        *,
        page_size: str | int = 0,
        page_token: str = "",
        view: str = "",
        filter: str = "",
        order_by: str = "",
    ) -> Json:
        """A page of a workflow's executions, by default in the BASIC view and newest first.

        Raises:
            NotFoundError: the workflow does not exist.
            InvalidArgumentError: filter, order, view or page token is not valid.
        """
        self._deployments.for_execution(parent)
        full = bool(_view(view))
        size = paging.page_size(page_size, default=100, largest=_MAX_PAGE[full])
        keep, order = compile_filter(filter, _FIELDS), paging.parse_order(order_by, ORDER_COLUMNS)
        request = (parent, filter, order_by)
        cursor = paging.unseal(page_token, *request)
        ceiling = self._store.ceiling() if cursor.ceiling is None else cursor.ceiling
        stored = self._store.executions(parent, order, ceiling=ceiling, skip=cursor.skip, full=full)
        page, read, more = self._collect(stored, keep, size)
        token = paging.seal(paging.Cursor(cursor.skip + read, ceiling), *request) if more else ""
        return paging.listing("executions", [execution_json(execution, full=full) for execution in page], token)

    def _collect(self, stored: Iterator[Execution], keep: Predicate, size: int) -> tuple[list[Execution], int, bool]:
        """The first `size` executions that a filter keeps, the rows read up to them, and whether more follow."""
        page: list[Execution] = []
        read = 0
        for row, execution in enumerate(stored):
            run = self._runner.find(execution.name)
            current = run.execution if run else execution
            if not keep(_record(current)):
                continue
            if len(page) == size:
                return page, read, True
            page.append(current)
            read = row + 1
        return page, read, False

    @json_method(
        f"POST /v1/{{name={_EXECUTION}}}:cancel",
        types.CancelExecutionRequest.pb(),
        types.Execution.pb(),
        needs="workflows.executions.cancel",
    )
    def cancel(self, name: str) -> Json:
        """Cancel an unfinished execution.

        Raises:
            NotFoundError: the execution does not exist.
            FailedPreconditionError: the execution has ended.
        """
        execution = self._execution(name)
        if execution.state not in UNFINISHED:
            raise FailedPreconditionError(
                f"execution {name!r} cannot be cancelled: it has ended in state {execution.state}"
            )
        return execution_json(self._runner.cancel(name), full=True)

    @json_method(f"GET /v1/{{name={_EXECUTION}}}:exportData", needs="workflows.executions.get")
    def export_data(self, name: str) -> Json:
        """An execution and its step entries as JSON text."""
        execution = execution_json(self._execution(name), full=True)
        return {"data": json.dumps({"execution": execution, "stepEntries": self._entries(name)})}

    @json_method(f"POST /v1/{{name={_EXECUTION}}}:deleteExecutionHistory", needs="workflows.executions.cancel")
    def delete_history(self, name: str) -> Json:
        """Delete the step entries of an execution that has ended.

        Raises:
            FailedPreconditionError: the execution is unfinished.
        """
        if self._execution(name).state in UNFINISHED:
            raise FailedPreconditionError(f"execution {name!r} is still running: its history cannot be deleted")
        self._store.delete_history(name)
        return {}

    @json_method(f"GET /v1/{{parent={_EXECUTION}}}/stepEntries", needs="workflows.stepEntries.list")
    def step_entries(
        self,
        parent: str,
        *,
        page_size: str | int = 0,
        page_token: str = "",
        skip: str | int = 0,
        filter: str = "",
        order_by: str = "",
        view: str = "",
    ) -> Json:
        """A page of an execution's step entries, by default in the order of their ids; `skip` leaves entries out.

        Raises:
            NotFoundError: the execution does not exist.
            InvalidArgumentError: filter, order, view or page token is not valid.
        """
        self._execution(parent)
        size = paging.page_size(page_size, default=1000, largest=1000)
        jump = paging.page_size(skip, default=0, largest=10**9)
        keep, order = compile_filter(filter, _ENTRY_FIELDS), paging.parse_order(order_by, _ENTRY_ORDERED)
        entries = paging.selection(self._entries(parent), _entry_record, keep, order)
        page, token = paging.page(entries, size, page_token, parent, filter, order_by, jump=jump)
        shown = [_in_view(entry, view) for entry in page]
        return paging.listing("stepEntries", shown, token) | {"totalSize": len(entries)}

    @json_method(f"GET /v1/{{name={_EXECUTION}/stepEntries/*}}", needs="workflows.stepEntries.get")
    def step_entry(self, name: str, view: str = "") -> Json:
        """A step entry.

        Raises:
            NotFoundError: the execution or the entry does not exist.
            InvalidArgumentError: the view is not valid.
        """
        self._execution(names.parent(name))
        for entry in self._entries(names.parent(name)):
            if entry["name"] == name:
                return _in_view(entry, view)
        raise NotFoundError(f"step entry {name!r} was not found")

    @json_method(f"GET /v1/{{parent={_EXECUTION}}}/callbacks", needs="workflows.callbacks.list")
    def callbacks(self, parent: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of an execution's open callbacks, in the order of their ids."""
        self._execution(parent)
        size = paging.page_size(page_size, default=100, largest=100)
        callbacks = sorted(self._callbacks.list(parent), key=lambda callback: callback.name)
        page, token = paging.page(callbacks, size, page_token, parent)
        return paging.listing("callbacks", [_callback_json(callback) for callback in page], token)

    def call_back(self, name: str, request: Mapping[str, Any]) -> Json:
        """Deliver an HTTP request, `{body, headers, method, query, url}`, to a callback.

        Raises:
            NotFoundError: the callback does not exist, or its execution has ended.
            MethodNotAllowedError: the callback was created for another HTTP method.
            ResourceExhaustedError: the callback has too many unread requests.
        """
        require("workflows.callbacks.send", name)
        status = self._callbacks.deliver(name, dict(request), timestamps.rfc3339(self._now()))
        if status == 404:
            raise NotFoundError(f"callback {name!r} was not found")
        if status == 405:
            raise MethodNotAllowedError(f"callback {name!r} does not accept {request['method']}")
        if status == 429:
            raise ResourceExhaustedError(f"callback {name!r} has too many requests that the workflow has not read")
        return {}

    def trigger_pubsub(self, workflow: str, body: Mapping[str, Any]) -> Json:
        """Start an execution whose argument is the CloudEvent that Eventarc makes of a Pub/Sub push.

        Raises:
            InvalidArgumentError: the push has no subscription or no message.
        """
        message = body.get("message")
        subscription = body.get("subscription")
        if not isinstance(message, dict) or not message:
            raise InvalidArgumentError("message is required", field="message")
        if not isinstance(subscription, str) or not subscription:
            raise InvalidArgumentError("subscription is required", field="subscription")
        require(_CREATE, workflow)
        topic = str(body.get("GCPCloudEventsMode", "")).removeprefix("CUSTOM_PUBSUB_")
        event = _pubsub_event(message, subscription, topic or subscription, timestamps.rfc3339(self._now()))
        return self.create(workflow, {"argument": json.dumps(event)})

    def _execution(self, name: str) -> Execution:
        run = self._runner.find(names.execution(name))
        if run:
            return run.execution
        execution = self._store.execution(name)
        if execution is None:
            raise NotFoundError(f"execution {name!r} was not found")
        return execution

    def _entries(self, name: str) -> list[Json]:
        run = self._runner.find(name)
        return run.history.entries() if run else self._store.history(name)


def _view(text: str) -> bool | None:
    if text not in _VIEWS:
        raise InvalidArgumentError(f"Invalid value at 'view': {text!r}", field="view")
    return _VIEWS[text]


def _in_view(entry: Json, view: str) -> Json:
    """A step entry in a view; the basic one leaves variables out."""
    if view and view not in _ENTRY_VIEWS:
        raise InvalidArgumentError(f"Invalid value at 'view': {view!r}", field="view")
    if view != _ENTRY_VIEWS[1]:
        return entry
    return {name: value for name, value in entry.items() if name != "variableData"}


def _record(execution: Execution) -> dict[str, Any]:
    return {
        "executionId": names.last(execution.name),
        "state": execution.state,
        "createTime": execution.create_time,
        "startTime": execution.start_time,
        "endTime": execution.end_time,
        "duration": execution.duration,
        "workflowRevisionId": execution.revision_id,
        "stepName": [step["step"] for step in execution.current_steps],
        "labels": execution.labels,
        "label": execution.labels,
        "disableConcurrencyQuotaOverflowBuffering": execution.no_buffering,
    }


def _entry_record(entry: Json) -> dict[str, Any]:
    parent = entry.get("navigationInfo", {}).get("parent")
    return {
        **entry,
        "state": entry["state"].removeprefix("STATE_"),
        "entryId": int(entry["entryId"]),
        "createTime": timestamps.parse_time(entry["createTime"]),
        "updateTime": timestamps.parse_time(entry["updateTime"]),
        "parent": None if parent is None else int(parent),
    }


def _callback_json(callback: Callback) -> Json:
    rendered: Json = {"name": callback.name, "method": callback.method}
    if callback.waiters:
        rendered["waiters"] = str(callback.waiters)
    if callback.received:
        rendered["availablePayloads"] = [json.dumps(request) for request in callback.received]
    return rendered


def _pubsub_event(message: Json, subscription: str, source: str, now: str) -> Json:
    return {
        "specversion": "1.0",
        "id": str(message.get("messageId", "")),
        "source": f"//pubsub.googleapis.com/{source}",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "datacontenttype": "application/json",
        "time": message.get("publishTime", now),
        "data": {"subscription": subscription, "message": message},
    }
