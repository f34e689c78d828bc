"""Checks the model and parameters that a sender requests by an object's metadata, a sidecar, a message or a manifest.

An object's metadata take precedence over its sidecar, and that over a manifest's own fields. CHECKS defines every
parameter; forecasting.options and the GPU service's protocol read those that they use.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import RejectedError
from pipeline.jobs.job import Model, Parameters

MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
MAX_LABELS = 100
MAX_LABEL = 256  # characters
FREQUENCY = re.compile(r"[A-Za-z0-9-]{1,32}")
AGGREGATION = re.compile("none|simple|first|average|max")
DECIMAL = re.compile(r"[.,]")


def of_metadata(metadata: Mapping[str, str]) -> tuple[Model | None, Parameters]:
    """The model and the parameters in an object's metadata; other keys are ignored."""
    known = {}
    for key, value in metadata.items():
        name = key.strip().lower().replace("-", "_")
        if name in CHECKS:
            known[name] = value
    return check(known)


def of_document(value: Mapping[str, Any]) -> tuple[Model | None, Parameters]:
    """The model and the parameters in JSON.

    Args:
        value: `{"model"?: "name" | {"name", "version"?}, "parameters"?: {…}}`, or bare parameters.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    requested = {key: part for key, part in value.items() if key not in ("model", "parameters")}
    inner, model = value.get("parameters", {}), value.get("model")
    if not isinstance(inner, Mapping):
        raise RejectedError("invalid_parameters", "parameters must be an object.")
    if isinstance(model, Mapping):
        model = {("model" if key == "name" else key): part for key, part in model.items()}
    elif model is not None:
        model = {"model": model}
    return check({**inner, **requested, **(model or {})})


def check(values: Mapping[str, Any]) -> tuple[Model | None, Parameters]:
    """Splits `{name: value}` into the model, None for the default, and the parameters.

    Raises:
        RejectedError: `invalid_parameters`, for an unknown name or a bad value.
    """
    checked: Parameters = {}
    for name, value in values.items():
        if name not in CHECKS:
            raise RejectedError("invalid_parameters", f"{name!r} is not a parameter; use one of {', '.join(CHECKS)}.")
        convert, description = CHECKS[name]
        try:
            checked[name] = convert(value)
        except (ValueError, TypeError, KeyError) as error:
            raise RejectedError("invalid_parameters", f"{name} must be {description}, not {value!r:.80}.") from error
    model, version = checked.pop("model", None), checked.pop("version", None)
    if version is not None and model is None:
        raise RejectedError("invalid_parameters", "version requires a model.")
    return (None if model is None else {"name": model, "version": version}), checked


def _matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value.strip()):
            raise ValueError
        return value.strip()

    return convert


def _between(low: int, high: int) -> Callable[[object], int]:
    def convert(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str) or len(str(value)) > 9:
            raise ValueError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return convert


def _fraction(low: float, high: float) -> Callable[[object], float]:
    def convert(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise TypeError
        number = float(value)
        if not low <= number <= high:  # also true of NaN
            raise ValueError
        return number

    return convert


def _short(length: int) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= length or not value.isprintable():
            raise ValueError
        return value

    return convert


def _labels(value: object) -> list[str]:
    labels = value.split(",") if isinstance(value, str) else value
    if not isinstance(labels, list) or not 1 <= len(labels) <= MAX_LABELS:
        raise ValueError
    return [_short(MAX_LABEL)(label.strip() if isinstance(label, str) else label) for label in labels]


def _flag(value: object) -> bool:
    flags = {"true": True, "false": False}
    return value if isinstance(value, bool) else flags[str(value).strip().lower()]


def _template(value: object) -> str:
    if "{}" not in (template := _short(1000)(value)):
        raise ValueError
    return template


_COLUMN = (_short(256), "the name of a column")
CHECKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "model": (_matching(MODEL), "a model's name"),
    "version": (_matching(MODEL), "a model's version"),
    "horizon": (_between(1, 1000), "a whole number from 1 to 1000"),
    "frequency": (_matching(FREQUENCY), "a frequency such as daily or W"),
    "interval_width": (_fraction(0.01, 0.99), "a number from 0.01 to 0.99"),
    "decimal": (_matching(DECIMAL), "a point or a comma"),
    "date_format": (_short(64), "a date pattern such as %d/%m/%Y"),
    "date_column": _COLUMN,
    "value_column": _COLUMN,
    "text_column": _COLUMN,
    "image_column": _COLUMN,
    "top_k": (_between(1, 1000), "a whole number from 1 to 1000"),
    "aggregation": (_matching(AGGREGATION), "none, simple, first, average or max"),
    "threshold": (_fraction(0, 1), "a number from 0 to 1"),
    "labels": (_labels, "a list of 1 to 100 labels, or labels separated by commas"),
    "multi_label": (_flag, "true or false"),
    "hypothesis_template": (_template, "a sentence with {} in the place of the label"),
}
