"""Defines the parameters of an input, and checks those that a sender requests.

They stand in an object's metadata, its sidecar, a message, a manifest or a record. The most specific takes precedence:
a record's own, then the object's metadata, the sidecar, and a manifest's own fields.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from pipeline.errors import RejectedError
from pipeline.inputs.values import Check, duration, flag, matching, number, short, whole, words
from pipeline.jobs.job import Model, Parameters
from pipeline.kinds import KINDS, WORKBOOK
from pipeline.settings import LONGEST_WAIT

Reader = Literal["intake", "preprocess", "forecast", "gpu_service"]

MODEL = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}"
SERIES = frozenset({"timeseries"})
TEXTS = frozenset({"text", "table", "records", "manifest"})
CHOICES = [kind for kind in KINDS if kind != WORKBOOK]  # which is a table or a series, after it is read
PREDICTED = TEXTS | {"image"}
SIMILAR = 0.85  # of a misspelt name
COLUMN = short(256, "the name of a column")
DISTINCTIVE = 7  # letters of a name; a key that resembles a shorter one may be the user's own


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: its valid values, the kinds of input it applies to, the step that reads it.

    `in_record`: whether a record of a batch may have its own.
    """

    check: Check
    kinds: frozenset[str]
    reader: Reader
    in_record: bool = False


def _forecast(check: Check) -> Parameter:
    return Parameter(check, SERIES, "forecast")


def _column(*kinds: str) -> Parameter:
    return Parameter(COLUMN, frozenset(kinds), "preprocess")


def _prediction(check: Check, kinds: frozenset[str] = PREDICTED) -> Parameter:
    return Parameter(check, kinds, "gpu_service", in_record=True)


PARAMETERS: dict[str, Parameter] = {
    "model": Parameter(matching(MODEL, "a model's name"), PREDICTED, "intake"),
    "version": Parameter(matching(MODEL, "a model's version"), PREDICTED, "intake"),
    "top_k": _prediction(whole(1, 1000)),
    "threshold": _prediction(number(0, 1)),
    "max_length": _prediction(whole(8, 1_000_000), TEXTS),
    "high_confidence": _prediction(number(0, 1)),
    "requires_review": _prediction(number(0, 1)),
    "labels": _prediction(words(100, 256), TEXTS),
    "multi_label": _prediction(flag(), TEXTS),
    "hypothesis_template": _prediction(
        matching(r"(?s)(?=.{1,1000}$).*\{\}.*", "a sentence with {} in the label's place"), TEXTS
    ),
    "aggregation": _prediction(matching("none|simple|first|average|max", "none, simple, first, average or max"), TEXTS),
    "score_columns": Parameter(flag(), frozenset({"table", "manifest"}), "gpu_service"),
    "kind": Parameter(matching("|".join(CHOICES), f"one of {', '.join(CHOICES)}"), frozenset(CHOICES), "intake"),
    "max_wait": Parameter(duration(LONGEST_WAIT), frozenset(CHOICES), "intake"),
    "text_column": _column("table", "records"),
    "image_column": _column("table"),
    "sheet": Parameter(short(256, "the name of a sheet"), frozenset({WORKBOOK}), "preprocess"),
    "csv_safe": Parameter(flag(), frozenset({"table"}), "preprocess"),
    "horizon": _forecast(whole(1, 1000)),
    "frequency": _forecast(matching("[A-Za-z0-9-]{1,32}", "a frequency such as daily or W")),
    "interval_width": _forecast(number(0.01, 0.99)),
    "decimal": _forecast(matching("[.,]", "a point or a comma")),
    "date_format": _forecast(short(64, "a date pattern such as %d/%m/%Y")),
    "date_column": _forecast(COLUMN),
    "value_column": _forecast(COLUMN),
    "combine": _forecast(matching("sum|mean", "sum or mean")),
}


