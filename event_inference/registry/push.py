"""Pushes a model: copies its folder, adds it to models.json, and registers it with Vertex AI where asked."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from event_inference.access.clients import Connection
from event_inference.errors import InputError
from event_inference.registry import bucket, endpoints, models_file, serving, vertex
from event_inference.registry.endpoints import Machine
from event_inference.registry.folder import ALL_TASKS, ModelFolder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")  # as the GPU service has it
_ROUTES = ("ready", "infer", "versions")  # which would be read as routes in the service's URLs


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to push.

    Attributes:
        task: by default that of the model's architecture.
        profile: of models.json.
        default: whether requests that name no version, and inputs of the task that name no model, go to it.
        registers: whether it becomes a version in Vertex AI's Model Registry.
        aliases: that the registered version gets and others lose.
        image: container image that serves it on an endpoint of Vertex AI.
        endpoint: of Vertex AI on which the pipeline predicts with this version, by its id or resource name.
        machine: on which it is deployed there; None if others deploy it.
    """

    folder: ModelFolder
    name: str
    version: str
    task: str | None = None
    profile: str | None = None
    default: bool = False
    registers: bool = False
    aliases: Sequence[str] = ()
    image: str | None = None
    endpoint: str | None = None
    machine: Machine | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push has done; `is_new` unless the files were in the bucket already."""

    source: str
    is_new: bool
    profile: str
    task: str
    registered: vertex.Version | None


def push(connection: Connection, order: Order, copied: Callable[[str], object] = lambda _: None) -> Pushed:
    """Push a model. Safe to repeat: what is done already is left as it is.

    Raises:
        InputError: the folder, a name or a value is not valid, or the version exists with other content.
    """
    task = _checked(order)
    models = connection.storage.bucket(connection.target.models_bucket)
    source = f"{order.name}/{order.version}"
    is_new = bucket.copy(order.folder, models, source, copied)
    entry: dict[str, Any] = {"name": order.name, "version": order.version, "task": task, "source": source}
    if order.default:
        entry["default"] = True
    registered, api = None, serving.api(connection)
    endpoint = endpoints.resource_name(api.parent, order.endpoint) if order.endpoint else None
    if endpoint:
        entry |= {"engine": "vertex", "endpoint": endpoint}
    if order.registers:
        registry = vertex.Registry(api)
        container = serving.container(connection, order.image or serving.image(connection))
        registered = registry.register(order.name, order.version, f"gs://{models.name}/{source}", container)
        registered = registry.move(registered, order.aliases)
        if endpoint and order.machine:
            endpoints.deploy(api, endpoint, registered, order.machine, serving.account(connection))
    return Pushed(source, is_new, models_file.add(models, entry, order.profile), task, registered)


def _checked(order: Order) -> str:
    """The task; raises InputError for what cannot be pushed."""
    for what, value in (("name", order.name), ("version", order.version)):
        parts = value.split("/")
        if not _NAME.fullmatch(value) or any(part.strip(".") == "" for part in parts):
            form = "letters, digits, '.', '_', '/' and '-', beginning with a letter or a digit"
            raise InputError(f"The {what} {value!r:.200} must have up to 128 {form}.")
        if taken := set(parts[1:] if what == "name" else parts) & set(_ROUTES):
            raise InputError(f"The {what} must not have the part {min(taken)!r}, which is a route of the service.")
    for alias in order.aliases:
        vertex.check_alias(alias)
    if order.aliases and not order.registers:
        raise InputError("--alias is for versions in Vertex AI's registry; add --vertex.")
    if order.endpoint:
        endpoints.resource_name("", order.endpoint)
    if order.machine and not (order.registers and order.endpoint):
        raise InputError("--deploy needs --vertex and --endpoint.")
    task = order.task or order.folder.task
    if task not in ALL_TASKS:
        choices = ", ".join(ALL_TASKS)
        problem = f"there is no task {task}" if task else f"the architecture of {order.folder.path} does not tell it"
        raise InputError(f"The model needs a task, and {problem}. Choose with --task: {choices}.")
    return task
