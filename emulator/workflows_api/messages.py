"""The resources in request bodies, validated and in the JSON form of the client library's messages."""

from typing import Any

from google.cloud.workflows.executions_v1 import types as executions
from google.cloud.workflows_v1 import types as workflows

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.messages import Json, as_json, read

# Fields of an Execution in REST that the messages of google-cloud-workflows 1.24.0 do not have, by their .proto names.
_REST_ONLY: dict[str, tuple[str, type]] = {
    "create_time": ("createTime", str),
    "disable_concurrency_quota_overflow_buffering": ("disableConcurrencyQuotaOverflowBuffering", bool),
    "execution_history_level": ("executionHistoryLevel", str),
}


def read_workflow(fields: Json) -> Json:
    """A Workflow.

    Raises:
        InvalidArgumentError: a field is unknown or its value has the wrong type.
    """
    return as_json(read(workflows.Workflow.pb(), fields, "workflow"))


def read_execution(fields: Json) -> Json:
    """An Execution, including the fields that only REST has.

    Raises:
        InvalidArgumentError: a field is unknown or its value has the wrong type.
    """
    fields, rest_only = dict(fields), {}
    for proto_name, (name, kind) in _REST_ONLY.items():
        for key in (name, proto_name):
            if key in fields:
                rest_only[name] = _checked(name, kind, fields.pop(key))
    return as_json(read(executions.Execution.pb(), fields, "execution")) | rest_only


def _checked(name: str, kind: type, value: object) -> Any:
    if name == "executionHistoryLevel":
        value = _history_level(value)
    if not isinstance(value, kind):
        raise InvalidArgumentError(f"Invalid value at 'execution.{name}': {value!r}", field=f"execution.{name}")
    return value


def _history_level(value: object) -> str | None:
    for name, member in workflows.ExecutionHistoryLevel.__members__.items():
        if value in (name, member.value) and not isinstance(value, bool):
            return name if member.value else ""
    return None