def of_metadata(metadata: Mapping[str, str]) -> tuple[Model | None, Parameters]:
    """The model and the parameters in an object's metadata.

    Other keys are the user's own, unless they resemble a parameter's name so much that they are misspelt.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    requested = {}
    for key, value in metadata.items():
        name = key.strip().lower().replace("-", "_")
        if name in PARAMETERS:
            requested[name] = value
        elif near := _nearest(name, [known for known in PARAMETERS if len(known) >= DISTINCTIVE]):
            message = f"The metadata key {key!r:.80} resembles the parameter {near}; correct or rename it."
            raise RejectedError("invalid_parameters", message)
    return check(requested)


def of_document(value: Mapping[str, Any]) -> tuple[Model | None, Parameters]:
    """The model and the parameters in JSON.

    Args:
        value: `{"model"?: "name" | {"name", "version"?}, "parameters"?: {…}}`, or bare parameters.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    requested = {key: part for key, part in value.items() if key not in ("model", "parameters")}
    inner, model = value.get("parameters"), value.get("model")
    inner = {} if inner is None else inner
    if not isinstance(inner, Mapping):
        raise RejectedError("invalid_parameters", "parameters must be an object.")
    if isinstance(model, Mapping):
        model = {("model" if key == "name" else key): part for key, part in model.items()}
    elif model is not None:
        model = {"model": model}
    return check({**inner, **requested, **(model or {})})


def of_record(value: object, kind: str) -> Parameters:
    """The parameters of one record of a batch, which is a text, an image, or an item of a manifest.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, Mapping):
        raise RejectedError("invalid_parameters", "parameters must be an object.")
    allowed = [name for name, parameter in PARAMETERS.items() if parameter.in_record and kind in parameter.kinds]
    return _requested(value, allowed, " of such a record")


def check(values: Mapping[str, Any]) -> tuple[Model | None, Parameters]:
    """Splits `{name: value}` into the model, None for the default, and the parameters.

    Raises:
        RejectedError: `invalid_parameters`, for an unknown name or a bad value.
    """
    checked = _requested(values, PARAMETERS)
    model, version = checked.pop("model", None), checked.pop("version", None)
    if version is not None and model is None:
        raise RejectedError("invalid_parameters", "version requires a model.")
    return (None if model is None else {"name": model, "version": version}), checked


def kinds(model: Model | None, parameters: Parameters) -> frozenset[str]:
    """The kinds that the model and all parameters apply to; those of a workbook say nothing about its sheet."""
    allowed = frozenset([parameters["kind"]] if "kind" in parameters else CHOICES)
    for name in ["model", *parameters] if model else parameters:
        if PARAMETERS[name].kinds != {WORKBOOK}:
            allowed &= PARAMETERS[name].kinds
    return allowed


def check_kind(kind: str, model: Model | None, parameters: Parameters, *, of_workbook: bool = False) -> None:
    """Checks that the model and all parameters apply to inputs of the kind.

    Args:
        of_workbook: whether it is the kind of a workbook's sheet.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    applicable = {kind, WORKBOOK} if of_workbook else {kind}
    requested = parameters.get("kind") or kind
    if requested != kind:
        message = f"The parameter kind is {requested}, but the input is of the kind {kind}."
        raise RejectedError("invalid_parameters", message, kind)
    for name in ["model", *parameters] if model else parameters:
        if not applicable & PARAMETERS[name].kinds:
            allowed = [known for known, parameter in PARAMETERS.items() if applicable & parameter.kinds]
            message = f"{name} does not apply to the kind {kind}; use one of {', '.join(allowed)}."
            raise RejectedError("invalid_parameters", message, kind)


def of_reader(reader: Reader, parameters: Parameters) -> Parameters:
    """Those that one step reads."""
    return {name: value for name, value in parameters.items() if PARAMETERS[name].reader == reader}


def _requested(values: Mapping[str, Any], allowed: Collection[str], where: str = "") -> Parameters:
    """The checked values; null means the same as no value."""
    checked = {name: _checked(name, value, allowed, where) for name, value in values.items()}
    return {name: value for name, value in checked.items() if value is not None}


def _checked(name: str, value: Any, allowed: Collection[str], where: str = "") -> Any:
    if name not in allowed:
        near = _nearest(name, allowed)
        suggestion = f" (did you mean {near}?)" if near else ""
        message = f"{name!r:.80} is not a parameter{where}{suggestion}; use one of {', '.join(allowed)}."
        raise RejectedError("invalid_parameters", message)
    if value is None:
        return None
    valid = PARAMETERS[name].check
    try:
        return valid.convert(value)
    except (ValueError, TypeError, OverflowError) as error:
        message = f"{name} must be {valid.description}, not {_shown(value)}."
        raise RejectedError("invalid_parameters", message) from error


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that another is a misspelling of, if any."""
    return next(iter(get_close_matches(name.lower().replace("-", "_")[:64], known, 1, SIMILAR)), None)


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # an integer of more digits than Python prints
        return "a number of very many digits"
