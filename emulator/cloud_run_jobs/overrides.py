"""The overrides of a RunJobRequest: what one execution changes of its job."""

import re
from dataclasses import dataclass, field

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.messages import Message
from emulator.googleapi.timestamps import NANOS

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


def read(message: Message, container: str) -> Overrides:
    """The overrides in a RunJobRequest.Overrides; `container` is the name of the job's only container.

    Raises:
        InvalidArgumentError: a value is out of range, or the emulator does not support it.
    """
    containers = message.container_overrides
    if len(containers) > 1:
        raise _invalid("container_overrides", f"the job has one container, {container!r}")
    args, env = _container(containers[0], container) if containers else (None, {})
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


def _container(message: Message, container: str) -> tuple[list[str] | None, dict[str, str]]:
    path = "container_overrides[0]"
    if message.name not in ("", container):
        raise _invalid(f"{path}.name", f"the job has no container {message.name!r}, only {container!r}")
    if message.clear_args and message.args:
        raise _invalid(f"{path}.clear_args", "clear_args and args exclude each other")
    args = [_text(f"{path}.args", arg) for arg in message.args]
    env = dict(_variable(f"{path}.env[{index}]", variable) for index, variable in enumerate(message.env))
    return (args if args or message.clear_args else None), env


def _variable(path: str, message: Message) -> tuple[str, str]:
    if message.HasField("value_source"):
        raise _invalid(f"{path}.value_source", "variables from secrets are not emulated")
    name, value = _text(f"{path}.name", message.name), _text(f"{path}.value", message.value)
    if not name or "=" in name:
        raise _invalid(f"{path}.name", f"{name!r} is not a valid name of a variable")
    if _RESERVED.fullmatch(name):
        raise _invalid(f"{path}.name", f"the name {name} is reserved for variables that Cloud Run sets")
    return name, value


def _text(path: str, text: str) -> str:
    """`text` if a process can receive it as an argument or a variable."""
    if "\0" in text:
        raise _invalid(path, "must not contain a zero byte")
    return text


def _invalid(path: str, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"overrides.{path}: {problem}", field=f"overrides.{path}")
