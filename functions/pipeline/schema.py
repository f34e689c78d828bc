"""Checks a value against one of the published JSON Schemas."""

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator
from typing import Literal

from pipeline.errors import MalformedError

FOLDER = Path(__file__).with_name("schemas")
MAX_MESSAGE = 200


def violation(value: Any, name: str, definition: str | None = None) -> str | None:
    """What breaks the schema first, such as `$.inputs[0].uri: 1 is not of type "string"`; None when nothing does.

    Args:
        name: the schema's, without its ending.
        definition: the part of it that counts, by its name under `$defs`.
    """
    for error in _validator(name, definition).iter_errors(value):
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
        return f"${where}: {error.message:.{MAX_MESSAGE}}"
    return None


@functools.cache
def _validator(name: str, definition: str | None) -> "Draft202012Validator":
    from jsonschema_rs import Draft202012Validator

    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{definition}"} if definition else schema)


def check(kind: Literal["prediction", "forecast", "batch"], answer: dict[str, Any]) -> None:
    """Raises MalformedError when the answer is not of the contract's shape."""
    if found := violation(answer, "answers", kind):
        raise MalformedError(f"The {kind} is not of the contract's shape: {found}")
