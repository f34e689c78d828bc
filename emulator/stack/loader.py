"""Reads a stack file and checks it before anything starts."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from emulator.stack import cron
from emulator.stack.model import (
    UNSAFE_VARIABLE,
    Backoff,
    Bucket,
    Job,
    Ports,
    Retention,
    Schedule,
    Service,
    Stack,
    StackError,
    Subscription,
    Trigger,
    WorkflowFile,
)
from emulator.stack.problems import problems

_Entry = TypeVar("_Entry")


def load(path: Path) -> Stack:
    """Read a stack file.

    Raises:
        StackError: it cannot be read, is not YAML, breaks the schema, or refers to something it does not define.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StackError(f"{path}: not YAML: {error}") from error
    _refuse(path, problems(document))
    stack = _stack(path, _given(document))
    _refuse(path, [*_unsafe_overrides(stack), *_broken_references(stack), *_impossible_schedules(stack)])
    return stack


def _refuse(path: Path, mistakes: list[str]) -> None:
    if mistakes:
        raise StackError("\n".join(f"{path}: {mistake}" for mistake in mistakes))


def _stack(path: Path, document: Mapping[str, Any]) -> Stack:
    simple = {key: document[key] for key in ("project", "location", "topics", "env", "examples") if key in document}
    return Stack(
        path=path,
        root=(path.parent / document.get("root", ".")).resolve(),
        ports=Ports(**document.get("ports", {})),
        buckets=_entries(Bucket, document.get("buckets")),
        subscriptions=_entries(Subscription, document.get("subscriptions")),
        services=_entries(Service, document.get("services")),
        jobs=_entries(Job, document.get("jobs")),
        triggers=_entries(Trigger, document.get("triggers")),
        retention=Retention(**_given(document.get("retention"))),
        workflows=_entries(WorkflowFile, document.get("workflows")),
        schedules=_entries(Schedule, document.get("schedules")),
        **simple,
    )


def _entries(kind: Callable[..., _Entry], section: Mapping[str, Any] | None) -> tuple[_Entry, ...]:
    return tuple(kind(name=name, **_given(values)) for name, values in (section or {}).items())


def _given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """The keys that have a value, in the types of the model."""
    return {key: _frozen(key, value) for key, value in (values or {}).items() if value is not None}


def _frozen(key: str, value: Any) -> Any:
    if key == "backoff":
        return Backoff(**value)
    return tuple(value) if isinstance(value, list) else value


def _unsafe_overrides(stack: Stack) -> Iterator[str]:
    for job in stack.jobs:
        for name in filter(UNSAFE_VARIABLE.fullmatch, job.overrides):
            yield f"jobs.{job.name}.overrides: a run may never set {name}, which decides what a task runs; remove it"


def _impossible_schedules(stack: Stack) -> Iterator[str]:
    for schedule in stack.schedules:
        key = f"schedules.{schedule.name}"
        if problem := cron.schedule_problem(schedule.schedule):
            yield f"{key}.schedule: {problem}"
        if not cron.is_time_zone(schedule.time_zone):
            yield f"{key}.time_zone: there is no time zone {schedule.time_zone!r}; write a name such as Europe/Berlin"


def _broken_references(stack: Stack) -> Iterator[str]:
    """Names that the stack does not define, and values that contradict each other."""
    buckets = {bucket.name for bucket in stack.buckets}
    services = {service.name for service in stack.services}
    references: list[tuple[str, str | None, str, set[str]]] = []
    for subscription in stack.subscriptions:
        references.append((f"subscriptions.{subscription.name}.topic", subscription.topic, "topic", set(stack.topics)))
    for schedule in stack.schedules:
        references.append((f"schedules.{schedule.name}.topic", schedule.topic, "topic", set(stack.topics)))
    for trigger in stack.triggers:
        key = f"triggers.{trigger.name}"
        references += [
            (f"{key}.service", trigger.service, "service", services),
            (f"{key}.bucket", trigger.bucket, "bucket", buckets),
            (f"{key}.topic", trigger.topic, "topic", set(stack.topics)),
            (f"{key}.dead_letter_topic", trigger.dead_letter_topic, "topic", set(stack.topics)),
        ]
        if trigger.backoff.min > trigger.backoff.max:
            yield f"{key}.backoff: min must not exceed max"
    for key, name, kind, known in references:
        if name is not None and name not in known:
            yield f"{key}: there is no {kind} {name!r}; add it to {kind}s"
