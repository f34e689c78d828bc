"""A stack: what runs on the laptop, in the words of a deployment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STORAGE_EVENTS = tuple(
    f"google.cloud.storage.object.v1.{change}" for change in ("finalized", "deleted", "archived", "metadataUpdated")
)
PUBSUB_EVENT = "google.cloud.pubsub.topic.v1.messagePublished"
DEVELOPER = "developer"  # the account of whoever works on this machine

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9-]*(?:\.[a-z]+)?)\}")


class StackError(ValueError):
    """The stack file is wrong; the message names the file, the key and what is expected there."""


@dataclass(frozen=True)
class Bucket:
    name: str
    lifecycle_days: int | None = None


@dataclass(frozen=True)
class Subscription:
    """A pull subscription that exists from the start, so that what its topic gets is kept."""

    name: str
    topic: str


@dataclass(frozen=True)
class Service:
    """A process to run: a function under the functions-framework, or a command.

    `ready` is the path that answers 2xx once the service can work; without it, an open port is enough.
    `invokers` are the accounts that may call it; None means its triggers', all workflows' and the developer's.
    """

    name: str
    port: int
    command: tuple[str, ...] = ()
    function: str | None = None
    target: str | None = None
    signature: str = "http"
    ready: str | None = None
    ready_timeout_s: float = 120
    invokers: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A Cloud Run job: a command that every task of an execution runs, with `args` that a request may override.

    `parallelism` 0 runs as many tasks at once as the machine has CPUs; `task_timeout` is seconds for one attempt.
    """

    name: str
    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    tasks: int = 1
    parallelism: int = 0
    max_retries: int = 3
    task_timeout: float = 600
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Backoff:
    """Seconds between two attempts: `min` after the first, doubling up to `max`."""

    min: float = 10
    max: float = 600


@dataclass(frozen=True)
class Trigger:
    name: str
    event: str
    service: str
    bucket: str | None = None
    topic: str | None = None
    filter: str = ""
    path: str = "/"
    service_account: str = "events"
    dead_letter_topic: str | None = None
    max_delivery_attempts: int = 5
    backoff: Backoff = Backoff()
    ack_deadline: int = 600


@dataclass(frozen=True)
class WorkflowFile:
    name: str
    source: str
    service_account: str = "workflow"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """Everything that the stack file says; paths in it are relative to `root`."""

    path: Path
    root: Path
    project: str
    location: str
    http_port: int
    grpc_port: int
    buckets: tuple[Bucket, ...]
    topics: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]
    env: Mapping[str, str]
    services: tuple[Service, ...]
    triggers: tuple[Trigger, ...]
    workflows: tuple[WorkflowFile, ...]
    jobs: tuple[Job, ...] = ()
    examples: str = ""


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with its `{placeholders}` replaced.

    Raises:
        StackError: a placeholder that `values` doesn't hold.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise StackError(f"{match[0]} names nothing; there is {', '.join(sorted(values))}")
        return values[match[1]]

    return _PLACEHOLDER.sub(value, text)
