"""Reads a stack file and checks it before anything starts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emulator.stack.model import (
    PUBSUB_EVENT,
    STORAGE_EVENTS,
    Backoff,
    Bucket,
    Job,
    Service,
    Stack,
    StackError,
    Subscription,
    Trigger,
    WorkflowFile,
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def load(path: Path) -> Stack:
    """Read a stack file.

    Raises:
        StackError: it is missing, is not YAML, or holds something that can't be run.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StackError(f"{path}: not YAML: {error}") from error
    return _Reader(path).stack(document)


class _Reader:
    """Turns the parsed YAML into a `Stack`; every error carries the key that it is about."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, key: str, problem: str) -> StackError:
        return StackError(f"{self.path}: {key}: {problem}" if key else f"{self.path}: {problem}")

    def stack(self, document: object) -> Stack:
        keys = ("project", "location", "root", "ports", "buckets", "topics", "subscriptions", "env")
        top = self.mapping("", document, (*keys, "services", "jobs", "triggers", "workflows", "examples"))
        ports = self.mapping("ports", top.get("ports"), ("http", "grpc"))
        stack = Stack(
            path=self.path,
            root=(self.path.parent / self.text("root", top.get("root", "."))).resolve(),
            project=self.text("project", top.get("project", "local-project")),
            location=self.text("location", top.get("location", "us-central1")),
            http_port=self.number("ports.http", ports.get("http", 9010), 0, 65535),
            grpc_port=self.number("ports.grpc", ports.get("grpc", 9011), 0, 65535),
            buckets=tuple(self.bucket(*item) for item in self.named("buckets", top.get("buckets"))),
            topics=tuple(self.text("topics", name) for name in self.sequence("topics", top.get("topics"))),
            subscriptions=tuple(self.subscription(*i) for i in self.named("subscriptions", top.get("subscriptions"))),
            env=self.strings("env", top.get("env")),
            services=tuple(self.service(*item) for item in self.named("services", top.get("services"))),
            triggers=tuple(self.trigger(*item) for item in self.named("triggers", top.get("triggers"))),
            workflows=tuple(self.workflow(*item) for item in self.named("workflows", top.get("workflows"))),
            jobs=tuple(self.job(*item) for item in self.named("jobs", top.get("jobs"))),
            examples=self.text("examples", top["examples"]) if "examples" in top else "",
        )
        self.check(stack)
        return stack

    def bucket(self, name: str, value: object) -> Bucket:
        key = f"buckets.{name}"
        days = self.mapping(key, value, ("lifecycle_days",)).get("lifecycle_days")
        return Bucket(name, None if days is None else self.number(f"{key}.lifecycle_days", days, 0, 36500))

    def subscription(self, name: str, value: object) -> Subscription:
        key = f"subscriptions.{name}"
        return Subscription(name, self.text(f"{key}.topic", self.mapping(key, value, ("topic",)).get("topic")))

    def service(self, name: str, value: object) -> Service:
        key = f"services.{name}"
        if not _NAME.fullmatch(name):
            raise self.fail(key, "a service's name is lower-case letters, digits and hyphens")
        names = ("command", "function", "target", "signature", "port", "ready", "ready_timeout_s", "invokers", "env")
        given = self.mapping(key, value, names)
        if ("command" in given) == ("function" in given):
            raise self.fail(key, "give either a function (with its target) or a command")
        command = self.words(f"{key}.command", given.get("command"))
        if "function" in given:
            self.text(f"{key}.function", given["function"])
            self.text(f"{key}.target", given.get("target"))
            if given.get("signature", "http") not in ("http", "cloudevent", "event", "typed"):
                raise self.fail(f"{key}.signature", "must be http, cloudevent, event or typed")
        elif not command:
            raise self.fail(f"{key}.command", "must not be empty")
        return Service(
            name=name,
            port=self.number(f"{key}.port", given.get("port", 0), 0, 65535),
            command=command,
            function=given.get("function"),
            target=given.get("target"),
            signature=given.get("signature", "http"),
            ready=given.get("ready"),
            ready_timeout_s=self.number(f"{key}.ready_timeout_s", given.get("ready_timeout_s", 120), 1, 3600),
            invokers=self.words(f"{key}.invokers", given["invokers"]) if "invokers" in given else None,
            env=self.strings(f"{key}.env", given.get("env")),
        )

    def job(self, name: str, value: object) -> Job:
        key = f"jobs.{name}"
        if not _NAME.fullmatch(name):
            raise self.fail(key, "a job's name is lower-case letters, digits and hyphens")
        names = ("command", "args", "tasks", "parallelism", "max_retries", "task_timeout", "env")
        given = self.mapping(key, value, names)
        command = self.words(f"{key}.command", given.get("command"))
        if not command:
            raise self.fail(f"{key}.command", "must not be empty")
        return Job(
            name=name,
            command=command,
            args=self.words(f"{key}.args", given.get("args")),
            tasks=self.whole(f"{key}.tasks", given.get("tasks", 1), 1, 10_000),
            parallelism=self.whole(f"{key}.parallelism", given.get("parallelism", 0), 0, 10_000),
            max_retries=self.whole(f"{key}.max_retries", given.get("max_retries", 3), 0, 10),
            task_timeout=self.whole(f"{key}.task_timeout", given.get("task_timeout", 600), 1, 604_800),
            env=self.strings(f"{key}.env", given.get("env")),
        )

    def trigger(self, name: str, value: object) -> Trigger:
        key = f"triggers.{name}"
        source = ("event", "service", "path", "bucket", "topic", "filter", "service_account")
        policy = ("dead_letter_topic", "max_delivery_attempts", "backoff", "ack_deadline")
        given = self.mapping(key, value, source + policy)
        event = self.text(f"{key}.event", given.get("event"))
        if event not in (*STORAGE_EVENTS, PUBSUB_EVENT):
            raise self.fail(f"{key}.event", f"unknown; there is {', '.join((*STORAGE_EVENTS, PUBSUB_EVENT))}")
        wanted, other = ("topic", "bucket") if event == PUBSUB_EVENT else ("bucket", "topic")
        if other in given:
            raise self.fail(f"{key}.{other}", f"{event} takes a {wanted}")
        optional = [each for each in ("path", "filter", "dead_letter_topic", "service_account") if each in given]
        texts = ["service", wanted, *optional]
        for each in texts:
            self.text(f"{key}.{each}", given.get(each))
        attempts = self.number(f"{key}.max_delivery_attempts", given.get("max_delivery_attempts", 5), 5, 100)
        deadline = self.number(f"{key}.ack_deadline", given.get("ack_deadline", 600), 10, 600)
        return Trigger(
            name=name,
            event=event,
            **{each: given[each] for each in texts},
            max_delivery_attempts=attempts,
            ack_deadline=deadline,
            backoff=self.backoff(f"{key}.backoff", given.get("backoff")),
        )

    def backoff(self, key: str, value: object) -> Backoff:
        given = self.mapping(key, value, ("min", "max"))
        backoff = Backoff(**{name: float(self.number(f"{key}.{name}", given[name], 0, 600)) for name in given})
        if backoff.min > backoff.max:
            raise self.fail(key, "min must not exceed max")
        return backoff

    def workflow(self, name: str, value: object) -> WorkflowFile:
        key = f"workflows.{name}"
        given = self.mapping(key, value, ("source", "service_account", "env"))
        source = self.text(f"{key}.source", given.get("source"))
        account = self.text(f"{key}.service_account", given.get("service_account", "workflow"))
        return WorkflowFile(name, source, account, self.strings(f"{key}.env", given.get("env")))

    def check(self, stack: Stack) -> None:
        """What one part says about another has to be there."""
        buckets, services = {bucket.name for bucket in stack.buckets}, {service.name for service in stack.services}
        for trigger in stack.triggers:
            key = f"triggers.{trigger.name}"
            for name, known, kind in (
                (trigger.service, services, "service"),
                (trigger.bucket, buckets, "bucket"),
                (trigger.topic, set(stack.topics), "topic"),
                (trigger.dead_letter_topic, set(stack.topics), "topic"),
            ):
                if name is not None and name not in known:
                    raise self.fail(key, f"there is no {kind} {name!r}")
        for subscription in stack.subscriptions:
            if subscription.topic not in stack.topics:
                raise self.fail(f"subscriptions.{subscription.name}", f"there is no topic {subscription.topic!r}")

    def mapping(self, key: str, value: object, known: tuple[str, ...]) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.fail(key, "must be a mapping")
        for name in value:
            if name not in known:
                raise self.fail(f"{key}.{name}" if key else str(name), f"unknown; there is {', '.join(known)}")
        return value

    def named(self, key: str, value: object) -> list[tuple[str, object]]:
        if value is not None and not isinstance(value, dict):
            raise self.fail(key, "must be a mapping from names")
        return [(str(name), item) for name, item in (value or {}).items()]

    def strings(self, key: str, value: object) -> dict[str, str]:
        return {name: self.text(f"{key}.{name}", item) for name, item in self.named(key, value)}

    def sequence(self, key: str, value: object) -> list[object]:
        if value is not None and not isinstance(value, list):
            raise self.fail(key, "must be a list")
        return value or []

    def words(self, key: str, value: object) -> tuple[str, ...]:
        return tuple(self.text(key, word) for word in self.sequence(key, value))

    def text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise self.fail(key, "must be a string (quote numbers and true or false)")
        return value

    def number(self, key: str, value: Any, low: int, high: int) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.fail(key, f"must be a number from {low} to {high}")
        return value

    def whole(self, key: str, value: object, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(key, f"must be a whole number from {low} to {high}")
        return value
