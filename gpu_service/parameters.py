"""The parameters of a prediction: which there are, for which tasks, their valid values and defaults.

A value of the request takes precedence over the model's in models.json, and that over the deployment's.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gpu_service.errors import InvalidRequest, StartError

Requested = Mapping[str, Any]
"""Checked values by name; those that are missing are the model's."""

CLASSIFICATION = ("text-classification", "image-classification")
DETECTION = "object-detection"
ZERO_SHOT = "zero-shot-classification"
ENTITIES = "token-classification"
TEXTS = ("text-classification", "feature-extraction")
SCORED = (*CLASSIFICATION, ZERO_SHOT, ENTITIES, DETECTION)
LIMITS = ("high_confidence", "requires_review")  # of a score, in models.json under `thresholds`
OF_REQUESTS = ("score_columns",)  # of a request alone, neither a default nor an instance's own
MAX_TOKENS = 4096
SIMILAR = 0.85  # of a misspelt name
BETWEEN_PAIRS = re.compile(r",(?=\s*[A-Za-z_-]+\s*=)")  # other commas belong to a value


def _for(*tasks: str, defaults: Mapping[str, Any] | None = None, **constraints: Any) -> Meta:
    """`defaults`: of tasks that have another than the field's."""
    return Meta(**constraints, extra={"tasks": tasks, "defaults": defaults or {}})


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """All values that shape a prediction. A new parameter is a field here, applied by the models of its tasks.

    The description of one that is no number completes the sentence "NAME must be …".
    """

    top_k: Annotated[int, _for(*CLASSIFICATION, ge=1, le=1000)] = 5
    threshold: Annotated[float, _for(*CLASSIFICATION, DETECTION, ge=0, le=1, defaults={DETECTION: 0.5})] = 0.0
    max_length: Annotated[int, _for(*TEXTS, ge=8, le=1_000_000)] = MAX_TOKENS
    high_confidence: Annotated[float, _for(*SCORED, ge=0, le=1)] = 0.8
    requires_review: Annotated[float, _for(*SCORED, ge=0, le=1)] = 0.6
    score_columns: Annotated[bool, _for(*CLASSIFICATION, description="true or false")] = False
    labels: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=256)]],
        _for(ZERO_SHOT, min_length=1, max_length=100, description="a list of 1 to 100 labels of up to 256 characters"),
    ] = []
    multi_label: Annotated[bool, _for(ZERO_SHOT, description="true or false")] = False
    hypothesis_template: Annotated[
        str, _for(ZERO_SHOT, max_length=1000, pattern=r"\{\}", description="a sentence with {} in the label's place")
    ] = "This example is {}."
    aggregation: Annotated[
        Literal["none", "simple", "first", "average", "max"],
        _for(ENTITIES, description="none, simple, first, average or max"),
    ] = "simple"


DEFAULTS = Parameters()
FIELDS = {field.name: field for field in msgspec.structs.fields(Parameters)}
META: dict[str, Meta] = {name: field.type.__metadata__[0] for name, field in FIELDS.items()}
EXTRA: dict[str, dict[str, Any]] = {name: meta.extra or {} for name, meta in META.items()}
TASKS: dict[str, Collection[str]] = {name: extra["tasks"] for name, extra in EXTRA.items()}
OF_INSTANCES = tuple(name for name in FIELDS if name not in OF_REQUESTS)


def parse(values: Mapping[str, Any] | None, allowed: Collection[str] = FIELDS) -> Requested:
    """Checks the parameters of a request; null means the same as no value.

    Raises:
        InvalidRequest: `invalid_parameters`, for an unknown name or a bad value.
    """
    requested = {name: _checked(name, value, allowed) for name, value in (values or {}).items()}
    return {name: value for name, value in requested.items() if value is not None}


def check_tasks(requested: Requested, tasks: Collection[str]) -> None:
    """Raises InvalidRequest (`invalid_parameters`) for a parameter that applies to none of the tasks."""
    for name in requested:
        if tasks and not any(task in TASKS[name] for task in tasks):
            of_tasks = ", ".join(known for known in FIELDS if any(task in TASKS[known] for task in tasks))
            message = f"{name} does not apply to {' or '.join(sorted(tasks))}; use one of {of_tasks}."
            raise InvalidRequest(message, "invalid_parameters")


