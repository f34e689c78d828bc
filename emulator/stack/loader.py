"""Reads a stack file and checks it before anything starts."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from emulator.iam import conditions
from emulator.iam.conditions import ConditionError
from emulator.iam.roles import ROLES
from emulator.stack import cron
from emulator.stack.model import (
    UNSAFE_VARIABLE,
    Backoff,
    Bucket,
    ContainerImage,
    Grant,
    Iam,
    Job,
    Notification,
    Ports,
    Retention,
    Schedule,
    Service,
    Stack,
    StackError,
    Subscription,
    Trigger,
    WorkflowFile,
    is_wanted,
)
from emulator.stack.problems import grant_problems, problems

_Entry = TypeVar("_Entry")


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Stack:
    """Read a stack file; `environ` decides which of its optional entries there are.

    Raises:
        StackError: it cannot be read, is not YAML, breaks the schema, or refers to something it does not define.
    """
    document = _document(path)
    _refuse(path, problems(document))
    stack = _stack(path, _given(document), environ)
    _refuse(
        path,
        [*_unsafe_overrides(stack), *_broken_references(stack), *_impossible_schedules(stack), *_broken_grants(stack)],
    )
    return stack


def _document(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StackError(f"{path}: not YAML: {error}") from error


def _refuse(path: Path, mistakes: list[str]) -> None:
    if mistakes:
        raise StackError("\n".join(f"{path}: {mistake}" for mistake in mistakes))


def _stack(path: Path, document: Mapping[str, Any], environ: Mapping[str, str]) -> Stack:
    root = (path.parent / document.get("root", ".")).resolve()
    services, triggers = _entries(Service, document.get("services")), _entries(Trigger, document.get("triggers"))
    left_out = {f"service/{each.name}" for each in services if not is_wanted(each, environ)}
    left_out |= {f"trigger/{each.name}" for each in triggers if not is_wanted(each, environ)}
    simple = {key: document[key] for key in ("project", "location", "topics", "env", "examples") if key in document}
    return Stack(
        path=path,
        root=root,
        ports=Ports(**document.get("ports", {})),
        buckets=_entries(Bucket, document.get("buckets")),
        subscriptions=_entries(Subscription, document.get("subscriptions")),
        services=tuple(each for each in services if is_wanted(each, environ)),
        jobs=_entries(Job, document.get("jobs")),
        containers=_entries(ContainerImage, document.get("containers")),
        triggers=tuple(each for each in triggers if is_wanted(each, environ)),
        notifications=_entries(Notification, document.get("notifications")),
        retention=Retention(**_given(document.get("retention"))),
        workflows=_entries(WorkflowFile, document.get("workflows")),
        schedules=_entries(Schedule, document.get("schedules")),
        iam=_iam(root, _given(document["iam"]), left_out) if "iam" in document else None,
        **simple,
    )


def _iam(root: Path, section: Mapping[str, Any], left_out: set[str]) -> Iam:
    listed = [*section.get("grants", ())]
    if "file" in section:
        file = root / section["file"]
        further = _document(file)
        _refuse(file, grant_problems(further))
        listed += further or []
    roles = {role: tuple(permissions or ()) for role, permissions in section.get("roles", {}).items()}
    return Iam(tuple(Grant(**grant) for grant in listed if grant["resource"] not in left_out), roles)


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
    for notification in stack.notifications:
        key = f"notifications.{notification.name}"
        references.append((f"{key}.bucket", notification.bucket, "bucket", buckets))
        references.append((f"{key}.topic", notification.topic, "topic", set(stack.topics)))
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


def _broken_grants(stack: Stack) -> Iterator[str]:
    """Grants of roles that nobody knows, on resources that the stack does not have, or under unsupported conditions."""
    resources: dict[str, set[str]] = {
        "bucket": {bucket.name for bucket in stack.buckets},
        "topic": set(stack.topics),
        "subscription": {subscription.name for subscription in stack.subscriptions},
        "trigger": {trigger.name for trigger in stack.triggers},
        "service": {service.name for service in stack.services},
        "job": {job.name for job in stack.jobs},
    }
    iam = stack.iam or Iam()
    for grant in iam.grants:
        key = f"iam: {grant.role} of {grant.member} on {grant.resource}"
        if grant.role not in ROLES and grant.role not in iam.roles:
            yield f"{key}: this role is not known; list its permissions under iam.roles"
        kind, _, name = grant.resource.partition("/")
        if name not in resources.get(kind, {name}):
            yield f"{key}: there is no {kind} {name!r}"
        try:
            conditions.parse(grant.condition or "resource.name == ''")
        except ConditionError as error:
            yield f"{key}: {error}"
