"""The contents of a stack file: what runs on this machine. docs/emulator.md describes the keys."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PUBSUB_EVENT = "google.cloud.pubsub.topic.v1.messagePublished"
PROJECT_NUMBER = "123456789012"
DEVELOPER = "developer"  # the account of the person at this machine

_PLACEHOLDER = re.compile(
    r"\{(?:(?P<name>[a-z][a-z0-9-]*(?:\.[a-z]+)?)|env\.(?P<variable>[A-Z_][A-Z0-9_]*)(?::(?P<default>[^{}]*))?)\}"
)


# Variables that decide which program or library a process runs. No run of a job may set them.
UNSAFE_VARIABLE = re.compile(
    r"PATH|HOME|BROWSER|SHELL|ENV|IFS|EDITOR|VISUAL|PAGER|GCONV_PATH|GLIBC_TUNABLES|NODE_OPTIONS|NODE_PATH"
    r"|PROMPT_COMMAND|PS4|SHELLOPTS|BASHOPTS|.*JAVA_.*OPTIONS|(?:LD|DYLD|BASH|GIT|SSH)_.*|(?:PYTHON|PERL|RUBY).*"
)


class StackError(ValueError):
    """The stack file, or a file that it names, is wrong; the message says where, what is wrong and what to do."""


@dataclass(frozen=True)
class Ports:
    """Ports of the emulator's APIs; 0 means any free port."""

    http: int = 9010
    grpc: int = 9011


@dataclass(frozen=True)
class Retention:
    """How much history is kept: executions by age and number, step entries by number, log files by size."""

    days: int = 90
    executions: int = 10_000
    step_entries: int = 1_000
    log_mb: int = 10


@dataclass(frozen=True)
class Bucket:
    name: str
    lifecycle_days: int | None = None


@dataclass(frozen=True)
class Subscription:
    """A pull subscription, which keeps the messages of its topic from the start."""

    name: str
    topic: str
    ack_deadline: int = 10


@dataclass(frozen=True)
class Service:
    """A process to run: a function under functions-framework, or a command.

    `ready` is a path that answers 2xx once the service is ready; without it, an open port is enough.
    `invokers` are the accounts that may call it; None means those of its triggers, of all workflows and of the
    developer.
    """

    name: str
    port: int = 0
    command: tuple[str, ...] = ()
    function: str | None = None
    target: str | None = None
    signature: str = "http"
    ready: str | None = None
    ready_timeout_s: float = 120
    invokers: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    when: str | None = None


@dataclass(frozen=True)
class Job:
    """A Cloud Run job: the command of each task, and what a run may change of it.

    `parallelism` 0 means one task for each CPU; `task_timeout` is in seconds, for one attempt. A run may set the
    variables in `env` and `overrides`, and the arguments if `override_args` is set.
    """

    name: str
    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    tasks: int = 1
    parallelism: int = 0
    max_retries: int = 3
    task_timeout: float = 600
    env: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    override_args: bool = False


@dataclass(frozen=True)
class ContainerImage:
    """What runs in place of a container image that Vertex AI's models name.

    `image` is a pattern in which `*` stands for anything; the command listens on AIP_HTTP_PORT and runs as
    `service_account`, unless the deployed model names another account.
    """

    name: str
    image: str
    command: tuple[str, ...]
    service_account: str
    ready_timeout_s: float = 600
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Backoff:
    """Seconds between delivery attempts: `min` after the first, doubling up to `max`."""

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
    when: str | None = None


@dataclass(frozen=True)
class Notification:
    """A notification of a bucket: publishes its new objects, those with a prefix, to a topic."""

    name: str
    bucket: str
    topic: str
    prefix: str = ""
    when: str | None = None


@dataclass(frozen=True)
class WorkflowFile:
    name: str
    source: str
    service_account: str = "workflow"
    history: str = "basic"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """A message that is published to a topic whenever a cron schedule is due in its time zone."""

    name: str
    schedule: str
    topic: str
    message: str
    time_zone: str = "Etc/UTC"
    attributes: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    paused: bool = False


@dataclass(frozen=True)
class Grant:
    """A role of an account on a resource: `project`, or `bucket/NAME` and so on; see `emulator.identity.grants`."""

    member: str
    role: str
    resource: str
    condition: str = ""


@dataclass(frozen=True)
class Iam:
    """Who may do what: grants of Google's roles, and of `roles` that the stack defines by their permissions."""

    grants: tuple[Grant, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stack:
    """A whole stack file; paths in it are relative to `root`. Without `iam`, every account may do everything.

    Services and triggers that are left out are not in it; notifications are, since an earlier start may have made them.
    """

    path: Path
    root: Path
    project: str = "local-project"
    location: str = "us-central1"
    ports: Ports = Ports()
    buckets: tuple[Bucket, ...] = ()
    topics: tuple[str, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    jobs: tuple[Job, ...] = ()
    containers: tuple[ContainerImage, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    notifications: tuple[Notification, ...] = ()
    workflows: tuple[WorkflowFile, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    retention: Retention = Retention()
    iam: Iam | None = None
    examples: str = ""


@dataclass(frozen=True)
class Address:
    """Where the emulator's APIs are, `host:port` each."""

    http: str
    grpc: str


def placeholders(address: Address, services: Mapping[str, str], accounts: Mapping[str, Address]) -> dict[str, str]:
    """The values of the placeholders: `{http}` and `{grpc}`, `{SERVICE.url}`, `{ACCOUNT.http}` and `{ACCOUNT.grpc}`."""
    return {
        "http": address.http,
        "grpc": address.grpc,
        **{f"{name}.url": url for name, url in services.items()},
        **{f"{name}.http": each.http for name, each in accounts.items()},
        **{f"{name}.grpc": each.grpc for name, each in accounts.items()},
    }


def fill(text: str, values: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> str:
    """`text` with its `{placeholders}` replaced; `{env.NAME:default}` is a variable of the emulator's environment.

    Raises:
        StackError: `values` lacks a placeholder, or a variable without a default is not set.
    """

    def value(match: re.Match[str]) -> str:
        if variable := match["variable"]:
            return _variable(variable, match["default"], environ)
        if match["name"] not in values:
            known = ", ".join(sorted(values))
            raise StackError(f"unknown placeholder {match[0]}; known are {known}, and env.NAME for variables")
        return values[match["name"]]

    return _PLACEHOLDER.sub(value, text)


def is_wanted(entry: Service | Trigger | Notification, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the entry's `when` is missing, or comes out as more than an empty text."""
    return entry.when is None or bool(fill(entry.when, {}, environ))


def _variable(name: str, default: str | None, environ: Mapping[str, str]) -> str:
    """As in a shell's `${NAME:-default}`, an empty variable counts as not set."""
    value = environ.get(name) or default
    if value is None:
        raise StackError(f"the environment variable {name} is not set; set it, or write {{env.{name}:default}}")
    return value
