"""Reads the bodies of requests, as strictly as Google does: unknown fields and wrong types are refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.timestamps import NANOS, parse_duration
from emulator.workflows_api.resources import Json

_MAX_TASKS = 10_000
_MAX_TIMEOUT_S = 168 * 3600
_RESERVED = re.compile(r"PORT|K_SERVICE|K_REVISION|K_CONFIGURATION|CLOUD_RUN_.*|X_GOOGLE_.*")
_CAMEL = re.compile(r"_([a-z])")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a request changes of a job for one execution; None leaves the job's own."""

    task_count: int | None = None
    timeout_s: float | None = None
    args: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A RunJobRequest."""

    overrides: Overrides
    validate_only: bool
    etag: str


def read_run(body: Json, container: str) -> RunRequest:
    """A RunJobRequest; `container` is the name of the job's only container.

    Raises:
        InvalidArgumentError: a field is unknown, of a wrong type, or out of range.
    """
    given = _fields("", body, "name", "overrides", "validateOnly", "etag")
    overrides = _fields("overrides", given.get("overrides"), "taskCount", "timeout", "containerOverrides")
    changes = _typed("overrides.container_overrides", overrides.get("containerOverrides"), list, [])
    if len(changes) > 1:
        raise _invalid("overrides.container_overrides", f"the job has one container, {container!r}")
    args, env = _container(changes[0], container) if changes else (None, {})
    return RunRequest(
        Overrides(_count(overrides.get("taskCount")), _timeout(overrides.get("timeout")), args, env),
        _typed("validate_only", given.get("validateOnly"), bool, False),
        _typed("etag", given.get("etag"), str, ""),
    )


def read_cancel(body: Json) -> None:
    """A CancelExecutionRequest, of which nothing is needed."""
    _fields("", body, "name", "validateOnly", "etag")


def read_wait(body: Json, longest_s: float) -> float:
    """A WaitOperationRequest's timeout in seconds; `longest_s` where it has none or a longer one."""
    timeout = _seconds("timeout", _fields("", body, "name", "timeout").get("timeout"))
    return longest_s if timeout is None else min(timeout, longest_s)


def _container(value: object, container: str) -> tuple[list[str] | None, dict[str, str]]:
    where = "overrides.container_overrides[0]"
    given = _fields(where, value, "name", "args", "env", "clearArgs")
    name = _typed(f"{where}.name", given.get("name"), str, "")
    if name not in ("", container):
        raise _invalid(f"{where}.name", f"the job has no container {name!r}, only {container!r}")
    args = [_text(f"{where}.args", arg) for arg in _typed(f"{where}.args", given.get("args"), list, [])]
    clear = _typed(f"{where}.clear_args", given.get("clearArgs"), bool, False)
    if clear and args:
        raise _invalid(f"{where}.clear_args", "clear_args and args exclude each other")
    variables = _typed(f"{where}.env", given.get("env"), list, [])
    env = dict(_variable(f"{where}.env[{index}]", variable) for index, variable in enumerate(variables))
    return (args if args or clear else None), env


def _variable(where: str, value: object) -> tuple[str, str]:
    given = _fields(where, value, "name", "value", "valueSource")
    if given.get("valueSource"):
        raise _invalid(f"{where}.value_source", "variables from secrets are not emulated")
    name, text = _text(f"{where}.name", given.get("name")), _text(f"{where}.value", given.get("value"))
    if not name or "=" in name:
        raise _invalid(f"{where}.name", f"{name!r} cannot name a variable")
    if _RESERVED.fullmatch(name):
        raise _invalid(f"{where}.name", f"the name {name} is reserved: the system sets such variables")
    return name, text


def _count(value: object) -> int | None:
    where = "overrides.task_count"
    if isinstance(value, str) and value.isdecimal():  # which JSON of protobuf allows for numbers
        value = int(value)
    count = _typed(where, value, int, 0)
    if not 0 <= count <= _MAX_TASKS:
        raise _invalid(where, f"must be from 1 to {_MAX_TASKS}")
    return count or None


def _timeout(value: object) -> float | None:
    where = "overrides.timeout"
    timeout = _seconds(where, value)
    if timeout is not None and not 0 < timeout <= _MAX_TIMEOUT_S:
        raise _invalid(where, f"must be more than 0s and at most {_MAX_TIMEOUT_S}s")
    return timeout


def _seconds(where: str, value: object) -> float | None:
    text = _typed(where, value, str, "")
    try:
        return parse_duration(text) / NANOS if text else None
    except ValueError as error:
        raise _invalid(where, str(error)) from None


def _fields(where: str, value: object, *known: str) -> Mapping[str, Any]:
    """A message's fields by their JSON names; the names of the .proto file are understood too."""
    given = _typed(where, value, dict, {})
    fields = {_CAMEL.sub(lambda match: match[1].upper(), name): item for name, item in given.items()}
    for name in fields:
        if name not in known:
            at = f" at '{where}'" if where else ""
            message = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            raise InvalidArgumentError(message, field=where)
    return fields


def _typed(where: str, value: object, kind: type[_T], missing: _T) -> _T:
    if value is None:
        return missing
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        message = f"Invalid value at '{where}' ({kind.__name__}), {value!r:.100}"
        raise InvalidArgumentError(message, field=where)
    return value


def _text(where: str, value: object) -> str:
    """A string that a process can be given."""
    text = _typed(where, value, str, "")
    if "\0" in text:
        raise _invalid(where, "holds a zero byte")
    return text


def _invalid(where: str, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{where}: {problem}", field=where)
