"""The overrides of a RunJobRequest: what one execution changes of its job."""

import re
from dataclasses import dataclass, field

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.messages import Message
from emulator.googleapi.timestamps import NANOS
from emulator.stack.model import UNSAFE_VARIABLE, Job

_MAX_TASKS = 10_000
_MAX_TIMEOUT_S = 168 * 3600
_RESERVED = re.compile(r"PORT|K_SERVICE|K_REVISION|K_CONFIGURATION|CLOUD_RUN_.*|X_GOOGLE_.*")


@dataclass(frozen=True, slots=True)
class Overrides:
    """The settings of one execution; None leaves the job's own."""

    task_count: int | None = None
    timeout_s: float | None = None
    args: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)


def read(message: Message, job: Job) -> Overrides:
    """The overrides in a RunJobRequest.Overrides; the job's only container has the job's name.

    Raises:
        InvalidArgumentError: a value is out of range, not supported by the emulator, or not allowed by the stack file.
    """
    containers = message.container_overrides
    if len(containers) > 1:
        raise _invalid("container_overrides", f"the job has one container, {job.name!r}")
    args, env = _container(containers[0], job) if containers else (None, {})
    return Overrides(_task_count(message), _timeout_s(message), args, env)


def _task_count(message: Message) -> int | None:
    if not 0 <= message.task_count <= _MAX_TASKS:
        raise _invalid("task_count", f"must be from 1 to {_MAX_TASKS}")
    return message.task_count or None


def _timeout_s(message: Message) -> float | None:
    if not message.HasField("timeout"):
        return None
    seconds: float = message.timeout.ToNanoseconds() / NANOS
    if not 0 < seconds <= _MAX_TIMEOUT_S:
        raise _invalid("timeout", f"must be more than 0s and at most {_MAX_TIMEOUT_S}s")
    return seconds


def _container(message: Message, job: Job) -> tuple[list[str] | None, dict[str, str]]:
    path = "container_overrides[0]"
    if message.name not in ("", job.name):
        raise _invalid(f"{path}.name", f"the job has no container {message.name!r}, only {job.name!r}")
    if message.clear_args and message.args:
        raise _invalid(f"{path}.clear_args", "clear_args and args exclude each other")
    args = [_text(f"{path}.args", arg) for arg in message.args]
    if (args or message.clear_args) and not job.override_args:
        raise _invalid(f"{path}.args", _forbidden("replace the arguments", job, "override_args: true"))
    env = dict(_variable(f"{path}.env[{index}]", variable, job) for index, variable in enumerate(message.env))
    return (args if args or message.clear_args else None), env


def _variable(path: str, message: Message, job: Job) -> tuple[str, str]:
    if message.HasField("value_source"):
        raise _invalid(f"{path}.value_source", "variables from secrets are not emulated")
    name, value = _text(f"{path}.name", message.name), _text(f"{path}.value", message.value)
    if not name or "=" in name:
        raise _invalid(f"{path}.name", f"{name!r} is not a valid name of a variable")
    if _RESERVED.fullmatch(name):
        raise _invalid(f"{path}.name", f"the name {name} is reserved for variables that Cloud Run sets")
    if UNSAFE_VARIABLE.fullmatch(name):
        raise _invalid(f"{path}.name", f"{name} decides what a task runs, so the emulator lets no run set it")
    if name not in job.env and name not in job.overrides:
        raise _invalid(f"{path}.name", _forbidden(f"set {name}", job, f"overrides: [{name}]"))
    return name, value


def _forbidden(action: str, job: Job, key: str) -> str:
    return f"the stack file does not let a run {action}; to allow it, add {key} to jobs.{job.name}"


def _text(path: str, text: str) -> str:
    """`text` if a process can receive it as an argument or a variable."""
    if "\0" in text:
        raise _invalid(path, "must not contain a zero byte")
    return text


def _invalid(path: str, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"overrides.{path}: {problem}", field=f"overrides.{path}")
