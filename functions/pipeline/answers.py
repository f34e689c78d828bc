"""Checks what the services answered to the workflow before a document is made of it."""

import functools
import json
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

from pipeline.errors import MalformedError

SCHEMA = Path(__file__).with_name("schemas") / "answers.schema.json"


def check(kind: Literal["prediction", "forecast", "batch"], answer: dict[str, Any]) -> None:
    """Raises MalformedError when the answer is not of the contract's shape."""
    for error in _validator(kind).iter_errors(answer):
        raise MalformedError(f"The {kind} is not of the contract's shape: {error.json_path}: {error.message:.200}")


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(SCHEMA.read_text()), "$ref": f"#/$defs/{kind}"})
