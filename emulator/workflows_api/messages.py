"""Between the JSON of the APIs and the messages of the official client libraries."""

from collections.abc import Mapping
from typing import Any

from google.cloud.workflows.executions_v1 import types as executions
from google.cloud.workflows_v1 import types as workflows
from google.protobuf import json_format
from google.protobuf.message import Message

from emulator.googleapi.errors import InvalidArgumentError
from emulator.workflows_api.resources import Json

# The REST API has these fields; the Python messages of google-cloud-workflows 1.24.0 don't.
_REST_ONLY = {
    "createTime": str,
    "disableConcurrencyQuotaOverflowBuffering": bool,
    "executionHistoryLevel": str,
}
_SNAKE = {
    "create_time": "createTime",
    "disable_concurrency_quota_overflow_buffering": "disableConcurrencyQuotaOverflowBuffering",
    "execution_history_level": "executionHistoryLevel",
}


def read_workflow(body: Mapping[str, Any]) -> Json:
    """A Workflow from a request body, in canonical JSON (camelCase, enum names, nothing that has its default).

    Raises:
        InvalidArgumentError: an unknown field, or a value of the wrong type.
    """
    return _canonical(workflows.Workflow, body)


def read_execution(body: Mapping[str, Any]) -> Json:
    """An Execution from a request body, in canonical JSON.

    Raises:
        InvalidArgumentError: an unknown field, or a value of the wrong type.
    """
    body = {_SNAKE.get(key, key): value for key, value in body.items()}
    extra = {key: body.pop(key) for key in _REST_ONLY if key in body}
    for key, value in extra.items():
        if key == "executionHistoryLevel":
            extra[key] = _history_level(value)
        elif not isinstance(value, _REST_ONLY[key]):
            raise InvalidArgumentError(f"Invalid value at 'execution.{key}': {value!r}", field=f"execution.{key}")
    return {**_canonical(executions.Execution, body), **extra}


def _history_level(value: object) -> str:
    names = workflows.ExecutionHistoryLevel.__members__
    for name, member in names.items():
        if value in (name, member.value) and not isinstance(value, bool):
            return name if member.value else ""
    message = f"Invalid value at 'execution.executionHistoryLevel': {value!r}"
    raise InvalidArgumentError(message, field="execution.executionHistoryLevel")


def _canonical(kind: Any, body: Mapping[str, Any]) -> Json:
    message = kind.pb()()
    try:
        json_format.ParseDict(dict(body), message)
    except (json_format.ParseError, TypeError, AttributeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidArgumentError(f"Invalid JSON payload received. {reason}") from error
    return as_json(message)


def as_json(message: Message) -> Json:
    """A raw protobuf message as canonical JSON."""
    rendered: Json = json_format.MessageToDict(message)
    return rendered


def fill(message: Message, resource: Mapping[str, Any]) -> Message:
    """Put a JSON resource of ours into a raw message; what only REST has is left out."""
    json_format.ParseDict(dict(resource), message, ignore_unknown_fields=True)
    return message
