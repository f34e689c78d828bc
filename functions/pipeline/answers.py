"""Checks what the services answered to the workflow before a document is made of it."""

from typing import Any, Literal

from pipeline import schema
from pipeline.errors import MalformedError


def check(kind: Literal["prediction", "forecast", "batch"], answer: dict[str, Any]) -> None:
    """Raises MalformedError when the answer is not of the contract's shape."""
    if found := schema.violation(answer, "answers", kind):
        raise MalformedError(f"The {kind} is not of the contract's shape: {found}")
