"""Validates values against the published JSON Schemas."""

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.errors import MalformedError

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

FOLDER = Path(__file__).with_name("schemas")
MAX_MESSAGE = 200

Answer = Literal["prediction", "forecast", "batch"]


def violation(value: object, name: str, definition: str | None = None) -> str | None:
    """The first violation, such as `$.inputs[0].uri: 1 is not of type "string"`; None for a valid value.

    Args:
        name: the schema's file name without `.schema.json`.
        definition: the name under `$defs` of the part to validate against, instead of the whole schema.
    """
    for error in _validator(name, definition).iter_errors(value):
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
        return f"${path}: {error.message:.{MAX_MESSAGE}}"
    return None


def check_answer(kind: Answer, answer: object) -> None:
    """Raises MalformedError unless a service's answer follows its contract."""
    if broken := violation(answer, "answers", kind):
        raise MalformedError(f"The {kind} does not follow its schema: {broken}")


@functools.cache
def _validator(name: str, definition: str | None) -> "Draft202012Validator":
    from jsonschema_rs import Draft202012Validator

    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{definition}"} if definition else schema)