def chosen(base: Parameters, requested: Requested, task: str) -> Parameters:
    """`base` with the requested values that apply to the task."""
    changes = {name: value for name, value in requested.items() if task in TASKS[name]}
    return msgspec.structs.replace(base, **changes) if changes else base


def of_model(deployed: Requested, task: str, values: Mapping[str, Any], limits: Mapping[str, Any]) -> Parameters:
    """A model's defaults: the `parameters` and `thresholds` of models.json, else the deployment's, else the task's.

    Raises:
        StartError
    """
    try:
        others = [name for name in FIELDS if name not in (*LIMITS, *OF_REQUESTS)]
        requested = {**parse(values, others), **parse(limits, LIMITS)}
        check_tasks(requested, [task])
    except InvalidRequest as error:
        raise StartError(error.message) from error
    of_task = {name: extra["defaults"][task] for name, extra in EXTRA.items() if task in extra["defaults"]}
    longest = deployed.get("max_length", MAX_TOKENS)
    length = min(requested.get("max_length", longest), longest)
    base = msgspec.structs.replace(DEFAULTS, **of_task, max_length=length)
    return chosen(base, {**deployed, **requested, "max_length": length}, task)


def of_deployment(environ: Mapping[str, str]) -> Requested:
    """The defaults that are set for all models: PARAMETERS, such as `top_k=3,high_confidence=0.9`, and MAX_TOKENS.

    Raises:
        StartError
    """
    parts = (part.strip(" ,") for part in BETWEEN_PAIRS.split(environ.get("PARAMETERS", "")))
    pairs = [part.partition("=") for part in parts if part]
    try:
        allowed = [name for name in FIELDS if name not in ("max_length", *OF_REQUESTS)]
        requested = parse({name.strip(): _decoded(text) for name, _, text in pairs}, allowed)
    except InvalidRequest as error:
        raise StartError(f"PARAMETERS: {error.message}") from error
    try:
        tokens = _checked("max_length", _decoded(environ.get("MAX_TOKENS") or str(MAX_TOKENS)), FIELDS)
    except InvalidRequest as error:
        raise StartError(error.message.replace("max_length", "MAX_TOKENS")) from error
    return {**requested, "max_length": tokens}


def described(parameters: Parameters, task: str) -> dict[str, Any]:
    """The values that shape predictions of a task, for the response; without those that are empty or switched off."""
    values = msgspec.structs.asdict(parameters)
    return {name: value for name, value in values.items() if task in TASKS[name] and value is not False and value != []}


def properties() -> dict[str, Any]:
    """The JSON Schema of each parameter."""
    _, components = msgspec.json.schema_components([Parameters])
    schemas = components[Parameters.__name__]["properties"]
    return {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in schemas.items()}


def description(name: str) -> str:
    """What completes the sentence "NAME must be …"."""
    meta = META[name]
    whole = "whole " if FIELDS[name].type.__origin__ is int else ""
    return meta.description or f"a {whole}number from {meta.ge} to {meta.le}"


def _checked(name: str, value: Any, allowed: Iterable[str]) -> Any:
    """The value, or None for null. Raises InvalidRequest: `invalid_parameters`."""
    if name not in allowed:
        near = get_close_matches(name[:64].lower().replace("-", "_"), allowed, 1, SIMILAR)
        suggestion = f" (did you mean {near[0]}?)" if near else ""
        message = f"{name!r:.80} is not a parameter{suggestion}; use one of {', '.join(allowed)}."
        raise InvalidRequest(message, "invalid_parameters")
    if value is None:
        return None
    if isinstance(value, float) and FIELDS[name].type.__origin__ is int and value.is_integer():
        value = int(value)  # Vertex AI's clients send every number as a double
    try:
        checked = msgspec.convert(value, FIELDS[name].type)
    except (msgspec.ValidationError, OverflowError) as error:
        message = f"{name} must be {description(name)}, not {value!r:.80}."
        raise InvalidRequest(message, "invalid_parameters") from error
    return checked + 0.0 if isinstance(checked, float) else checked  # without the sign of -0.0


def _decoded(text: str) -> Any:
    """A value of an environment variable: JSON, else a string."""
    try:
        return msgspec.json.decode(text.strip())
    except msgspec.DecodeError:
        return text.strip()
