"""A model, parameters and metadata of the sender's own as an object's metadata (docs/messages.md)."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from event_inference.errors import InputError

NAMES = (
    "model", "version", "kind", "top_k", "threshold", "max_length", "high_confidence", "requires_review", "labels",
    "multi_label", "hypothesis_template", "aggregation", "score_columns", "max_wait", "text_column", "image_column",
    "sheet", "csv_safe", "horizon", "frequency", "interval_width", "decimal", "date_format", "date_column",
    "value_column", "combine",
)  # fmt: skip
"""The parameters that the pipeline knows; it checks their values."""

Value = str | int | float | bool | list[str]


def metadata(
    parameters: Mapping[str, Value] | None = None,
    *,
    model: str | None = None,
    version: str | None = None,
    own: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The custom metadata of an upload.

    Raises:
        InputError: a parameter does not exist, a key occurs twice, or a value has no form in metadata.
    """
    for name in parameters or {}:
        _check_name(name)
    chosen = {"model": model, "version": version}
    requested: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    for name, value in (*(parameters or {}).items(), *(own or {}).items()):
        if name in requested:
            raise InputError(f"{name} is given twice.")
        requested[name] = value
    return {name: _text(name, value) for name, value in requested.items()}


def _check_name(name: str) -> None:
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1)
        advice = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(NAMES)}."
        raise InputError(f"{name} is not a parameter. {advice} For metadata of your own, use metadata.")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        if any(not isinstance(item, str) or "," in item for item in value):
            raise InputError(
                f"{name}: in metadata, commas separate the items of a list. Put it into the sidecar "
                f"NAME.parameters.json instead, beside the file."
            )
        return ",".join(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise InputError(f"{name} must be a text, a number, true or false, or a list of texts, not {type(value).__name__}.")
